"""Orders from the bench to its load processes: one JSON object per line on stdin, one answer per line on stdout."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Message = dict[str, Any]


class LoadFailedError(Exception):
    """A load process ended or fell silent; what it printed stands on stderr."""


class LoadProcess:
    """A ``bench`` module running on a core of its own, or on any; killed when the block ends, if it has not ended by then."""

    def __init__(self, module: str, *arguments: object, core: int | None = None) -> None:
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        command = [*pinned, sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, order: str, **details: object) -> Message:
        """Give an order and wait for its answer."""
        self.tell(order, **details)
        return self.answer()

    def tell(self, order: str, **details: object) -> None:
        """Give an order whose answer is awaited by :meth:`answer`, with a time of its own."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **details}).encode() + b"\n")

    def answer(self, timeout_s: float = 60.0) -> Message:
        """Wait for the next answer; LoadFailedError when the process ends or stays silent instead."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise LoadFailedError(f"{self._process.args!r} said nothing for {timeout_s} s")
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailedError(f"{self._process.args!r} ended with {self._process.wait()}")
        message: Message = json.loads(line)
        return message


def answer(**message: object) -> None:
    """Send one answer from a load process."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def on_order(loop: asyncio.AbstractEventLoop, obey: Callable[[Message], None]) -> None:
    """Have ``obey`` called in a load process's loop with each order; the loop stops at the end of stdin."""
    loop.set_exception_handler(_give_up)

    def read() -> None:
        data = os.read(0, 65536)
        if not data:
            loop.stop()
        for line in data.splitlines():  # orders are short and wait for their answer: one read holds whole lines
            obey(json.loads(line))

    loop.add_reader(0, read)


def _give_up(loop: asyncio.AbstractEventLoop, context: Message) -> None:
    """End a load process at its first error: figures behind it would mean nothing."""
    loop.default_exception_handler(context)
    loop.stop()
