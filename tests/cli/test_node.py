from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headgate.cli.node import NodeError, find_data_dir, open_node
from headgate.config.settings_sources import SettingsError

NODE = """
import os, signal, sys
from pathlib import Path
from headgate.runtime import pid_file
from headgate.runtime.reload_record import ReloadRecord

data_dir, what = Path(sys.argv[1]), sys.argv[2]
record = ReloadRecord(data_dir)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
pid_file.take(data_dir)
print("taken", flush=True)
while signal.sigwait([signal.SIGUSR2, signal.SIGTERM]) == signal.SIGUSR2:
    record.begin()
    if what == "dies":
        sys.exit(1)
    if what == "again":  # what was under way is followed by another one, which counts too
        record.finish()
        record.begin()
    record.finish(["first", "second"] if what == "gives up" else [])
"""


@contextmanager
def node(data_dir: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", NODE, str(data_dir), what, "headgate.runtime.supervisor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("what", ["serves", "again"])
def test_a_reload_ends_when_the_record_says_so_however_often(tmp_path: Path, what: str) -> None:
    with node(tmp_path, what), open_node(tmp_path) as found:
        for _ in range(3):
            found.reload()


def test_why_a_reload_was_given_up_is_told(tmp_path: Path) -> None:
    with node(tmp_path, "gives up"), open_node(tmp_path) as found, pytest.raises(NodeError) as caught:
        found.reload()
    assert caught.value.problems == ("first", "second")


def test_a_node_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    with node(tmp_path, "dies"), open_node(tmp_path) as found, pytest.raises(NodeError, match="ended before it was"):
        found.reload()


def test_a_record_that_cannot_be_read_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with node(tmp_path, "serves") as process, open_node(tmp_path) as found:
        (tmp_path / "headgate.reload").write_text("x")
        with pytest.raises(NodeError, match=r"headgate\.reload cannot be read"):
            found.reload()
        (tmp_path / "headgate.reload").write_text(json.dumps({"pid": process.pid, "reload": 5}))
        found.drain()


def test_a_drain_ends_with_the_process(tmp_path: Path) -> None:
    with node(tmp_path, "serves") as process, open_node(tmp_path) as found:
        found.drain()
        assert process.wait(30) == 0


def test_where_nobody_runs_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="no headgate runs on data directory"), open_node(tmp_path):
        pass


def test_the_data_directory_is_found_as_run_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "headgate.yaml"
    file.write_text("data_dir: from-file\n")
    named = {"HEADGATE_DATA_DIR": "from-variable"}
    assert find_data_dir(file, Path("from-flag"), named) == Path("from-flag")
    assert find_data_dir(file, None, named) == Path("from-variable")
    assert find_data_dir(file, None, {}) == Path("from-file")
    monkeypatch.chdir(tmp_path)
    assert find_data_dir(None, None, {}) == Path("from-file")
    file.unlink()
    assert find_data_dir(None, None, {}) == Path(".headgate")
    file.write_text("data_dir: x\nwrong: 1\n")
    with pytest.raises(SettingsError):
        find_data_dir(None, None, {})
