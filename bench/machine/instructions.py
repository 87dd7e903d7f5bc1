"""User instructions of other processes, counted by the processor through Linux's ``perf``.

On a machine that others use too they vary by a percent or two where CPU time varies by half: what a neighbour takes from
caches and clock changes how long an instruction takes, not how many there are.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

EVENT = "instructions:u"
ANSWER_WITHIN_S = 10.0


class InstructionCount:
    """Counts what these processes run between :meth:`begin` and :meth:`end`; ``perf`` must be :func:`available`.

    ``core`` is where ``perf`` itself runs, which sleeps meanwhile.
    """

    def __init__(self, pids: Sequence[int], *, core: int) -> None:
        orders, self._orders = os.pipe()
        self._acks, acks = os.pipe()
        self._told = TemporaryFile()  # noqa: SIM115 -- closed with the process, in __exit__
        perf = ["taskset", "-c", str(core), "perf", "stat", "-x", ",", "-e", EVENT, "-p", ",".join(map(str, pids))]
        control = ["--delay", "-1", "--control", f"fd:{orders},{acks}"]
        self._process = subprocess.Popen([*perf, *control], pass_fds=[orders, acks], stderr=self._told)
        os.close(orders)
        os.close(acks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._orders)
        os.close(self._acks)
        self._told.close()

    def begin(self) -> None:
        """Count from here."""
        self._order(b"enable\n")

    def end(self) -> int | None:
        """Give the count; None if the processor would not say."""
        self._order(b"disable\n")
        self._process.send_signal(signal.SIGINT)
        self._process.wait(ANSWER_WITHIN_S)
        self._told.seek(0)
        return _read(self._told.read().decode())

    def _order(self, order: bytes) -> None:
        os.write(self._orders, order)
        if not select.select([self._acks], [], [], ANSWER_WITHIN_S)[0] or not os.read(self._acks, 16):
            raise RuntimeError(f"perf did not obey {order!r}")


def available() -> bool:
    """Say whether ``perf`` is there and this user and this machine may count instructions."""
    if shutil.which("perf") is None:
        return False
    command = ["perf", "stat", "-x", ",", "-e", EVENT, "--", sys.executable, "-c", ""]
    return _read(subprocess.run(command, capture_output=True, text=True, check=False).stderr) is not None


def _read(told: str) -> int | None:
    """Find the count in what ``perf stat -x,`` says; where it has none, words stand in its place."""
    lines = [line.split(",") for line in told.splitlines()]
    return next((int(line[0]) for line in lines if EVENT in line and line[0].isdigit()), None)
