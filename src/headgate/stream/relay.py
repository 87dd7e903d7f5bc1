"""Body pieces from an upstream to a client: the path that every event takes.

One read of the upstream makes one write to the client. Nothing is held back (an event plugin holds at most the event
that is not yet whole), nothing is awaited, and nothing is allocated per event but the bytes that are sent. A client
that takes no more pauses the reading of the upstream, so that a stream's memory is what one read brings plus the
transports' own buffers.

A relay ends exactly once, with one :class:`~headgate.stream.ending.Ending`, whoever ends it, and does not touch its
source from then on: the connection may serve another exchange already. A plugin that raises ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headgate.errors import GatewayError
from headgate.stream.ending import Ending
from headgate.wire.sse import EventCounter, EventCutter, RawEvent


class Downstream(Protocol):
    """The client's side: frames what it is given."""

    def send_piece(self, piece: bytes) -> None:
        """Send a non-empty piece of body."""

    def end_body(self) -> None:
        """Say that the body is complete."""

    def break_body(self) -> None:
        """End so that the client can tell that the body is not complete."""


class Source(Protocol):
    """The upstream's side."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Close the connection; it is told nothing more."""


OnEnd = Callable[[Ending], None]

_ENDINGS = {
    "upstream_eof": Ending.UPSTREAM_EOF,
    "upstream_reset": Ending.UPSTREAM_RESET,
    "read_timeout": Ending.UPSTREAM_STALL,
    "send_timeout": Ending.UPSTREAM_STALL,
    "protocol_error": Ending.UPSTREAM_PROTOCOL_ERROR,
}
_BY_UPSTREAM = frozenset({Ending.COMPLETE, Ending.UPSTREAM_RESET, *_ENDINGS.values()})


