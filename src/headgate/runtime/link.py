"""The connection between control and one worker: frames of a 4-byte length (big-endian) and one MessagePack message.

    control                                  worker
       ◀── Hello                               on every new link
       ──▶ Load… LoadEnd(revision)             the whole table, in slices
       ◀── Ack(0) for each Load, Ack(revision)
       ──▶ Apply(revision, writes)             live changes, in order, with no gap after the table
       ◀── Ack(revision)

What is said about streams on the same link stands in :mod:`headgate.runtime.stream_messages`.

Invariants: frames are at most :data:`MAX_FRAME_BYTES`; at most :data:`MAX_WAITING_FRAMES` wait to be received, then reading
pauses; a message that does not decode ends the link. A resource's document travels as JSON inside the frame, as MessagePack has no
integers beyond 64 bits and JSON documents may.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Generic, TypeVar, cast

import msgspec

from headgate.config.change import Change, Kind
from headgate.runtime.stream_messages import StreamCommand, StreamReport

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""An Admin API body is at most 1.5 MiB, and frames of several are cut at 1 MiB; the rest is for large routes files."""
MAX_WAITING_FRAMES = 16
_LENGTH_BYTES = 4


class Write(msgspec.Struct, array_like=True, frozen=True):
    """A :class:`Change` on the wire; ``value`` is the document's JSON, None for a deletion."""

    kind: Kind
    id: str
    value: bytes | None
    created_index: int
    modified_index: int

    @classmethod
    def from_change(cls, change: Change) -> Write:
        """Encode ``change``."""
        value = None if change.value is None else msgspec.json.encode(change.value)
        return cls(change.kind, change.id, value, change.created_index, change.modified_index)

    def to_change(self) -> Change:
        """Decode."""
        value = None if self.value is None else msgspec.json.decode(self.value)
        return Change(self.kind, self.id, value, self.created_index, self.modified_index)


class Load(msgspec.Struct, tag=True, frozen=True):
    """A slice of the whole table."""

    writes: list[Write]


class LoadEnd(msgspec.Struct, tag=True, frozen=True):
    """The table is complete as of ``revision``: what it did not hold is deleted."""

    revision: int


class Apply(msgspec.Struct, tag=True, frozen=True):
    """Writes that become live together."""

    revision: int
    writes: list[Write]


class Hello(msgspec.Struct, tag=True, frozen=True):
    """A worker asks for the table. ``started``: when its process began, by the machine's monotonic clock."""

    worker: int
    pid: int
    started: float


class Ack(msgspec.Struct, tag=True, frozen=True):
    """Everything up to ``revision`` is live in the worker; 0 is a sign of life. ``error``: why the last writes are not."""

    revision: int
    error: str | None = None


TableMessage = Load | LoadEnd | Apply
Down = TableMessage | StreamCommand
Up = Hello | Ack | StreamReport

Received = TypeVar("Received")
Sent = TypeVar("Sent")


class LinkClosedError(ConnectionError):
    """The other side has gone; nothing was sent."""


class Link(asyncio.Protocol, Generic[Received, Sent]):
    """One end. One task may receive; several may send, each message whole, those of one task in order."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Received]) -> None:
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._frames: deque[Received] = deque()
        self._receiver: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._turn = asyncio.Lock()
        self._writable = asyncio.Event()
        self._writable.set()
        self.error: str | None = None
        """Why this side ended the link, if it did because of what it received."""
        self.closed = asyncio.Event()
        """Set when the connection is gone."""

    async def receive(self) -> Received | None:
        """Give the next message, None once the link has ended and all that came is received."""
        while not self._frames:
            if self.closed.is_set():
                return None
            self._receiver = self._loop.create_future()
            await self._receiver
        message = self._frames.popleft()
        if self._reading_paused and not self._frames:
            self._reading_paused = False
            self._decode()
            if not self._reading_paused and self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return message

    async def send(self, message: Sent) -> None:
        """Send ``message``, waiting while the other side does not read. Raises LinkClosedError, ValueError if it is too large."""
        frame = self._encoder.encode(message)
        if len(frame) > MAX_FRAME_BYTES:
            raise ValueError(f"a message of {len(frame)} bytes is too large for a frame")
        async with self._turn:  # one message each, in the order in which they came, so that nobody starves
            await self._writable.wait()
            if self._transport is None or self._transport.is_closing():
                raise LinkClosedError("the link is closed")
            self._transport.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)

    def close(self) -> None:
        """End the link at once."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Cut frames off."""
        self._buffer += data
        self._decode()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Wake whoever waits."""
        self.closed.set()
        _wake(self._receiver)
        self._writable.set()

    def pause_writing(self) -> None:
        """Let senders wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the senders go on."""
        self._writable.set()

    def _decode(self) -> None:
        while len(self._buffer) >= _LENGTH_BYTES and not self._reading_paused:
            end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if end > _LENGTH_BYTES + MAX_FRAME_BYTES:
                self._fail("a frame is too large")
                return
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            try:
                self._frames.append(self._decoder.decode(frame))
            except msgspec.MsgspecError as error:
                self._fail(f"a frame does not decode: {error}")
                return
            _wake(self._receiver)
            if len(self._frames) >= MAX_WAITING_FRAMES:
                self._pause_reading()

    def _pause_reading(self) -> None:
        self._reading_paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _fail(self, error: str) -> None:
        self.error = error
        self._buffer.clear()
        self.close()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


_UP: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)
_DOWN: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)

ControlLink = Link[Up, Down]
WorkerLink = Link[Down, Up]


async def open_control_link(descriptor: int) -> ControlLink:
    """Give control's end over a connected socket, which then is the link's."""
    link: ControlLink = Link(_UP)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=_connected(descriptor))
    return link


async def open_worker_link(descriptor: int) -> WorkerLink:
    """Give the worker's end over a connected socket, which then is the link's."""
    link: WorkerLink = Link(_DOWN)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=_connected(descriptor))
    return link


def _connected(descriptor: int) -> socket.socket:
    connected = socket.socket(fileno=descriptor)
    connected.setblocking(False)
    return connected
