"""One connection of a visitor: the request, the manner in which the response is read, and how it ended."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import TYPE_CHECKING
from typing import cast as typed

import httptools
from bench.soak.events import StreamCheck
from bench.soak.kinds import Manner

if TYPE_CHECKING:
    from bench.soak.visitors import Visitor

ANSWERS_OF_A_GATEWAY = {200, 502, 503, 504}
"""A stream, or the news that no origin could be reached."""
STAY_S = 20.0
"""How long a visitor that leaves stays on average."""
SIP_BYTES = 64 * 1024
PAUSE_S = (1.0, 4.0)
STOPPED_S = 35.0
"""More than twice ``http.send_timeout_s`` of the soak's gateway."""
SMALL_BUFFER_BYTES = 64 * 1024


class Visit(asyncio.Protocol):
    """See the module. ``status`` is 0 before the head; ``resumed_at``: when one who had stopped reading did so again, or 0."""

    def __init__(self, visitor: Visitor) -> None:
        loop = visitor.crowd.loop
        self.visitor = visitor
        self.check = StreamCheck(visitor.key, visitor.after)
        self.status = 0
        self.has_asked = False
        self.is_paused = False
        self.heard_at = self._began = loop.time()
        self.resumed_at = 0.0
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._has_left = False
        self._is_complete = False
        self._is_impatient = False
        self._read_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def age_s(self) -> float:
        """How long ago it began."""
        return self._loop.time() - self._began

    # -- coming and leaving ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream, as far as the manner has it."""
        self._transport = typed("asyncio.Transport", transport)  # uvloop's are none by isinstance
        self.visitor.crowd.visits.add(self)
        self.heard_at = self._loop.time()
        request = self._request()
        match self.visitor.manner:
            case Manner.LEAVE:
                self._after(random.expovariate(1 / STAY_S), self.leave)
            case Manner.LEAVE_MID_EVENT:
                self._after(random.uniform(1, STAY_S), self._grow_impatient)
            case Manner.LEAVE_EARLY:
                request = random.choice([request, request, request[: len(request) // 2], b""])
                self._after(random.uniform(0, 0.9), self.leave)
        self.has_asked = request.endswith(b"\r\n\r\n")
        if request:
            self._transport.write(request)

    def _request(self) -> bytes:
        lines = [b"GET /%b/%b HTTP/1.1" % (self.visitor.kind.encode(), self.visitor.key), b"Host: soak"]
        lines.append(b"Accept: text/event-stream")
        if self.visitor.after >= 0:
            lines.append(b"Last-Event-ID: %d" % self.visitor.after)
        return b"\r\n".join([*lines, b"", b""])

    def leave(self) -> None:
        """Close, by FIN or RST as it happens."""
        self._has_left = True
        if random.random() < 0.5:
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the visitor (asyncio's callback)."""
        if self._timer is not None:
            self._timer.cancel()
        if self._has_left:
            how = "left"
        elif self._is_complete:
            how = "proper"
        else:
            how = "fin" if exc is None else "rst"
        self.visitor.visit_ended(self, how)

    # -- reading --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.heard_at = self._loop.time()
        self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.check.problems.append(f"no HTTP: {error!r}, {data[:60]!r}")
        if self.check.problems:
            self.leave()
        elif self._is_complete:
            self._transport.close()
        elif self._is_impatient and self.check.is_torn:
            self.leave()
        elif self._read_bytes >= SIP_BYTES:
            self._rest()

    def on_headers_complete(self) -> None:
        """Note the status (httptools' callback)."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Check the events (httptools' callback)."""
        if self.status == 200:
            self.check.feed(body)

    def on_message_complete(self) -> None:
        """Note the proper end (httptools' callback)."""
        self._is_complete = True

    # -- manners --------------------------------------------------------------------------------------------------------

    def _after(self, delay_s: float, action: object) -> None:
        self._timer = self._loop.call_later(delay_s, action)  # type: ignore[arg-type]  # any of the methods here

    def _grow_impatient(self) -> None:
        self._is_impatient = True

    def _rest(self) -> None:
        """Take no more for now, if that is the manner."""
        if self.resumed_at or self.visitor.manner not in {Manner.READ_SLOWLY, Manner.STOP_READING}:
            return
        self._transport.pause_reading()
        self.is_paused = True
        is_slow = self.visitor.manner is Manner.READ_SLOWLY
        self._after(random.uniform(*PAUSE_S) if is_slow else STOPPED_S, self._read_on)

    def _read_on(self) -> None:
        self._read_bytes = 0
        self.is_paused = False
        self.heard_at = self._loop.time()
        if self.visitor.manner is Manner.STOP_READING:
            self.resumed_at = self.heard_at
        self._transport.resume_reading()


async def connect(visit: Visit, loop: asyncio.AbstractEventLoop, port: int) -> None:
    """Make the visit's connection; those who read slowly have little room for what they do not read. Raises OSError."""
    if visit.visitor.manner not in {Manner.READ_SLOWLY, Manner.STOP_READING}:
        await loop.create_connection(lambda: visit, "127.0.0.1", port)
        return
    sock = socket.socket()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.create_connection(lambda: visit, sock=sock)
    except OSError:
        sock.close()
        raise
