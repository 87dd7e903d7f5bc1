"""One connection of the programmable origin: the request as it came and the raw way back.

Invariants: nothing is decoded, reordered or added that a handler did not ask for; what the peer did to the connection
is recorded once, the first thing that ended its sending (FIN or RST), with ``time.monotonic()``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, NamedTuple

Fields = tuple[bytes, bytes]
Handler = Callable[["Received", "Wire"], Awaitable[None]]
"""Answers one request: ``async def handler(request, wire)``."""


class Closed(NamedTuple):
    """How the peer stopped sending, and when (``time.monotonic()`` seconds)."""

    how: Literal["fin", "rst"]
    at: float


class PeerGoneError(ConnectionError):
    """The connection is closed: there is nobody left to send to or read from."""


@dataclass(slots=True)
class Received:
    """One request head as it arrived, and its body as it arrives.

    ``connection`` and ``number`` count from 0: the connection it came on, and its place on that connection. ``raw`` is
    the head with its blank line. ``body_so_far`` grows while the body is read and may be looked at from the test.
    """

    connection: int
    number: int
    method: bytes
    target: bytes
    version: bytes
    fields: list[Fields]
    raw: bytes
    at: float
    wire: Wire
    body_so_far: bytearray = field(default_factory=bytearray)
    _pieces: AsyncIterator[bytes] | None = None

    @property
    def path(self) -> bytes:
        """The target up to the first ``?``."""
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        """The target behind the first ``?``, or nothing."""
        return self.target.partition(b"?")[2]

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request (RFC 9112 §9.3; HTTP/1.0 never does here)."""
        return self.version == b"HTTP/1.1" and (self.get(b"connection") or b"").lower() != b"close"

    def get_all(self, name: bytes) -> list[bytes]:
        """Give every value of a field, in order; ``name`` in any case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        """Give the first value of a field, or None."""
        return next(iter(self.get_all(name)), None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body's pieces as they arrive, freed of their framing."""
        if self._pieces is None:
            self._pieces = self._read_pieces()
        async for piece in self._pieces:
            yield piece

    async def body(self) -> bytes:
        """Read the body to its end and give all of it."""
        async for _ in self.pieces():
            pass
        return bytes(self.body_so_far)

    async def _read_pieces(self) -> AsyncIterator[bytes]:
        if b"chunked" in (self.get(b"transfer-encoding") or b"").lower():
            source = self.wire.read_chunks()
        else:
            source = self.wire.read_length(int(self.get(b"content-length") or 0))
        async for piece in source:
            self.body_so_far += piece
            self.wire.announce()
            yield piece


