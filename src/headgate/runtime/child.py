"""One child process of the supervisor: started by exec, in a session of its own, and when to start it again.

Invariants: a child inherits exactly the descriptors that its :class:`Start` names; the child's end of the channel is closed here once
the child has it, so that either side's death is read as end of file by the other. Standard library only.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from enum import IntEnum, auto

from headgate.runtime.channel import Channel, Message
from headgate.runtime.start import Start

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 5.0
STEADY_S = 10.0
"""A child that lived this long starts its back-off anew."""


class Progress(IntEnum):
    """How far a process has come, by its own reports. Control is never LEAVING."""

    STARTED = auto()
    LOADED = auto()
    """It waits for the order to begin: a worker with the whole table, control before it opens the store."""
    READY = auto()
    LEAVING = auto()
    """It accepts no more; what it has is ending."""


class Backoff:
    """How long to wait before a child is started again: not at all at first, then 0.1 s, doubling to 5 s."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def delay_s(self, lived_s: float) -> float:
        """Give the delay after a child that lived ``lived_s`` seconds."""
        if lived_s >= STEADY_S:
            self._next_s = 0.0
        delay_s = self._next_s
        self._next_s = min(max(delay_s * 2, FIRST_DELAY_S), MAX_DELAY_S)
        return delay_s


class Child:
    """A place for one process after the other. ``worker`` is the worker slot's number, None for control.

    ``start`` makes what a new process gets; it is called with the number of the channel's descriptor in the child.
    """

    def __init__(self, *, module: str, worker: int | None, start: Callable[[int], Start]) -> None:
        self.worker = worker
        self.name = "control" if worker is None else f"worker {worker}"
        self.progress = Progress.STARTED
        self.deaths = 0
        self.channel: Channel | None = None
        self._module = module
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff()
        self._started_s = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether there is a process that serves or could."""
        return self._process is not None and self.progress >= Progress.LOADED

    @property
    def is_ready(self) -> bool:
        """Whether there is a process that serves."""
        return self._process is not None and self.progress is Progress.READY

    @property
    def pid(self) -> int | None:
        """The process's id, None if there is none."""
        return self._process.pid if self._process else None

    def spawn(self) -> Channel:
        """Start a process; give the channel to it. Raises OSError if the system has no room for one more."""
        self.progress = Progress.STARTED
        self._started_s = time.monotonic()
        ours, theirs = Channel.pair()
        with theirs:
            start = self._start(theirs.fileno())
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                    [sys.executable, "-P", "-m", self._module, start.to_argument()],
                    pass_fds=start.descriptors(),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                self.deaths += 1
                raise
        self.channel = ours
        return ours

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send, if there is a process. One that has stopped reading is killed: it would miss an order."""
        if self.channel is None:
            return
        try:
            self.channel.send(message, descriptors)
        except BlockingIOError:
            self.kill()
        except OSError:
            return  # it is dying; its end is noticed by SIGCHLD

    def kill(self) -> None:
        """Send SIGKILL, if there is a process."""
        if self._process is not None:
            self._process.kill()

    def reap(self) -> int | None:
        """Give the exit status of a process that has ended since the last look (negative: the signal), and forget it; None otherwise."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._process = None
        self.deaths += 1
        return status

    def close_channel(self) -> None:
        """Close the channel of a process that has ended."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def restart_delay_s(self) -> float:
        """Give how long to wait before the next :meth:`spawn`, counting this one as a failure."""
        return self._backoff.delay_s(time.monotonic() - self._started_s)

    def wait(self, timeout_s: float) -> None:
        """Wait for a process that was killed, for ``timeout_s`` at most."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # in uninterruptible sleep; init will have it
                self._process.wait(timeout_s)
