from __future__ import annotations

import subprocess
import sys

from bench.machine.memory import resident_bytes

SIZE = 50_000_000
PROGRAM = f"print(1, flush=True); input(); kept = b'x' * {SIZE}; print(2, flush=True); input()"


def test_the_memory_of_processes_is_what_they_hold() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as one,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as other,
    ):
        readings = []
        for _ in range(2):
            for process in (one, other):
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdout.readline()
            readings.append(resident_bytes([one.pid, other.pid]))
            for process in (one, other):
                assert process.stdin is not None
                process.stdin.write(b"\n")
    assert 2 * SIZE * 0.99 < readings[1] - readings[0] < 2 * SIZE * 1.1
