"""Upstream connections under test: a raw server that does what the test says, and a receiver that writes down what it hears."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from headgate.errors import GatewayError
from headgate.timer_wheel import TimerWheel
from headgate.upstream.http1_client import Outgoing
from headgate.upstream.pool import KeepAlive, Pool, Pools
from headgate.upstream.receivers import BodyReceiver
from headgate.upstream.resolve import Resolver
from headgate.upstream.target import Target, TlsClient
from headgate.wire.chunked import single_chunk
from headgate.wire.request import ResponseHead

Run = Callable[[Coroutine[Any, Any, None]], None]
RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
"""Every test of a connection runs on both loops."""

GET = Outgoing(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
HEAD = Outgoing(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", no_response_body=True)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE_S = 20.0


class Exchange:
    """Both receivers of one exchange. ``heard`` names everything in order, ``body`` joins the pieces."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.interim: list[int] = []
        self.head: ResponseHead | None = None
        self.content_length: int | None = None
        self.has_body = False
        self._body = bytearray()
        self.error: GatewayError | None = None
        self.rest: bytes | None = None
        self.on_head: Callable[[], None] = lambda: None
        self.on_piece: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        self._changed.set()

    def interim_received(self, head: ResponseHead) -> None:
        self.interim.append(head.status)
        self._hear("interim")

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        self.head, self.content_length, self.has_body = head, content_length, has_body
        self._hear("head")
        self.on_head()
        return self

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        self.head, self.rest = head, rest
        self._hear("upgraded")

    def piece_received(self, piece: bytes) -> None:
        assert piece
        self._body += piece
        self._hear("piece")
        self.on_piece()

    def chunks_received(self, data: bytes) -> bool:
        piece = single_chunk(data)
        if piece is None:
            return False
        self.piece_received(piece)
        return True

    def response_ended(self) -> None:
        self._hear("ended")

    def upstream_failed(self, error: GatewayError) -> None:
        self.error = error
        self._hear("failed")

    def upload_blocked(self) -> None:
        self._hear("blocked")

    def upload_ready(self) -> None:
        self._hear("ready")

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> Exchange:
        """Wait for what must come exactly once and last."""
        await self.wait_for(lambda: bool({"ended", "failed", "upgraded"} & set(self.heard)))
        assert sum(what in {"ended", "failed", "upgraded"} for what in self.heard) == 1
        return self

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def outcome(self) -> tuple[int | None, bytes, str]:
        """Status or None, body, and ``ended`` or the error's code."""
        status = None if self.head is None else self.head.status
        return status, self.body, self.error.code if self.error else self.heard[-1]


class Upstreams:
    """Pools on the running loop, with a fast wheel."""

    def __init__(self, *, max_open: int = 1 << 20) -> None:
        loop = asyncio.get_running_loop()
        self.wheel = TimerWheel(loop, tick_s=0.02)
        self.pools = Pools(loop, self.wheel, Resolver(loop), max_open=max_open)

    def pool(
        self,
        port: int,
        *,
        keep_alive: KeepAlive | None = None,
        host: str = "127.0.0.1",
        tls: TlsClient | None = None,
    ) -> Pool:
        target = Target("https" if tls else "http", host, port, tls)
        return self.pools.pool(target, KeepAlive() if keep_alive is None else keep_alive)


async def exchange(pool: Pool, outgoing: Outgoing = GET) -> Exchange:
    """Send one request on an idle or new connection and wait for its end."""
    heard = Exchange()
    (pool.take() or await pool.connect(PATIENCE_S)).send(outgoing, heard)
    return await heard.end()


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Run a server whose every connection is ``handler``'s; gives its port. What a handler raises fails the test."""
    errors: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer may leave at any time
        except Exception as error:  # noqa: BLE001 -- raised again in the test
            errors.append(error)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
    if errors:
        raise errors[0]


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one request head."""
    return await reader.readuntil(b"\r\n\r\n")


def answering(*responses: bytes, then: str = "hold") -> Handler:
    """Answer one request after another, then hold the connection open or end it with ``fin`` or ``rst``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await request(reader)
            writer.write(response)
            await writer.drain()
        await leave(reader, writer, then)

    return handle


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, how: str) -> None:
    """``hold``: wait for the peer to go; ``fin``: also say that nothing more comes; ``rst``: reset the connection."""
    if how == "rst":
        raw = own_socket(writer)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        writer.transport.abort()
        return
    if how == "fin":
        with own_socket(writer) as raw:  # below TLS, if there is any: no closure alert goes out
            raw.shutdown(socket.SHUT_WR)
    await reader.read()


def own_socket(writer: asyncio.StreamWriter) -> socket.socket:
    """Give the connection's socket under a descriptor of its own: uvloop's transports hide theirs."""
    return socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))


async def until(condition: Callable[[], bool]) -> None:
    """Wait, turn by turn of the loop, for what no callback tells."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 -- there is no event for it: the product tells nobody
            await asyncio.sleep(0.001)
