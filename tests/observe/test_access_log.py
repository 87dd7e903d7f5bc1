from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate.observe.access_log import AccessLog
from headgate.observe.counters import ACCESS_LOG_DROPPED, Counters


def test_writes_lines_of_json_to_a_file_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for status in (200, 404):
        log = AccessLog(str(path), counters=Counters.private())
        assert log.enabled
        log.write({"status": status, "path": "/a"})
        assert log.close()
    assert [json.loads(line)["status"] for line in path.read_text().splitlines()] == [200, 404]
    assert path.stat().st_mode & 0o007 == 0


def test_reopens_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), counters=Counters.private())
    log.write({"n": 1})
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log.write({"n": 2})
    assert log.close()
    assert json.loads((tmp_path / "access.log.1").read_text())["n"] == 1
    assert json.loads(path.read_text())["n"] == 2


def test_a_record_says_when_it_was_written(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"), counters=Counters.private())
    before = datetime.now(UTC)
    log.write({"a": 1})
    assert log.close()
    record = json.loads((tmp_path / "log").read_text())
    assert list(record) == ["timestamp", "a"]
    assert before - timedelta(milliseconds=1) <= datetime.fromisoformat(record["timestamp"]) <= datetime.now(UTC)


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path) -> None:
    counters = Counters.private()
    log = AccessLog(str(tmp_path / "log"), counters=counters, limit_bytes=50)
    log.write({"a": 1})
    log.write({"a": "longer than what is left of fifty bytes"})
    log.write({"numbers": list(range(5000))})
    assert log.close()
    assert counters.slots[ACCESS_LOG_DROPPED] == 2
    assert json.loads((tmp_path / "log").read_bytes())["a"] == 1


def test_off_writes_nothing() -> None:
    log = AccessLog("off", counters=Counters.private())
    assert not log.enabled
    log.write({"a": 1})
    log.reopen()
    assert log.close()


def test_a_blocked_stdout_neither_blocks_writing_nor_the_end_of_the_process() -> None:
    code = (
        "import sys; from headgate.observe.access_log import AccessLog;"
        "from headgate.observe.counters import *; counters = Counters.private();"
        "log = AccessLog('stdout', counters=counters, limit_bytes=100_000);"
        "[log.write({'n': n, 'text': 'x' * 1000}) for n in range(1000)];"
        "closed = log.close(0.1); print(closed, counters.slots[ACCESS_LOG_DROPPED] > 700, file=sys.stderr)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.read() == b"False True\n"
        assert process.wait(10) == 0


def test_a_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        AccessLog(str(tmp_path), counters=Counters.private())
