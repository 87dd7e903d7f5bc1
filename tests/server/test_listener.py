from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from headgate.server import listener as module
from headgate.server.listener import RESERVE, Listener, stream_capacity


class Held(asyncio.Protocol):
    """Keeps its transport, and tells the listener when it is closed, as a connection does."""

    def __init__(self, field: Field) -> None:
        self._field = field

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._field.open.append(transport)
        self._field.changed.set()

    def connection_lost(self, _: Exception | None) -> None:
        self._field.listener.connection_closed()


class Field:
    """A listener on one or more sockets, and what it did."""

    def __init__(self, *, capacity: int, sockets: int = 1) -> None:
        self.open: list[asyncio.BaseTransport] = []
        self.pauses = 0
        self.changed = asyncio.Event()
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(sockets)]
        self.loop = asyncio.get_running_loop()
        self.listener = Listener(self.loop, self.sockets, lambda _: Held(self), capacity=capacity, on_pause=self._count)
        self._clients: list[socket.socket] = []

    def _count(self) -> None:
        self.pauses += 1
        self.changed.set()

    async def until(self, count: int, *, pauses: int | None = None) -> None:
        """Wait until so many connections have been accepted, and so many pauses noted."""
        async with asyncio.timeout(30):
            while len(self.open) < count or (pauses is not None and self.pauses < pauses):
                self.changed.clear()
                await self.changed.wait()

    def connect(self, count: int, *, to: int = 0) -> None:
        self._clients += [socket.create_connection(self.sockets[to].getsockname()) for _ in range(count)]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.listener.start()
        try:
            yield
        finally:
            self.listener.close()
            for transport in self.open:
                transport.close()
            for one in [*self._clients, *self.sockets]:
                one.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    uvloop.run(work)


def test_connections_are_accepted_from_every_socket() -> None:
    async def work() -> None:
        field = Field(capacity=100, sockets=2)
        with field.running():
            field.connect(70)
            field.connect(70, to=1)
            await field.until(100)

    run(work())


def test_accepting_pauses_at_the_capacity_and_goes_on_as_connections_close() -> None:
    async def work() -> None:
        field = Field(capacity=3)
        with field.running():
            field.connect(5)
            await field.until(3, pauses=1)
            assert len(field.open) == 3
            field.open[0].close()
            await field.until(4, pauses=2)
            assert len(field.open) == 4
            field.open[1].close()
            field.open[2].close()
            await field.until(5)

    run(work())


def test_a_pause_takes_no_processor_time() -> None:
    async def work() -> None:
        field = Field(capacity=1)
        with field.running():
            field.connect(5)
            await field.until(1, pauses=1)
            began = time.thread_time()
            await asyncio.sleep(0.3)
            assert time.thread_time() - began < 0.1
            assert field.pauses == 1

    run(work())


class Short(socket.socket):
    """A listening socket whose process has no descriptors left, for the first two times."""

    refusals = 2

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


def test_without_descriptors_accepting_rests_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)

    async def work() -> None:
        field = Field(capacity=10)
        plain = field.sockets[0]
        field.sockets = [Short(fileno=plain.detach())]
        field.listener = Listener(field.loop, field.sockets, lambda _: Held(field), capacity=10, on_pause=field._count)
        with field.running():
            field.connect(1)
            began = time.monotonic()
            await field.until(1, pauses=2)
            assert time.monotonic() - began >= 0.09

    run(work())


def test_a_closed_listener_accepts_no_more_and_leaves_its_sockets_open() -> None:
    async def work() -> None:
        field = Field(capacity=1)
        with field.running():
            field.connect(2)
            await field.until(1, pauses=1)
            field.listener.close()
            field.open[0].close()
            field.connect(1)
            await asyncio.sleep(0.05)
            assert len(field.open) == 1
            assert field.sockets[0].fileno() >= 0

    run(work())


def test_a_client_that_has_left_before_it_is_accepted_does_no_harm() -> None:
    async def work() -> None:
        field = Field(capacity=2)
        for _ in range(5):
            socket.create_connection(field.sockets[0].getsockname()).close()
        field.connect(1)
        with field.running():
            async with asyncio.timeout(30):
                while len(field.open) < 6:
                    field.changed.clear()
                    await field.changed.wait()
                    for one in field.open:
                        one.close()

    run(work())


def test_the_capacity_leaves_two_descriptors_for_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, capacity in ((1024, (1024 - RESERVE) // 2), (10, 1), (resource.RLIM_INFINITY, 1 << 20)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert stream_capacity() == capacity
