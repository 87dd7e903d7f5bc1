from __future__ import annotations

import os
import subprocess
import sys

import pytest
from bench.machine.instructions import InstructionCount, _read, available

CORE = min(os.sched_getaffinity(0))
LOOP = "for line in iter(input, 'end'):\n for number in range(int(line)): pass\n print(line, flush=True)"


@pytest.mark.parametrize(
    ("told", "count"),
    [
        ("110388,,instructions:u,139173422,100.00,,\n", 110388),
        ("\n# started on\n\n5,,cycles:u,1,1,,\n7,,instructions:u,1,1,,\n", 7),
        ("<not counted>,,instructions:u,0,100.00,,\n", None),
        ("<not supported>,,instructions:u,0,100.00,,\n", None),
        ("Access to performance monitoring and observability operations is limited.\n", None),
        ("", None),
    ],
)
def test_what_perf_says_is_read(told: str, count: int | None) -> None:
    assert _read(told) == count


def test_without_perf_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not available()


def test_only_what_runs_between_begin_and_end_is_counted() -> None:
    """On a machine that can count; elsewhere the bench has no such row, and here is nothing to see."""
    if not available():
        return
    with subprocess.Popen(
        [sys.executable, "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loop:

        def turn(times: int) -> None:
            assert loop.stdin is not None
            assert loop.stdout is not None
            loop.stdin.write(f"{times}\n")
            loop.stdin.flush()
            loop.stdout.readline()

        def count(times: int) -> int:
            with InstructionCount([loop.pid], core=CORE) as counted:
                turn(3_000_000)
                counted.begin()
                turn(times)
                found = counted.end()
            assert found is not None
            return found

        turn(1)
        few, many = count(10_000), count(1_000_000)
        assert 10 * few < many < 1000 * few
        loop.communicate("end\n")
