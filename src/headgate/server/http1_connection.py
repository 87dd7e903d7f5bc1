"""One client connection, speaking HTTP/1.1 and 1.0 (RFC 9112).

It reads requests one at a time, starts an exchange for each, frames the exchange's response, and watches the client
in every phase: a FIN while a response is under way means that the client is gone, as in NGINX.

States: HEAD (between requests, or inside a head) → EXCHANGE → HEAD, or → LINGERING (the response is out, the client may
still be sending: it is read and dropped for a while, because closing now could destroy what it has not read yet) →
CLOSED; and EXCHANGE → TUNNEL after a 101.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from headgate.server.answers import refusal
from headgate.server.body_framing import BodyFraming, choose_framing
from headgate.server.exchange import Exchange
from headgate.timer_wheel import UNSCHEDULED
from headgate.wire import response_head
from headgate.wire.chunked import LAST_CHUNK
from headgate.wire.request import Peer, Request, ResponseHead
from headgate.wire.request_head import BadRequest
from headgate.wire.request_reader import RequestReader, Signal

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway

HELD_BYTES = 64 * 1024
"""How much of a body or of pipelined requests is read ahead of being wanted."""
WRITE_BUFFER_BYTES = 64 * 1024
"""How much waits for a client before its upstream is paused; one read of the upstream may come on top."""
JOIN_BYTES = 16 * 1024
"""Up to this size a chunk is copied into one piece with its framing; beyond, the parts are written one by one."""
LINGER_S = 5.0
LINGER_BYTES = 1024 * 1024


class State(Enum):
    """What a connection is doing."""

    HEAD = auto()
    EXCHANGE = auto()
    LINGERING = auto()
    TUNNEL = auto()
    CLOSED = auto()


class Http1Connection(asyncio.Protocol):
    """See the module. Deadlines: a whole head within ``head_timeout_s`` of its first byte, idle ``keepalive_timeout_s``."""

    __slots__ = (
        "_body_ended",
        "_body_wanted",
        "_continue_due",
        "_deadline",
        "_exchange",
        "_framing",
        "_gateway",
        "_in_head",
        "_keep_alive",
        "_linger_bytes",
        "_reader",
        "_reading_paused",
        "_request",
        "_reset_when_flushed",
        "_state",
        "_upload_paused",
        "peer",
        "transport",
        "wheel_slot",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._state = State.HEAD
        self._exchange: Exchange | None = None
        self._request: Request | None = None
        self._framing = BodyFraming.NONE
        self._keep_alive = False
        self._body_wanted = False
        self._body_ended = True
        self._continue_due = False
        self._reading_paused = False
        self._upload_paused = False
        self._reset_when_flushed = False
        self._linger_bytes = 0
        self._deadline = 0.0
        self._in_head = False
        self.wheel_slot = UNSCHEDULED

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.peer = _peer_of(transport)
        self._reader = RequestReader(self.peer, self._gateway.limits)
        self._gateway.connection_opened(self)
        self._wait(self._gateway.settings.http.keepalive_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- however it went, the client is gone
        """Let go of everything."""
        self._state = State.CLOSED
        self._client_gone()
        self._gateway.connection_closed(self)

    def eof_received(self) -> bool:
        """Take the client's FIN for its leave; what is already written is still sent."""
        if self._exchange is not None:
            self.transport.abort()
            self._client_gone()
        return False

    def data_received(self, data: bytes) -> None:
        """Read on in the request, or hold what is early."""
        if self._state is State.LINGERING:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        self._reader.feed(data)
        if self._state is State.HEAD:
            self._read_head()
        elif self._body_wanted:
            self._read_body()
        self._hold_if_early()

    def pause_writing(self) -> None:
        """Hear that the client takes no more."""
        if self._exchange is not None:
            self._exchange.client_blocked()

    def resume_writing(self) -> None:
        """Hear that the client takes bytes again."""
        if self._reset_when_flushed:
            self._reset()
        elif self._exchange is not None:
            self._exchange.client_ready()

    # -- requests -----------------------------------------------------------------------------------------------------------

    def _read_head(self) -> None:
        try:
            item = self._reader.next()
        except BadRequest as error:
            self._refuse(error)
            return
        if isinstance(item, Request):
            self._start(item)
        elif self._reader.held_bytes and not self._in_head:
            self._in_head = True
            self._wait(self._gateway.settings.http.head_timeout_s)

    def _start(self, request: Request) -> None:
        self._state = State.EXCHANGE
        self._in_head = False
        self._request = request
        self._keep_alive = request.keep_alive and not self._gateway.is_stopping
        self._continue_due = request.expect_continue
        self._body_wanted = False
        self._body_ended = False
        if not request.has_body:
            self._reader.next()  # its END
            self._body_ended = True
        self._gateway.request_begun()
        self._exchange = Exchange(self._gateway, self, request)
        self._exchange.start()

    def _refuse(self, error: BadRequest) -> None:
        """Answer what is no request, and close: where the next one would begin is anybody's guess."""
        self._request = None
        self._keep_alive = False
        self._body_ended = False
        self._body_wanted = True
        answer = refusal(error.status, error.detail)
        self.send_head(self._gateway.head_of(answer), len(answer.body), has_body=True)
        self.send_piece(answer.body)
        self._gateway.refused(self.peer, error)
        self._linger()

    def want_body(self) -> None:
        """Have the request's body delivered to the exchange, now and as it comes."""
        self._body_wanted = True
        if self._continue_due and not self._reader.held_bytes:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._continue_due = False
        self._read_body()

    def pause_body(self) -> None:
        """Deliver no more body for now."""
        self._upload_paused = True
        self._hold_if_early()

    def resume_body(self) -> None:
        """Deliver body again."""
        self._upload_paused = False
        self._read_body()
        self._hold_if_early()

    def _read_body(self) -> None:
        while self._body_wanted and not self._body_ended and not self._upload_paused:
            exchange = self._exchange
            if exchange is None:
                return
            try:
                item = self._reader.next()
            except BadRequest as error:
                self._keep_alive = False
                exchange.body_failed(error)
                return
            if isinstance(item, bytes):
                exchange.upload.received(item)
            elif item is Signal.END:
                self._body_ended = True
                exchange.upload.ended()
            else:
                return

    def _hold_if_early(self) -> None:
        """Read no further while enough is held that nobody wants yet."""
        is_full = self._reader.held_bytes > HELD_BYTES and self._state is State.EXCHANGE
        if is_full != self._reading_paused and not self.transport.is_closing():
            self._reading_paused = is_full
            if is_full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # -- responses, called by the exchange and its relay --------------------------------------------------------------------

    def send_interim(self, head: ResponseHead) -> None:
        """Send a 1xx head, if the client's version has those (RFC 9110 §15.2)."""
        if self._request is not None and self._request.minor_version:
            self.transport.write(response_head.encode(head.status, head.reason, head.headers))

    def send_head(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> None:
        """Send the final head with the framing that fits the client; ``content_length`` None = not known."""
        request = self._request
        minor_version = request.minor_version if request is not None else 1
        self._framing = choose_framing(content_length, has_body=has_body, minor_version=minor_version)
        if self._framing is BodyFraming.CLOSE:
            self._keep_alive = False
        elif not self._body_ended and not self._body_wanted:
            self._skip_body()
        headers = head.headers
        if content_length is not None and head.status not in {204, 101}:
            headers.set(b"Content-Length", b"%d" % content_length)
        elif self._framing is BodyFraming.CHUNKED:
            headers.set(b"Transfer-Encoding", b"chunked")
        if not self._keep_alive:
            headers.set(b"Connection", b"close")
        elif not minor_version:
            headers.set(b"Connection", b"keep-alive")
        self.transport.write(response_head.encode(head.status, head.reason, headers))

    def send_piece(self, piece: bytes) -> None:
        """Send body bytes in the response's framing."""
        if self._framing is BodyFraming.CHUNKED:
            if len(piece) <= JOIN_BYTES:
                self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                self.transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
        elif self._framing is not BodyFraming.NONE:
            self.transport.write(piece)

    def end_body(self) -> None:
        """End the response properly and go on to the next request, or close."""
        if self._framing is BodyFraming.CHUNKED:
            self.transport.write(LAST_CHUNK)
        self._exchange = None
        if self._state is State.CLOSED:
            return
        if not self._keep_alive or not self._body_ended or self._gateway.is_stopping:
            self._linger()
            return
        self._state = State.HEAD
        self._request = None
        if self._reader.held_bytes:
            self._gateway.loop.call_soon(self._next_request)
        else:
            self._wait(self._gateway.settings.http.keepalive_timeout_s)

    def break_body(self) -> None:
        """End so that the client can tell: FIN without the last chunk or the full length, RST where FIN means complete."""
        self._exchange = None
        if self._framing is BodyFraming.CLOSE:
            self._reset_when_flushed = True
            self.transport.set_write_buffer_limits(high=0)
            if not self.transport.get_write_buffer_size():
                self._reset()
        else:
            self.transport.close()
        self._state = State.LINGERING
        self._wait(self._gateway.settings.http.send_timeout_s)

    def send_tunnel_head(self, head: ResponseHead) -> bytes:
        """Send a 101 and stop being HTTP; give what the client has already said in the new protocol.

        Whoever sets the transport's protocol next owns the connection, and calls :meth:`tunnel_ended`.
        """
        self._state = State.TUNNEL
        self._exchange = None
        self.transport.write(response_head.encode(head.status, head.reason, head.headers))
        return self._reader.take_held()

    def tunnel_ended(self) -> None:
        """Hear that the transport is closed."""
        self._state = State.CLOSED
        self._gateway.connection_closed(self)

    def close_if_idle(self) -> None:
        """Close between two requests; a request under way is the last one."""
        self._keep_alive = False
        if self._state is State.HEAD:
            self.transport.close()

    @property
    def exchange(self) -> Exchange | None:
        """The exchange under way, or None."""
        return self._exchange

    # -- the end --------------------------------------------------------------------------------------------------------------

    def check_deadline(self, now: float) -> float | None:
        """Close what has been idle, slow or lingering for too long."""
        if self._state not in {State.HEAD, State.LINGERING}:
            return None
        if now < self._deadline:
            return self._deadline
        if self._state is State.LINGERING:
            self.transport.abort()
            return None
        if not self._in_head:
            self.transport.close()
            return None
        self._refuse(BadRequest(408, "the request head did not come in time"))
        return self._deadline

    def _wait(self, seconds: float) -> None:
        self._deadline = self._gateway.clock() + seconds
        self._gateway.wheel.schedule(self, self._deadline)

    def _next_request(self) -> None:
        if self._state is State.HEAD and not self.transport.is_closing():
            self._read_head()
            self._hold_if_early()

    def _skip_body(self) -> None:
        """Drop what has come of a body that nobody wants; if that is not all of it, this response is the last."""
        try:
            item = self._reader.next()
            while isinstance(item, bytes):
                item = self._reader.next()
        except BadRequest:
            item = Signal.NEED_DATA
        self._body_ended = item is Signal.END
        self._keep_alive = self._keep_alive and self._body_ended

    def _linger(self) -> None:
        self._exchange = None
        if self._body_ended or self.transport.is_closing():
            self._state = State.LINGERING
            self.transport.close()
        else:
            self._state = State.LINGERING
            if self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self._wait(LINGER_S)

    def _reset(self) -> None:
        """Close with RST: on a body that ends by closing, FIN would say that it is complete."""
        self._reset_when_flushed = False
        descriptor = self.transport.get_extra_info("socket")
        if descriptor is not None:
            descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _client_gone(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()


def _peer_of(transport: asyncio.BaseTransport) -> Peer:
    remote = transport.get_extra_info("peername") or ("", 0)
    local = transport.get_extra_info("sockname") or ("", 0)
    return Peer(str(remote[0]), int(remote[1]), str(local[0]), int(local[1]))
