"""One connection to a target, speaking HTTP/1.1 (RFC 9112).

States: IDLE (in the pool or fresh) → WAITING (request sent, no final head yet) → BODY → IDLE or CLOSED; or WAITING →
TUNNEL after a 101. A connection serves one exchange at a time and tells it, in this order and never more:
interim heads, one head, pieces, then exactly one of ``response_ended`` and ``upstream_failed``. After ``abort`` it
tells nothing.

What cannot be trusted is not reused: a connection with a half-read response, bytes after the response's end, an
unfinished upload, or an EOF is closed.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from headgate.errors import GatewayError
from headgate.timer_wheel import UNSCHEDULED, TimerWheel
from headgate.upstream.receivers import BodyReceiver, HeadReceiver
from headgate.upstream.response_reader import ResponseReader, failure
from headgate.upstream.unread import take_unread
from headgate.wire.chunked import LAST_CHUNK, encode_chunk
from headgate.wire.request import ResponseHead

if TYPE_CHECKING:
    from headgate.upstream.pool import Pool


class State(Enum):
    """What a connection is doing."""

    IDLE = auto()
    WAITING = auto()
    BODY = auto()
    TUNNEL = auto()
    CLOSED = auto()


_SERVING = frozenset({State.WAITING, State.BODY})

_BODY = State.BODY  # an enum's member costs a look-up through its metaclass, which is felt once per event


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as bytes, and what to know about it.

    ``has_body``: pieces and an end of upload follow, framed as chunks if ``chunked``. ``wants_upgrade``: a 101 is
    welcome. Timeouts in seconds, 0 = none: ``read_timeout_s`` is the longest gap between two reads once the request
    is out, ``send_timeout_s`` the longest time that the target takes no byte of the body.
    """

    head: bytes
    has_body: bool = False
    chunked: bool = False
    no_response_body: bool = False
    wants_upgrade: bool = False
    read_timeout_s: float = 0.0
    send_timeout_s: float = 0.0


_SENT = Outgoing(b"")
"""Stands for a request without a body that has its response: its bytes would be kept for as long as a stream is open."""


