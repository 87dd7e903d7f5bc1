"""One client connection, speaking HTTP/1.1 and 1.0 (RFC 9112).

It reads requests one at a time, starts an exchange for each, frames the exchange's response, and watches the client
in every phase: a FIN while a response is under way means that the client is gone, as in NGINX.

States: HEAD (between requests, or inside a head) → EXCHANGE → HEAD, or → LINGERING (the response is out or on its way
out, the client may still be sending: it is read and dropped for a while, because closing now could destroy what it has
not read yet) → CLOSED; and EXCHANGE → TUNNEL after a 101.

No request is begun while the client does not take the responses before: what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from headgate.server.answers import refusal
from headgate.server.body_framing import BodyFraming, is_last
from headgate.server.exchange import Exchange
from headgate.server.joined_head import JoinedHead
from headgate.server.response_writer import ResponseWriter
from headgate.stream.ending import Ending
from headgate.timer_wheel import UNSCHEDULED
from headgate.wire.request import Peer, Request, ResponseHead
from headgate.wire.request_head import BadRequest
from headgate.wire.request_reader import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate.server.gateway import Gateway

HELD_BYTES = 64 * 1024
"""How much of a body or of pipelined requests is read ahead of being wanted."""
WRITE_BUFFER_BYTES = 64 * 1024
"""How much waits for a client before its upstream is paused; one read of the upstream may come on top."""
LINGER_S = 5.0
LINGER_BYTES = 1024 * 1024


class State(Enum):
    """What a connection is doing."""

    HEAD = auto()
    EXCHANGE = auto()
    LINGERING = auto()
    TUNNEL = auto()
    CLOSED = auto()


_SIZED = BodyFraming.SIZED
_HEAD, _EXCHANGE, _LINGERING = (
    State.HEAD,
    State.EXCHANGE,
    State.LINGERING,
)  # a member by its name costs 0.1 µs each time


class Http1Connection(asyncio.Protocol):
    """See the module.

    Deadlines: a whole head within ``head_timeout_s`` of its first byte, the next request within ``keepalive_timeout_s``;
    a client that takes nothing for ``send_timeout_s`` (up to twice that) though bytes wait for it is given up.
    """

    __slots__ = (
        "_deadline",
        "_exchange",
        "_gateway",
        "_in_head",
        "_is_blocked",
        "_joined",
        "_keep_alive",
        "_linger_bytes",
        "_moved_at",
        "_state",
        "_unsent_bytes",
        "_watched",
        "_writer",
        "peer",
        "reader",
        "transport",
        "wheel_slot",
    )

    def __init__(self, gateway: Gateway, peer: Peer) -> None:
        self._gateway = gateway
        self.peer = peer
        self._state = _HEAD
        self._exchange: Exchange | None = None
        self._keep_alive = False
        self._in_head = False
        self._is_blocked = False
        self._watched: int | None = None  # the descriptor, while reading is paused
        self._linger_bytes = 0
        self._unsent_bytes = 0
        self._moved_at = 0.0
        self._deadline = 0.0
        self.wheel_slot = UNSCHEDULED

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry
        self.transport = transport
        self._writer = ResponseWriter(transport, self._gateway.loop)
        self._joined = JoinedHead(transport, self._gateway.loop)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.reader = RequestReader(self.peer, self._gateway.limits)
        self._gateway.connection_opened(self)
        self._wait(self._gateway.settings.http.keepalive_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- however it went, the client is gone
        """Let go of everything."""
        self._state = State.CLOSED
        self._writer.connection_lost()
        self._gateway.wheel.cancel(self)
        self._watch_peer(None)
        self._client_gone()
        self._gateway.connection_closed(self)

    def eof_received(self) -> bool:
        """Take the client's FIN for its leave; what is written of earlier responses is still sent."""
        if self._exchange is not None:
            self._client_left()
        return False

    def data_received(self, data: bytes) -> None:
        """Read on in the request, or hold what is early."""
        if self._state is _LINGERING:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        self.reader.feed(data)
        if self._exchange is not None:
            self._exchange.upload.read()
        else:
            self._read_head()
        self.hold_if_early()

    def pause_writing(self) -> None:
        """Hear that the client takes no more."""
        self._is_blocked = True
        self._set_user_timeout(0.0)  # it has send_timeout_s, which may be more
        if self._exchange is not None:
            self._exchange.client_blocked()
            self._watch_flush()

    def resume_writing(self) -> None:
        """Hear that the client takes bytes again."""
        self._is_blocked = False
        self._set_user_timeout(self._gateway.liveness.user_timeout_s)
        if self._exchange is not None:
            self._exchange.client_ready()
        elif self._state is _HEAD:
            self._wait(self._gateway.settings.http.keepalive_timeout_s)
            self._next_request()

    # -- requests -----------------------------------------------------------------------------------------------------------

    def _read_head(self) -> None:
        if self._is_blocked:
            return
        try:
            item = self.reader.next()
        except BadRequest as error:
            self._refuse(error)
            return
        if isinstance(item, Request):
            self._start(item)
        elif self.reader.held_bytes and not self._in_head:
            self._in_head = True
            self._wait(self._gateway.settings.http.head_timeout_s)

    def _start(self, request: Request) -> None:
        self._state = _EXCHANGE
        self._in_head = False
        self._keep_alive = request.keep_alive
        self._gateway.request_begun()
        exchange = self._exchange = Exchange(self._gateway, self, request)
        exchange.start()

    def _refuse(self, error: BadRequest) -> None:
        """Answer what is no request, and close: where the next one would begin is anybody's guess."""
        self._keep_alive = False
        answer = refusal(error.status, error.detail)
        self.send_head(self._gateway.head_of(answer), len(answer.body), has_body=True)
        self.send_piece(answer.body)
        self._gateway.refused(self.peer, error)
        self._linger()

    def _next_request(self) -> None:
        if self._state is _HEAD and not self.transport.is_closing():
            self._read_head()
            self.hold_if_early()

    def send_continue(self) -> None:
        """Tell a client that waits for it that its body is wanted (RFC 9110 §10.1.1)."""
        exchange = self._exchange
        if exchange is not None and exchange.request.expect_continue and not self.reader.held_bytes:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def body_failed(self, error: BadRequest, ending: Ending) -> None:
        """Hear from the upload that what comes is no body, or that nothing comes."""
        self._keep_alive = False
        if self._exchange is not None:
            self._exchange.body_failed(error, ending)

    def hold_if_early(self) -> None:
        """Read no further while enough is held that nobody wants yet."""
        if self._watched is None and self.reader.held_bytes <= HELD_BYTES:
            return  # it is being read, and may be
        is_waiting = self._exchange is not None or self._is_blocked
        self._set_reading(not (is_waiting and self.reader.held_bytes > HELD_BYTES))

    def _set_reading(self, reading: bool) -> None:
        if reading is (self._watched is None) or self.transport.is_closing():
            return
        if reading:
            self._watch_peer(None)
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
            self._watch_peer(self.transport.get_extra_info("socket").fileno())

    def _watch_peer(self, descriptor: int | None) -> None:
        """Have somebody else watch the client while its connection is not read; None = no longer."""
        if self._watched is not None:
            self._gateway.peer_watch.forget(self._watched)
        if descriptor is not None:
            self._gateway.peer_watch.watch(descriptor, self._client_left)
        self._watched = descriptor

    # -- responses, called by the exchange and its relay --------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether the client takes no more for now."""
        return self._is_blocked

    def send_interim(self, head: ResponseHead) -> None:
        """Send a 1xx head, if the client's version has those (RFC 9110 §15.2)."""
        if self._minor_version:
            self._writer.send_bare_head(head)

    def send_head(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> None:
        """Send the final head with the framing that fits the client; ``content_length`` None = not known."""
        exchange = self._exchange
        minor_version = 1 if exchange is None else exchange.request.minor_version
        framing = self._writer.choose_framing(content_length, has_body=has_body, minor_version=minor_version)
        is_settled = exchange is None or exchange.upload.is_whole or exchange.upload.settle()
        if self._gateway.is_stopping or is_last(framing, head.headers) or not is_settled:
            self._keep_alive = False
        if framing is _SIZED and head.body_follows:
            self._joined.hold(head, content_length, minor_version=minor_version, keep_alive=self._keep_alive)
        else:
            self._writer.send_head(head, content_length, minor_version=minor_version, keep_alive=self._keep_alive)

    @property
    def piece_sender(self) -> Callable[[bytes], None]:
        """What sends body bytes in the framing of the head that was sent."""
        return self._joined.send if self._joined.is_held else self._writer.piece_sender

    @property
    def chunk_passer(self) -> Callable[[bytes], None] | None:
        """What sends chunks that are framed already, where the response is chunked."""
        return self._writer.chunk_passer

    def send_piece(self, piece: bytes) -> None:
        """Send body bytes in the response's framing."""
        send = self.piece_sender  # not called where it is got: mypyc would take the property for a method
        send(piece)

    def end_body(self) -> None:
        """End the response properly and go on to the next request, or close."""
        exchange, self._exchange = self._exchange, None
        self._joined.flush()
        self._writer.end_body()
        is_whole = exchange is None or exchange.upload.is_whole
        if not (self._keep_alive and is_whole and self._gateway.keeps_idle):
            self._linger(is_whole=is_whole)
            return
        self._state = _HEAD
        self._wait(self._gateway.settings.http.keepalive_timeout_s)
        if self.reader.held_bytes:
            self._gateway.loop.call_soon(self._next_request)

    def break_body(self) -> None:
        """End so that the client can tell: FIN without the last chunk or the full length, RST where FIN means complete."""
        self._exchange = None
        self._state = _LINGERING
        self._joined.flush()
        self._writer.break_body()
        self._watch_flush()

    def send_tunnel_head(self, head: ResponseHead) -> bytes:
        """Send a 101 and stop being HTTP until :meth:`tunnel_ended`; give what the client said in the new protocol."""
        self._state = State.TUNNEL
        self._writer.send_bare_head(head)
        self._set_reading(True)
        return self.reader.take_held()

    def tunnel_ended(self) -> None:
        """Hear that the transport is closed."""
        self._state = State.CLOSED
        self._exchange = None
        self._gateway.wheel.cancel(self)
        self._gateway.connection_closed(self)

    def close_if_idle(self) -> None:
        """Close between two requests; one whose head is on its way still has its time."""
        if self._state is _HEAD and not self._in_head:
            self._close()

    @property
    def exchange(self) -> Exchange | None:
        """The exchange under way, or None."""
        return self._exchange

    @property
    def _minor_version(self) -> int:
        return self._exchange.request.minor_version if self._exchange is not None else 1

    # -- the end --------------------------------------------------------------------------------------------------------------

    def check_deadline(self, now: float) -> float | None:
        """Close what has been idle, slow, blocked or lingering for too long."""
        if self._state in {State.CLOSED, State.TUNNEL}:
            return None
        if self._state is _LINGERING or self._is_blocked:
            self._check_flush(now)
        elif self._state is _EXCHANGE:
            if self._exchange is None or self._exchange.relay is not None:
                return None  # once a response flows, the body has all the time that the response has
            return self._exchange.upload.check_stall(now)
        elif now >= self._deadline:
            if self._in_head:
                self._refuse(BadRequest(408, "the request head did not come in time"))
            else:
                self._close()
        return self._deadline

    def _check_flush(self, now: float) -> None:
        """Give the client up if it has taken nothing for too long, or has not closed though it has everything."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._moved_at = now
        self._deadline = self._moved_at + (self._gateway.settings.http.send_timeout_s if unsent else LINGER_S)
        if now >= self._deadline:
            if self._exchange is not None:
                self._exchange.stop(Ending.CLIENT_STALLED)
            self.transport.abort()

    def _watch_flush(self) -> None:
        now = self._moved_at = self._gateway.clock()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._check_flush(now)
        self._gateway.wheel.schedule(self, self._deadline)

    def _wait(self, seconds: float) -> None:
        self._deadline = self._gateway.clock() + seconds
        self._gateway.wheel.schedule(self, self._deadline)

    def _close(self) -> None:
        self._state = _LINGERING
        self.transport.close()
        self._watch_flush()

    def _linger(self, *, is_whole: bool = False) -> None:
        """Close once everything is sent; while bytes of the client may be unread, wait for its own FIN before."""
        if is_whole and not self.reader.held_bytes:
            self._close()
            return
        self._state = _LINGERING
        self._set_reading(True)
        if not self.transport.is_closing():
            self.transport.write_eof()
        self._watch_flush()

    def _set_user_timeout(self, timeout_s: float) -> None:
        if not self.transport.is_closing():
            self._gateway.liveness.set_user_timeout(self.transport.get_extra_info("socket"), timeout_s)

    def _client_left(self) -> None:
        self.transport.abort()
        self._client_gone()

    def _client_gone(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
