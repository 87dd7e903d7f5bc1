"""Body pieces from an upstream to a client: what any response's way has in common.

One read of the upstream makes one write to the client. Nothing is held back, nothing is awaited, and nothing is
allocated per event but the bytes that are sent. A client that takes no more pauses the reading of the upstream, so that
a stream's memory is what one read brings plus the transports' own buffers.

A relay ends exactly once, with one :class:`~headgate.stream.ending.Ending`, whoever ends it, and does not touch its
source from then on: the connection may serve another exchange already. A plugin that raises ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headgate.errors import GatewayError
from headgate.stream.ending import Ending
from headgate.wire.chunked import single_chunk


class Downstream(Protocol):
    """The client's side: frames what it is given."""

    def send_piece(self, piece: bytes) -> None:
        """Send a non-empty piece of body."""

    def end_body(self) -> None:
        """Say that the body is complete."""

    def break_body(self) -> None:
        """End so that the client can tell that the body is not complete."""


class Source(Protocol):
    """The upstream's side. ``last_read``: when bytes came last, in the relay's clock."""

    last_read: float

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Close the connection; it is told nothing more."""


OnEnd = Callable[[Ending], None]
Transform = Callable[[bytes], bytes]

_ENDINGS = {
    "upstream_eof": Ending.UPSTREAM_EOF,
    "upstream_reset": Ending.UPSTREAM_RESET,
    "read_timeout": Ending.UPSTREAM_STALL,
    "send_timeout": Ending.UPSTREAM_STALL,
    "protocol_error": Ending.UPSTREAM_PROTOCOL_ERROR,
}
BY_UPSTREAM = frozenset({Ending.COMPLETE, Ending.UPSTREAM_RESET, *_ENDINGS.values()})
"""Ends after which what is held back goes to the client still."""


def drop(piece: bytes) -> None:
    """Send nothing."""


def _nobody(ending: Ending) -> None:
    """Hear nothing."""


class Relay:
    """Bytes of any response, counted. ``transforms`` are the route's ``on_chunk`` methods, bound to the exchange.

    ``clock`` gives seconds; ``first_piece_at``, ``first_event_at`` and ``last_event_at`` are its readings, 0 until there
    was one. ``blocked_s`` is how long the client took nothing though there was something, up to the last time that it
    took bytes again; ``blocked_since`` is 0 while it takes them. ``is_detached``: the client has left, and the upstream
    may finish for nobody. ``untouched``: why nothing of headgate's own may be written into the body, None = it may.
    """

    __slots__ = (
        "_clock",
        "_downstream",
        "_on_end",
        "_pass_chunks",
        "_send",
        "_source",
        "_transforms",
        "blocked_s",
        "blocked_since",
        "bytes_sent",
        "due_ending",
        "ending",
        "events",
        "first_event_at",
        "first_piece_at",
        "is_detached",
        "keepalives",
        "last_event_at",
        "untouched",
    )

    is_event_stream = False

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Transform, ...] = (),
        untouched: str | None = "type",
    ) -> None:
        self._downstream = downstream
        self.untouched = untouched
        self._send: Callable[[bytes], None] = downstream.send_piece
        self._pass_chunks: Callable[[bytes], None] | None = None
        self._source = source
        self._clock = clock
        self._on_end = on_end
        self._transforms = transforms
        self.bytes_sent = 0
        self.events = 0
        self.keepalives = 0
        self.first_piece_at = 0.0
        self.first_event_at = 0.0
        self.last_event_at = 0.0
        self.blocked_since = 0.0
        self.blocked_s = 0.0
        self.is_detached = False
        self.due_ending: Ending | None = None
        self.ending: Ending | None = None

    def send_by(self, send: Callable[[bytes], None], pass_chunks: Callable[[bytes], None] | None = None) -> None:
        """Send the framing's own way, which is known once the head is out.

        ``send`` takes pieces; ``pass_chunks``, where the client's body is chunked too, takes chunks as they came.
        """
        self._send = send
        if not self.changes_length:
            self._pass_chunks = pass_chunks

    # -- from the upstream ----------------------------------------------------------------------------------------------

    def piece_received(self, piece: bytes) -> None:
        """Pass one read's body bytes on."""
        if not self.first_piece_at:
            self.first_piece_at = self._clock()
        if self._transforms:
            piece = self._transform(piece)
        if piece and not self.is_detached:
            self.bytes_sent += len(piece)
            self._send(piece)

    def chunks_received(self, data: bytes) -> bool:
        """Pass a read on that begins with a chunk: as it is, if it can be. False: it must be parsed."""
        if self._pass_chunks is None or (piece := single_chunk(data)) is None:
            return False
        if not self.first_piece_at:
            self.first_piece_at = self._clock()
        self._pass_chunks(data)
        self.bytes_sent += len(piece)
        return True

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
        if self.ending is None and not self.is_detached:
            self.blocked_since = self._clock()
            self._source.pause_reading()

    def client_ready(self) -> None:
        """Read on; no clock is charged with the time between."""
        if self.ending is None:
            if self.blocked_since:
                waited_s = self._clock() - self.blocked_since
                self.blocked_s += waited_s
                self.blocked_since = 0.0
                if self.last_event_at:
                    self.last_event_at += waited_s
            self._source.resume_reading()

    def detach(self) -> None:
        """Let the upstream finish though the client has left: what it sends is dropped."""
        self.is_detached = True
        self._send = drop
        self._pass_chunks = None
        self.client_ready()

    # -- from headgate ----------------------------------------------------------------------------------------------------

    def stop(self, ending: Ending) -> None:
        """End for a reason that lies outside the upstream: its connection is closed at once."""
        if self.ending is None:
            self._source.abort()
            self._end(ending)

    def end_soon(self, ending: Ending) -> None:
        """End as soon as no event is cut by it; the first of two reasons counts. An upstream that may finish may do so."""
        if self.due_ending is None and self.ending is None and not self.is_detached:
            self.due_ending = ending
            if self.at_boundary:
                self.stop(ending)

    @property
    def at_boundary(self) -> bool:
        """Whether the stream could end here without cutting an event."""
        return True

    @property
    def changes_length(self) -> bool:
        """Whether the body may be longer or shorter than the upstream says."""
        return bool(self._transforms)

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            ending = Ending.CLIENT_GONE if self.is_detached else self._judge(ending)
            self._close(ending, self._rest(ending) if ending in BY_UPSTREAM else b"")

    def _close(self, ending: Ending, rest: bytes) -> None:
        if self.ending is not None:
            return  # a plugin that was shown the rest has ended it
        self.ending = ending
        if self.blocked_since:
            self.blocked_s += self._clock() - self.blocked_since
        if rest:
            self._pass_rest(rest)
        if ending is Ending.COMPLETE:
            self._downstream.end_body()
        elif ending is not Ending.CLIENT_GONE:
            if not rest and self._say_farewell(ending):
                self._downstream.end_body()
            else:
                self._downstream.break_body()
        on_end, self._on_end = self._on_end, _nobody  # whom it tells holds the relay: no cycle outlives the stream
        on_end(ending)

    def _judge(self, ending: Ending) -> Ending:
        """Give the true reason of an end."""
        return ending

    def _rest(self, ending: Ending) -> bytes:  # noqa: ARG002 - for those that hold bytes back
        """Give what is held back and goes to the client when the upstream ends."""
        return b""

    def _pass_rest(self, rest: bytes) -> None:
        self.first_piece_at = self.first_piece_at or self._clock()
        self.bytes_sent += len(rest)
        self._send(rest)

    def _say_farewell(self, ending: Ending) -> bool:  # noqa: ARG002 - for those that may
        """Tell the client why its stream ends; True: and then close as if it were complete."""
        return False