class Http1Client(asyncio.Protocol):
    """See the module. ``max_head_bytes`` bounds a response head with all interim heads before it."""

    __slots__ = (
        "_blocked_since",
        "_body_receiver",
        "_eof_seen",
        "_head_receiver",
        "_is_paused",
        "_outgoing",
        "_pool",
        "_reader",
        "_state",
        "_uploading",
        "_wheel",
        "asked_at",
        "clock",
        "idle_since",
        "last_read",
        "read_timeout_s",
        "requests",
        "transport",
        "wheel_slot",
    )

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop, wheel: TimerWheel, max_head_bytes: int) -> None:
        self._pool = pool
        self._wheel = wheel
        self._reader = ResponseReader(max_head_bytes)
        self._state = State.IDLE
        self._outgoing: Outgoing | None = None
        self._head_receiver: HeadReceiver | None = None
        self._body_receiver: BodyReceiver | None = None
        self._uploading = False
        self._blocked_since = 0.0
        self._eof_seen = False
        self._is_paused = False
        self.clock = loop.time
        self.transport: asyncio.Transport | None = None
        self.read_timeout_s = 0.0
        self.last_read = 0.0
        self.asked_at = 0.0
        self.idle_since = 0.0
        self.requests = 0
        self.wheel_slot = UNSCHEDULED

    # -- what the exchange does ---------------------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether an idle connection can still take a request."""
        return self._state is State.IDLE and self.transport is not None and not self.transport.is_closing()

    def send(self, outgoing: Outgoing, receiver: HeadReceiver) -> None:
        """Send a request's head and expect its response."""
        assert self.transport is not None
        self._state = State.WAITING
        self._outgoing = outgoing
        self._head_receiver = receiver
        self._uploading = outgoing.has_body
        self._reader.start(no_body=outgoing.no_response_body)
        if outgoing.has_body:
            self._give_time(is_given=True)
        self.requests += 1
        self.set_read_timeout(outgoing.read_timeout_s)
        self.asked_at = self.last_read
        self.transport.write(outgoing.head)

    def set_read_timeout(self, read_timeout_s: float) -> None:
        """Change the longest gap between two reads, from now on; 0 = none."""
        self.last_read = self.clock()
        self.read_timeout_s = read_timeout_s
        if read_timeout_s and self._state in _SERVING:
            self._wheel.schedule(self, self.last_read + read_timeout_s)

    def send_piece(self, piece: bytes) -> None:
        """Send a non-empty piece of the request's body, framed as the head said."""
        if self.transport is not None and self._uploading and self._outgoing is not None:
            self.transport.write(encode_chunk(piece) if self._outgoing.chunked else piece)

    def end_upload(self) -> None:
        """Say that the request's body is whole."""
        if self._uploading and self._outgoing is not None:
            self._uploading = False
            self.asked_at = self.last_read = self.clock()
            if self.transport is not None and self._outgoing.chunked:
                self.transport.write(LAST_CHUNK)

    def hand_body_to(self, receiver: BodyReceiver) -> None:
        """Tell somebody else of the rest of the body, if there is any."""
        if self._state is State.BODY:
            self._body_receiver = receiver

    def pause_reading(self) -> None:
        """Stop reading: the client takes no more. The read timeout rests meanwhile."""
        if not self._is_paused and self._state in _SERVING and self.transport is not None:
            self._is_paused = True
            if not self.transport.is_closing():
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.last_read = self.clock()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self) -> None:
        """Close at once and tell nobody."""
        if self._state is not State.CLOSED:
            self._leave(State.CLOSED)
            self._wheel.cancel(self)
            self._pool.closed(self)
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry
        self.transport = transport
        self._pool.opened()

    def data_received(self, data: bytes) -> None:
        """Parse what one read brought and hand it on as one piece."""
        self.last_read = self.clock()
        reader = self._reader
        receiver = self._body_receiver
        if reader.between_chunks and receiver is not None and receiver.chunks_received(data):
            return
        if self._state is _BODY:
            reader.feed_body(data)
        else:
            if self._state is State.IDLE:
                self.abort()  # nothing was asked: whatever this is, the next response could not be told from it
                return
            reader.feed(data)
            if self._state is State.WAITING:
                self._hand_on_heads(reader)
            if self._state is not _BODY:
                return
        piece = reader.take_piece()
        if piece is not None and self._body_receiver is not None:
            self._body_receiver.piece_received(piece)
        if reader.ended or reader.trouble is not None:
            self._end_body(reader)

    def eof_received(self) -> bool:
        """Let the transport close; ``connection_lost`` says what it meant."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        self._eof_seen = tls is None or _has_closure_alert(tls)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what the loss means for the exchange; of an upload that broke off, there may be an answer."""
        has_body = self._outgoing is not None and self._outgoing.has_body
        if exc is not None and has_body and self.transport is not None and (data := take_unread(self.transport)):
            self.data_received(data)
        if self._state is State.CLOSED:
            return
        if exc is not None:
            self._fail(failure("upstream_reset", retryable=self._may_repeat, detail=str(exc)))
        elif self._state is State.BODY and self._reader.close_delimited and self._eof_seen:
            self._finish()
        else:
            waiting = self._state is State.WAITING
            detail = "closed before a response head" if waiting else "closed before the response's end"
            self._fail(failure("upstream_eof", retryable=self._may_repeat, detail=detail))

    def pause_writing(self) -> None:
        """Hear that the target is slow to take the upload."""
        self._blocked_since = self.clock()
        self._give_time(is_given=True)
        if self._head_receiver is not None:
            self._head_receiver.upload_blocked()
        if self._outgoing is not None and self._outgoing.send_timeout_s:
            self._wheel.schedule(self, self._blocked_since + self._outgoing.send_timeout_s)

    def resume_writing(self) -> None:
        """Hear that the target takes the upload again."""
        self._blocked_since = 0.0
        self._give_time(is_given=self._state is State.WAITING)
        if self._head_receiver is not None:
            self._head_receiver.upload_ready()

    # -- deadlines --------------------------------------------------------------------------------------------------------

    def check_deadline(self, now: float) -> float | None:
        """Close what has been idle, blocked or silent for too long."""
        if self._state is State.IDLE:
            return self._pool.check_idle(self, now) if self.idle_since else None
        if self._state not in _SERVING or self._outgoing is None:
            return None
        if self._blocked_since and self._outgoing.send_timeout_s:
            due = self._blocked_since + self._outgoing.send_timeout_s
            if now < due:
                return due
            self._fail(failure("send_timeout", status=504, detail="the target takes no more of the request"))
            return None
        if not self.read_timeout_s:
            return None
        if self._is_paused or (self._uploading and self._state is State.WAITING):
            return now + self.read_timeout_s
        due = self.last_read + self.read_timeout_s
        if now < due:
            return due
        detail = f"no byte for {self.read_timeout_s:g} s"
        self._fail(failure("read_timeout", status=504, retryable=self._may_repeat, detail=detail))
        return None

    # -- inside -------------------------------------------------------------------------------------------------------------

    @property
    def _may_repeat(self) -> bool:
        """Whether the request may go to another target: no byte of a response has been seen."""
        return self._state is State.WAITING and self._reader.is_untouched

    def _give_time(self, *, is_given: bool) -> None:
        """Let the target take the upload as slowly as its clocks allow: the kernel's would count that as a silence."""
        if self.transport is not None and not self.transport.is_closing():
            self._pool.watch_silence(self.transport, is_watched=not is_given)

    def _hand_on_heads(self, reader: ResponseReader) -> None:
        self._hand_on_interim(reader)
        head = reader.head
        if self._state is not State.WAITING:
            return  # whoever heard of an interim head ended it
        if head is None:
            if reader.trouble is not None:
                self._fail(reader.trouble)
        elif head.status == 101:
            self._upgrade(head, reader.upgraded)
        else:
            assert self._head_receiver is not None
            self._state = State.BODY
            reader.head = None  # whoever takes it keeps it for as long as it is needed
            if self._outgoing is not None and self._outgoing.has_body:
                self._give_time(is_given=bool(self._blocked_since))
            else:
                self._outgoing = _SENT
            head.headers = head.headers.without_hop_by_hop()
            receiver = self._head_receiver.head_received(head, reader.content_length, has_body=reader.has_body)
            if self._state in _SERVING:
                self._body_receiver = receiver

    def _hand_on_interim(self, reader: ResponseReader) -> None:
        interim, reader.interim = reader.interim, []
        for head in interim:
            if head.status != 100 and self._head_receiver is not None:
                self._head_receiver.interim_received(head)

    def _upgrade(self, head: ResponseHead, rest: bytes | None) -> None:
        receiver = self._head_receiver
        assert receiver is not None
        if rest is None or self._outgoing is None or not self._outgoing.wants_upgrade:
            self._fail(failure("protocol_error", detail="a change of protocol that was not asked for"))
            return
        self._leave(State.TUNNEL)
        self._wheel.cancel(self)
        receiver.upgraded(head, rest)

    def _end_body(self, reader: ResponseReader) -> None:
        if self._state is not State.BODY:
            return  # whoever took the last piece ended it
        if reader.ended:
            self._finish()
        elif reader.trouble is not None:
            self._fail(reader.trouble)

    def _finish(self) -> None:
        """Hand the connection back before saying that the response ended, so that the next request may use it."""
        receiver = self._body_receiver
        assert receiver is not None
        reader = self._reader
        transport = self.transport
        assert transport is not None
        is_clean = reader.keep_alive and not (reader.close_delimited or self._uploading or reader.has_extra)
        if is_clean and not transport.is_closing():
            self._leave(State.IDLE)
            self.resume_reading()
            self._pool.put_back(self)
        else:
            self.abort()
        receiver.response_ended()

    def _fail(self, error: GatewayError) -> None:
        receiver = self._body_receiver or self._head_receiver
        self.abort()
        if receiver is not None:
            receiver.upstream_failed(error)

    def _leave(self, state: State) -> None:
        """Forget the exchange."""
        self._state = state
        self._reader.between_chunks = False
        self._outgoing = None
        self._head_receiver = None
        self._body_receiver = None
        self._uploading = False
        self._blocked_since = 0.0


def _has_closure_alert(tls: ssl.SSLObject) -> bool:
    """Say whether TLS itself said that nothing more comes: a FIN alone may be an attacker's (RFC 9112 §9.8)."""
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False  # it still waits for something to read
