"""Many event streams at once whose every event is numbered, so that a lost, doubled or changed byte is found.

The origin's side is :class:`NumberedEvents`, a handler; the clients' is :class:`Swarm`, all streams on one loop in a
thread of its own. What the origin sent on a stream and what its client got are compared byte for byte.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from tests.origin import EVENT_STREAM, Gate, Received, Wire

CONNECTING_AT_ONCE = 50
WAIT_S = 60.0


def event(name: bytes, number: int) -> bytes:
    """Give event ``number`` (from 0) of the stream at target ``name``."""
    return b"id: %d\ndata: event %d of %s\n\n" % (number, number, name)


class NumberedEvents:
    """Answers each request with numbered events, one each ``interval_s`` seconds, until :meth:`finish`; then properly ends."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._finished = Gate()
        self._counts: dict[bytes, int] = {}

    def finish(self) -> None:
        """End every stream after the event it has sent last."""
        self._finished.open()

    def sent(self, name: str) -> bytes:
        """Give all that was sent on the stream at target ``name``."""
        return b"".join(event(name.encode(), number) for number in range(self._counts[name.encode()]))

    async def __call__(self, request: Received, wire: Wire) -> None:
        """Answer one request."""
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        number = 0
        while not self._finished.is_open:
            self._counts[request.target] = number + 1
            await wire.chunk(event(request.target, number))
            number += 1
            await asyncio.sleep(self._interval_s)
        await wire.last_chunk()


class Stream(asyncio.Protocol):
    """One client. ``ended`` says how the gateway ended the connection, None while it is open."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.raw = bytearray()
        self.ended: Literal["fin", "rst"] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"GET %s HTTP/1.1\r\nHost: swarm\r\nConnection: close\r\n\r\n" % self.target.encode())

    def data_received(self, data: bytes) -> None:
        self.raw += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = "fin" if exc is None else "rst"

    @property
    def status(self) -> int:
        """The response's status, 0 until its head is whole."""
        return int(self.raw[9:12]) if b"\r\n\r\n" in self.raw else 0

    @property
    def events(self) -> int:
        """How many events have come so far."""
        return self.raw.count(b"\n\n")  # framing ends its lines with CRLF

    def body(self) -> tuple[bytes, bool]:
        """Give what has come of the chunked body, and whether the last chunk has."""
        rest = bytes(self.raw).partition(b"\r\n\r\n")[2]
        pieces: list[bytes] = []
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if not length:
                return b"".join(pieces), rest == b"\r\n"
            pieces.append(rest[:length])
            rest = rest[length + 2 :]
        return b"".join(pieces), False


class Swarm:
    """Requests every target of ``targets`` on a connection of its own and reads all of them; for a ``with`` block."""

    def __init__(self, port: int, targets: Sequence[str]) -> None:
        self.streams = [Stream(target) for target in targets]
        self._port = port
        self._stop = Gate()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="swarm", daemon=True)
        self._errors: list[OSError] = []

    def __enter__(self) -> Self:
        """Connect; return when every stream has its first event, or its connection has ended."""
        self._thread.start()
        try:
            self.wait_for(lambda: all(stream.events or stream.ended for stream in self.streams), "all streams to begin")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._stop.open()
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert not self._errors, self._errors
            assert time.monotonic() < deadline, f"waited for {what}; {self._state()}"
            time.sleep(0.05)

    def wait_flowing(self, streams: Sequence[Stream], events: int) -> None:
        """Wait until each of ``streams`` has that many events more than now."""
        goals = [(stream, stream.events + events) for stream in streams]
        self.wait_for(lambda: all(stream.events >= goal for stream, goal in goals), f"{events} more events on each")

    def wait_ended(self) -> None:
        """Wait until the gateway has ended every connection."""
        self.wait_for(lambda: all(stream.ended for stream in self.streams), "the end of all streams")

    def _state(self) -> str:
        ended = [stream.ended for stream in self.streams]
        begun = sum(bool(stream.events) for stream in self.streams)
        return (
            f"{len(ended)} streams, {begun} begun, {ended.count('fin')} ended with FIN, {ended.count('rst')} with RST"
        )

    async def _run(self) -> None:
        free = asyncio.Semaphore(CONNECTING_AT_ONCE)
        transports = await asyncio.gather(*(self._connect(stream, free) for stream in self.streams))
        await self._stop.wait()
        for transport in transports:
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)  # aborted transports report connection_lost in the loop's next turn

    async def _connect(self, stream: Stream, free: asyncio.Semaphore) -> asyncio.Transport | None:
        async with free:
            try:
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: stream, "127.0.0.1", self._port
                )
            except OSError as error:
                self._errors.append(error)
                return None
        return transport
