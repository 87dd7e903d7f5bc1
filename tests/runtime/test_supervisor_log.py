from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

from headgate.runtime.supervisor_log import write_record

LOG = "from headgate.runtime.supervisor_log import log; log('warning', 'a worker ended', pid=7)"


def test_json_where_a_program_reads() -> None:
    done = subprocess.run([sys.executable, "-c", LOG], capture_output=True, text=True, check=True)
    record = json.loads(done.stderr)
    assert record.pop("timestamp").endswith("Z")
    assert record == {"event": "a worker ended", "level": "warning", "process": "supervisor", "pid": 7}


def test_text_where_a_person_reads() -> None:
    terminal, end = pty.openpty()
    subprocess.run([sys.executable, "-c", LOG], stderr=end, check=True)
    os.close(end)
    assert os.read(terminal, 1000) == b"headgate: warning: a worker ended pid=7\r\n"
    os.close(terminal)


def test_a_reader_that_does_not_read_stops_nobody() -> None:
    reader, writer = os.pipe()
    for _ in range(3000):
        write_record(writer, {"event": "x" * 100})
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        lines = file.readlines()
    assert 0 < len(lines) < 3000
    assert {json.loads(line)["event"] for line in lines} == {"x" * 100}


def test_a_reader_that_is_gone_stops_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    write_record(writer, {"event": "nobody hears this"})
    os.close(writer)