class Wire(asyncio.Protocol):
    """The connection as a handler sees it: send bytes, end it in any way, see how the peer ended it.

    Methods are for handlers (the origin's own loop); the attributes may be read from the test's thread.
    """

    transport: asyncio.Transport

    def __init__(self, connection: int, changed: threading.Condition) -> None:
        self.connection = connection
        self.requests = 0
        self.bytes_received = 0
        self.closed_by_peer: Closed | None = None
        self.closed = False
        self._changed = changed
        self._buffer = bytearray()
        self._progress = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended_here = False
        self._bodyless = False  # the request under way is a HEAD

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        self._buffer += data
        self.announce()

    def eof_received(self) -> bool:
        self._record("fin")
        return self.transport.can_write_eof()  # half open, except TLS: the handler decides what still goes out

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if exc is not None:
            self._record("rst")
        self._writable.set()
        self.announce()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def announce(self) -> None:
        """Wake whoever waits for this connection, in the origin and in the test."""
        self._progress.set()
        with self._changed:
            self._changed.notify_all()

    def _record(self, how: Literal["fin", "rst"]) -> None:
        if self.closed_by_peer is None and not self._ended_here:
            self.closed_by_peer = Closed(how, time.monotonic())
        self.announce()

    # Sending.

    async def send(self, raw: bytes) -> None:
        """Send bytes as they are; wait while the peer does not take them. Raises PeerGoneError when it is closed."""
        if self.closed or self.transport.is_closing():
            raise PeerGoneError
        self.transport.write(raw)
        await self._writable.wait()

    async def head(self, status: int, *fields: Fields) -> None:
        """Send a status line and these fields, none added."""
        await self.send(_head(status, *fields))

    async def respond(self, status: int, body: bytes = b"", *fields: Fields) -> None:
        """Send a whole response with its Content-Length; HEAD, 204 and 304 get no body (RFC 9112 §6.3)."""
        length = [] if status in (204, 304) else [(b"Content-Length", b"%d" % len(body))]
        await self.send(_head(status, *fields, *length) + (body if length and not self._bodyless else b""))

    async def chunk(self, data: bytes) -> None:
        """Send one chunk (RFC 9112 §7.1)."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def last_chunk(self, *trailers: Fields) -> None:
        """End a chunked body."""
        await self.send(b"0\r\n" + b"".join(b"%s: %s\r\n" % one for one in trailers) + b"\r\n")

    # Ending.

    def fin(self) -> None:
        """Close after what was sent: the peer sees FIN."""
        self._ended_here = True
        self.transport.close()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.transport.write_eof()

    def rst(self) -> None:
        """Reset the connection at once: SO_LINGER 0, unsent bytes are dropped."""
        self._ended_here = True
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # Reading.

    def pause_reading(self) -> None:
        """Leave what arrives in the kernel, so that the peer is pushed back."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self.transport.resume_reading()

    async def gone(self) -> Closed:
        """Wait until the peer has closed its side, and say how."""
        while self.closed_by_peer is None:
            await self._wait_for_progress()
        return self.closed_by_peer

    async def read(self) -> bytes:
        """Give whatever has arrived, waiting for at least a byte; nothing at FIN. For what follows a 101."""
        while not self._buffer and self.closed_by_peer is None:
            await self._wait_for_progress()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def read_until(self, marker: bytes) -> bytes:
        """Read up to and with a marker. Raises PeerGoneError when the peer closes before it."""
        while (at := self._buffer.find(marker)) < 0:
            await self._wait_for_bytes()
        return self._take(at + len(marker))

    async def read_length(self, length: int) -> AsyncIterator[bytes]:
        """Give exactly that many bytes, in the pieces in which they arrive."""
        while length:
            if not self._buffer:
                await self._wait_for_bytes()
            piece = self._take(min(length, len(self._buffer)))
            length -= len(piece)
            yield piece

    async def read_chunks(self) -> AsyncIterator[bytes]:
        """Give the data of a chunked body; trailers are dropped."""
        while length := int((await self.read_until(b"\r\n")).split(b";")[0], 16):
            async for piece in self.read_length(length):
                yield piece
            await self.read_until(b"\r\n")
        while await self.read_until(b"\r\n") != b"\r\n":
            pass

    async def read_request(self) -> Received | None:
        """Read one request head; None when the peer closes between requests."""
        try:
            raw = await self.read_until(b"\r\n\r\n")
        except PeerGoneError:
            return None
        line, *lines = raw[:-4].split(b"\r\n")
        method, target, version = line.split(b" ", 2)
        pairs = [one.partition(b":") for one in lines]
        fields = [(name, value.strip(b" \t")) for name, _, value in pairs]
        self.requests += 1
        self._bodyless = method == b"HEAD"
        return Received(
            self.connection, self.requests - 1, method, target, version, fields, raw, time.monotonic(), wire=self
        )

    def _take(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    async def _wait_for_bytes(self) -> None:
        if self.closed or self.closed_by_peer is not None:
            raise PeerGoneError
        await self._wait_for_progress()

    async def _wait_for_progress(self) -> None:
        if self.closed and self.closed_by_peer is None:
            raise PeerGoneError
        self._progress.clear()
        await self._progress.wait()


def _head(status: int, *fields: Fields) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (status, _reason(status)), *(b"%s: %s" % one for one in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"
