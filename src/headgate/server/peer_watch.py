"""Hearing that a client has left while nobody reads its connection.

A connection whose reading is paused shows neither FIN nor RST to its loop. This watch has an epoll set of its own for
such connections, asked for the end of the peer's sending only, and the loop waits for the set: nothing is read early,
and a connection that is being read costs nothing. Where there is no epoll, the end is seen when reading goes on.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable


class PeerWatch:
    """One worker's watch. Descriptors are those of open connections; each is forgotten before it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None

    def watch(self, descriptor: int, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once when the peer has sent FIN or RST, unless it is forgotten first."""
        if sys.platform != "linux":
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._look, self._epoll)
        self._watched[descriptor] = on_left
        self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, descriptor: int) -> None:
        """Watch a connection no longer."""
        if self._watched.pop(descriptor, None) is not None and self._epoll is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._watched.clear()

    def _look(self, epoll: select.epoll) -> None:
        for descriptor, _ in epoll.poll(0):
            on_left = self._watched.get(descriptor)
            self.forget(descriptor)
            if on_left is not None:
                on_left()