class Relay:
    """Bytes of any response, counted. ``transforms`` are the route's ``on_chunk`` methods, bound to the exchange.

    ``clock`` gives seconds; ``first_piece_at`` and ``first_event_at`` are its readings, 0 until there was one.
    """

    __slots__ = (
        "_clock",
        "_downstream",
        "_on_end",
        "_pass_chunk",
        "_send",
        "_source",
        "_transforms",
        "bytes_sent",
        "ending",
        "events",
        "first_event_at",
        "first_piece_at",
    )

    is_event_stream = False

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Callable[[bytes], bytes], ...] = (),
    ) -> None:
        self._downstream = downstream
        self._send: Callable[[bytes], None] = downstream.send_piece
        self._pass_chunk: Callable[[bytes], None] | None = None
        self._source = source
        self._clock = clock
        self._on_end = on_end
        self._transforms = transforms
        self.bytes_sent = 0
        self.events = 0
        self.first_piece_at = 0.0
        self.first_event_at = 0.0
        self.ending: Ending | None = None

    def send_by(self, send: Callable[[bytes], None], pass_chunk: Callable[[bytes], None] | None = None) -> None:
        """Send the framing's own way, which is known once the head is out.

        ``send`` takes pieces; ``pass_chunk``, where the client's body is chunked too, takes chunks as they came.
        """
        self._send = send
        if not self.changes_length:
            self._pass_chunk = pass_chunk

    # -- from the upstream ----------------------------------------------------------------------------------------------

    def piece_received(self, piece: bytes) -> None:
        """Pass one read's body bytes on."""
        if not self.first_piece_at:
            self.first_piece_at = self._clock()
        if self._transforms:
            piece = self._transform(piece)
        if piece:
            self.bytes_sent += len(piece)
            self._send(piece)

    def chunk_received(self, chunk: bytes, piece: bytes) -> None:
        """Pass one read on that was exactly one chunk: as it is, if it can be."""
        if self._pass_chunk is None:
            self.piece_received(piece)
            return
        if not self.first_piece_at:
            self.first_piece_at = self._clock()
        self._pass_chunk(chunk)
        self.bytes_sent += len(piece)

    def _transform(self, piece: bytes) -> bytes:
        try:
            for transform in self._transforms:
                piece = transform(piece)
        except Exception:
            self.stop(Ending.GATEWAY_ERROR)
            raise  # the loop reports it
        return piece if self.ending is None else b""

    def response_ended(self) -> None:
        """End the client's body too."""
        self._end(Ending.COMPLETE)

    def upstream_failed(self, error: GatewayError) -> None:
        """Break the client's body where the upstream broke."""
        self._end(_ENDINGS.get(error.code, Ending.UPSTREAM_RESET))

    # -- from the client --------------------------------------------------------------------------------------------------

    def client_blocked(self) -> None:
        """Read no more of the upstream while the client takes nothing."""
        if self.ending is None:
            self._source.pause_reading()

    def client_ready(self) -> None:
        """Read on."""
        if self.ending is None:
            self._source.resume_reading()

    def stop(self, ending: Ending) -> None:
        """End for a reason that lies outside the upstream: its connection is closed at once."""
        if self.ending is None:
            self._source.abort()
            self._end(ending)

    @property
    def at_boundary(self) -> bool:
        """Whether the stream could end here without cutting an event."""
        return True

    @property
    def changes_length(self) -> bool:
        """Whether the body may be longer or shorter than the upstream says."""
        return bool(self._transforms)

    def _end(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        rest = self._rest() if ending in _BY_UPSTREAM else b""
        self.ending = ending
        if rest:
            self.bytes_sent += len(rest)
            self._send(rest)
        if ending is Ending.COMPLETE:
            self._downstream.end_body()
        elif ending is not Ending.CLIENT_GONE:
            self._downstream.break_body()
        self._on_end(ending)

    def _rest(self) -> bytes:
        """Give what is held back and goes to the client when the upstream ends."""
        return b""


class EventStreamRelay(Relay):
    """The bytes of an event stream, as they come, with its events counted."""

    __slots__ = ("_count", "_counter")

    is_event_stream = True

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Callable[[bytes], bytes], ...] = (),
    ) -> None:
        super().__init__(downstream, source, clock=clock, on_end=on_end, transforms=transforms)
        self._counter = EventCounter()
        self._count = self._counter.feed

    def piece_received(self, piece: bytes) -> None:
        """Pass one read's body bytes on."""
        if self._transforms:
            piece = self._transform(piece)
        if not piece:
            return
        self._send(piece)
        self.bytes_sent += len(piece)
        self.events += self._count(piece)
        if not self.first_event_at:
            self._note_first()

    def chunk_received(self, chunk: bytes, piece: bytes) -> None:
        """Pass one read on that was exactly one chunk: as it is, if it can be."""
        if self._pass_chunk is None:
            self.piece_received(piece)
            return
        self._pass_chunk(chunk)
        self.bytes_sent += len(piece)
        self.events += self._count(piece)
        if not self.first_event_at:
            self._note_first()

    def _note_first(self) -> None:
        now = self._clock()
        if not self.first_piece_at:
            self.first_piece_at = now
        if self.events:
            self.first_event_at = now

    @property
    def at_boundary(self) -> bool:
        """Whether the bytes so far end between two events."""
        return self._counter.at_boundary


class EventsRelay(EventStreamRelay):
    """An event stream cut into events for the route's ``on_event`` methods; what they leave untouched keeps its bytes."""

    __slots__ = ("_cutter", "_handlers")

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Callable[[bytes], bytes], ...] = (),
        handlers: tuple[Callable[[RawEvent], bytes], ...],
    ) -> None:
        super().__init__(downstream, source, clock=clock, on_end=on_end, transforms=transforms)
        self._cutter = EventCutter()
        self._handlers = handlers

    def piece_received(self, piece: bytes) -> None:
        """Pass on the events that are whole; what is left waits for its end."""
        if self._transforms:
            piece = self._transform(piece)
        out = b"".join(map(self._handle, self._cutter.feed(piece)))
        if not out or self.ending is not None:
            return
        self._send(out)
        self.bytes_sent += len(out)
        self.events += self._count(out)
        if not self.first_event_at:
            self._note_first()

    @property
    def changes_length(self) -> bool:
        """Whether the body may be longer or shorter than the upstream says."""
        return True

    def _handle(self, event: RawEvent) -> bytes:
        try:
            for handler in self._handlers:
                raw = handler(event)
                if raw is not event.raw:
                    if not raw:
                        return b""
                    event = RawEvent(raw, fragment=event.fragment)
        except Exception:
            self.stop(Ending.GATEWAY_ERROR)
            raise  # the loop reports it
        return event.raw

    def _rest(self) -> bytes:
        """Give an unfinished event as the handlers leave it: a client that reads lines would see it too."""
        rest = self._cutter.rest()
        return self._handle(RawEvent(rest, fragment=True)) if rest else b""
