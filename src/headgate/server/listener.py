"""Accepting connections, and not accepting them when descriptors run short.

A worker may hold as many connections as its descriptor limit allows with one upstream connection for each and a
reserve for files. At that number accepting pauses: new connections wait in the socket's queue (or go to another
worker's), running streams are untouched. It goes on when a connection closes.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from headgate.server.endpoint import peer_of
from headgate.wire.request import Peer

RESERVE = 48
"""Descriptors kept for files, links and the resolver."""
BATCH = 64
"""How many connections one turn of the loop accepts from a socket."""
RETRY_S = 0.1
"""How long accepting rests when the system itself has no descriptors left."""

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def stream_capacity() -> int:
    """Give how many streams the soft descriptor limit has room for, with an upstream connection each."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    return max((soft - RESERVE) // 2, 1)


class Listener:
    """Listening sockets of one worker. ``make`` gives the protocol of a connection with these two ends, ``on_pause`` hears of each pause."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        make: Callable[[Peer], asyncio.Protocol],
        *,
        capacity: int,
        on_pause: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sockets = list(sockets)
        self._make = make
        self._capacity = capacity
        self._on_pause = on_pause
        self._open = 0
        self._accepting = False
        self._closed = False
        self._starting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to accept."""
        for listening in self._sockets:
            listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept no more; the sockets are left open, for they belong to whoever passed them."""
        self._closed = True
        self._pause()

    def connection_closed(self) -> None:
        """Hear that an accepted connection is gone."""
        self._open -= 1
        if not self._accepting and not self._closed and self._open < self._capacity:
            self._resume()

    def _resume(self) -> None:
        if not self._closed and not self._accepting:
            self._accepting = True
            for listening in self._sockets:
                self._loop.add_reader(listening, self._accept, listening)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for listening in self._sockets:
                self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            if self._open >= self._capacity:
                self._pause()
                self._on_pause()
                return
            try:
                accepted, remote = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    raise
                self._pause()
                self._on_pause()
                self._loop.call_later(RETRY_S, self._resume)
                return
            self._open += 1
            task = self._loop.create_task(self._connect(accepted, remote), name="accept")
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _connect(self, accepted: socket.socket, remote: tuple[Any, ...]) -> None:
        try:
            await self._loop.connect_accepted_socket(partial(self._make, peer_of(accepted, remote)), accepted)
        except OSError:  # the client left between connecting and being accepted: there is nobody to answer
            accepted.close()
            self.connection_closed()
