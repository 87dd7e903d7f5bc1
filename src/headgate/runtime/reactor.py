"""The supervisor's one thread: it waits for descriptors, signals and deadlines, and calls what was asked for.

Invariants: actions run one after the other and never wait; a signal is handled as an ordinary action, never inside another one.
Standard library only.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import Protocol

Action = Callable[[], None]


class _HasDescriptor(Protocol):
    def fileno(self) -> int:
        """Give the descriptor."""


class Reactor:
    """Call :meth:`turn` until done."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._deadlines: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()

    def turn(self) -> None:
        """Wait until something happens and do what belongs to it."""
        timeout_s = max(self._deadlines[0][0] - time.monotonic(), 0.0) if self._deadlines else None
        for key, _ in self._selector.select(timeout_s):
            if self._selector.get_map().get(key.fd) is key:  # an action of this turn may have closed it
                key.data()
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            heapq.heappop(self._deadlines)[2]()

    def watch(self, readable: _HasDescriptor, action: Action) -> None:
        """Call ``action`` whenever ``readable`` is; until :meth:`unwatch`, which comes before its closing."""
        self._selector.register(readable.fileno(), selectors.EVENT_READ, action)

    def unwatch(self, readable: _HasDescriptor) -> None:
        """Watch it no more; it need not be watched."""
        if self.is_watched(readable):
            self._selector.unregister(readable.fileno())

    def after(self, delay_s: float, action: Action) -> None:
        """Call ``action`` once, in ``delay_s`` seconds. It cannot be taken back: it looks for itself whether it is still wanted."""
        heapq.heappush(self._deadlines, (time.monotonic() + delay_s, next(self._numbers), action))

    def is_watched(self, readable: _HasDescriptor) -> bool:
        """Whether it is; it has to be open."""
        return readable.fileno() in self._selector.get_map()

    def catch_signals(self, numbers: Iterable[signal.Signals]) -> None:
        """Let these signals wait from now on, in order, for :meth:`watch_signals`."""
        self._signals, writer = socket.socketpair()
        for end in (self._signals, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.detach())
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def watch_signals(self, action: Callable[[bytes], None]) -> None:
        """Call ``action`` with the numbers of signals that were caught."""
        self.watch(self._signals, lambda: action(self._signals.recv(256)))
