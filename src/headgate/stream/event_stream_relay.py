"""The bytes of an event stream, as they come, with its events counted; and what headgate itself says on it.

Bytes of our own (keep-alives, ``retry:``, a terminal event) go only where :attr:`EventStreamRelay.untouched` is None, and
only between two blocks: the stream without them is the upstream's, byte for byte. Before the upstream's first bytes
nothing is written but at the stream's end, for a BOM has to stay first; with ``policy.early`` it is dropped instead.

A stream that nobody looks at costs a count of its events and two stamps per read. What needs every piece (a live tail,
an end marker, an end that waits for a boundary) switches the quick way off while it is there.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headgate.stream.end_marker import EndMarkerWatch
from headgate.stream.ending import Ending
from headgate.stream.event_gaps import EventGaps
from headgate.stream.policy import COMMENT, Close, StreamPolicy
from headgate.stream.relay import Downstream, OnEnd, Relay, Source, Transform
from headgate.wire.chunked import single_chunk
from headgate.wire.sse import BOM, EventCounter, EventTooLarge
from headgate.wire.whole_chunks import count_whole_chunks

_NOT_THE_STREAM = frozenset({"head", "status"})
"""Responses that are not what was asked for, by why they are untouched: they need no end marker."""
_COMES_BACK = frozenset({Ending.DRAIN, Ending.ROUTE_REMOVED, Ending.MAX_DURATION, Ending.REVOKED})
"""Ends that headgate plans: the client is told when to come back, each another time, so that not all come at once."""


class Tap(Protocol):
    """Somebody who looks on. Neither method may raise or wait."""

    def piece_passed(self, piece: bytes) -> None:
        """Hear of body bytes that were handed to the client."""

    def stream_ended(self, ending: Ending) -> None:
        """Hear that there are no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """What one event stream is relayed by: its route's policy, the worker's gaps, its own id.

    ``untouched`` says why nothing of ours may be written into it, None = it may.
    """

    policy: StreamPolicy
    gaps: EventGaps
    stream_id: str = ""
    untouched: str | None = None


class EventStreamRelay(Relay):
    """See the module."""

    __slots__ = (
        "_bom",
        "_count",
        "_counter",
        "_gaps",
        "_is_watched",
        "_marker",
        "_max_bytes",
        "_quick_pass",
        "_safe_bytes",
        "_sent_at",
        "_taps",
        "policy",
        "stream_id",
    )

    is_event_stream = True

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        settings: StreamSettings,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Transform, ...] = (),
    ) -> None:
        super().__init__(
            downstream, source, clock=clock, on_end=on_end, transforms=transforms, untouched=settings.untouched
        )
        self.policy = settings.policy
        self.stream_id = settings.stream_id
        self._gaps = settings.gaps
        self._max_bytes = settings.policy.max_bytes or sys.maxsize
        self._counter = EventCounter(self._count_limit)
        self._safe_bytes = self._count_limit or sys.maxsize
        self._count: Callable[[bytes], int] = self._counter.feed
        marker = None if settings.untouched in _NOT_THE_STREAM else settings.policy.end_marker
        self._marker = None if marker is None else EndMarkerWatch(marker)
        self._taps: tuple[Tap, ...] = ()
        self._bom: bytes | None = None  # what has come of a BOM that is to be dropped; None = it is not looked for
        self._quick_pass: Callable[[bytes], None] | None = None
        self._sent_at = 0.0  # kept up where not all that is read is sent
        self._is_watched = False

    @property
    def _count_limit(self) -> int:
        return self.policy.max_event_bytes

    @property
    def _must_watch_bytes(self) -> bool:
        return bool(self.policy.max_bytes)

    def send_by(self, send: Callable[[bytes], None], pass_chunks: Callable[[bytes], None] | None = None) -> None:
        """Send the framing's own way; see :class:`Relay`. With ``policy.early`` a comment follows the head at once."""
        super().send_by(send, pass_chunks)
        self._quick_pass = self._pass_chunks
        if self.policy.early and self.untouched is None and self.ending is None:
            self._bom = b""
            self._count(b"\n")  # in its place: the upstream's blocks may be limited to less
            self._send(COMMENT)
            self.keepalives += 1
        self._set_watched()

    # -- from the upstream ----------------------------------------------------------------------------------------------

    def piece_received(self, piece: bytes) -> None:
        """Pass one read's body bytes on."""
        if self._transforms:
            piece = self._transform(piece)
            if piece:
                self._sent_at = self._source.last_read
        self._pass(piece)

    def chunks_received(self, data: bytes) -> bool:
        """Pass a read on that begins with a chunk: as it is, if it can be. False: it must be parsed."""
        pass_chunks = self._pass_chunks
        if pass_chunks is None:
            return False
        if self._counter.at_boundary and len(data) <= self._safe_bytes and (found := count_whole_chunks(data)):
            self.bytes_sent += found[0]
            if found[1]:
                self._stamp(found[1])
            pass_chunks(data)
            return True
        piece = single_chunk(data)
        if piece is None:
            return False
        if self._note(piece):
            pass_chunks(data)
        return True

    def _pass(self, piece: bytes) -> None:
        if self._is_watched:
            self._pass_watched(piece)
        elif piece and self._note(piece):
            self._send(piece)

    def _note(self, piece: bytes) -> bool:
        """Count what is about to be sent; False: it must not be, the stream has ended on it."""
        try:
            events = self._count(piece)
        except EventTooLarge as error:
            self._end_before(piece[: error.whole_bytes], error.events)
            return False
        self.bytes_sent += len(piece)
        if events:
            self._stamp(events)
        elif not self.first_piece_at:
            self.first_piece_at = self._source.last_read
        return True

    def _stamp(self, events: int) -> None:
        """Note that a read brought so many events, at least one."""
        self.events += events
        now = self._source.last_read
        gaps = self._gaps
        if self.first_event_at:
            gaps.count(now - self.last_event_at)
        else:
            self.first_event_at = now
            self.first_piece_at = self.first_piece_at or now
        self.last_event_at = now
        if events > 1:
            gaps.counts[0] += events - 1

    def _end_before(self, whole: bytes, events: int) -> None:
        """Pass on what a read brought before an event that is too large, and end."""
        self._count = lambda _: events  # the counter has given up
        if whole:
            self._deliver(whole)
        self.stop(self.due_ending or Ending.MAX_EVENT_BYTES)

    # -- with somebody looking ----------------------------------------------------------------------------------------------

    def add_tap(self, tap: Tap) -> None:
        """Let somebody look on from the next piece on."""
        self._taps = (*self._taps, tap)
        self._set_watched()

    def remove_tap(self, tap: Tap) -> None:
        """Let somebody look on no longer; unknown ones are nobody's mistake, as a stream's end removes all."""
        self._taps = tuple(one for one in self._taps if one is not tap)
        self._set_watched()

    def end_soon(self, ending: Ending) -> None:
        """End at the next boundary between two events; the first of two reasons counts."""
        super().end_soon(ending)
        self._set_watched()

    def detach(self) -> None:
        """Let the upstream finish though the client has left."""
        super().detach()
        self.untouched = self.untouched or "gone"
        self._set_watched()

    def _set_watched(self) -> None:
        watchers = (self._marker, self._bom is not None, self._taps, self.due_ending, self._must_watch_bytes)
        self._is_watched = self.is_detached or any(watchers)
        self._pass_chunks = None if self._is_watched else self._quick_pass

    def _pass_watched(self, piece: bytes) -> None:
        if self._bom is not None:
            piece = self._without_bom(self._bom + piece)
        if not piece:
            return
        if self.is_detached:
            self._hear(piece)
            return
        piece, ending = self._within_limits(piece)
        if piece and not self._deliver(piece):
            return
        if ending is not None:
            self.stop(ending)
        elif self.due_ending is not None and self.at_boundary:
            self.stop(self.due_ending)

    def _deliver(self, piece: bytes) -> bool:
        if not self._note(piece):
            return False
        self._send(piece)
        if self._marker is not None:
            self._marker.feed(piece, ends_whole=self._counter.at_boundary)
        for tap in self._taps:
            tap.piece_passed(piece)
        return True

    def _hear(self, piece: bytes) -> None:
        """Let the clocks of an upstream that finishes for nobody go on."""
        try:
            if self._count(piece):
                self.last_event_at = self._source.last_read
        except EventTooLarge:
            self.stop(Ending.MAX_EVENT_BYTES)

    def _within_limits(self, piece: bytes) -> tuple[bytes, Ending | None]:
        """Give what of a piece may be sent, and the reason if the stream ends there."""
        left = self._max_bytes - self.bytes_sent
        if len(piece) > left:
            return piece[: self._counter.last_boundary(piece[:left])], self.due_ending or Ending.MAX_BYTES
        if self.due_ending is not None and (end := self._counter.last_boundary(piece)):
            return piece[:end], None
        return piece, None

    def _without_bom(self, start: bytes) -> bytes:
        """Drop the BOM from a stream's first bytes, once there are enough of them to tell."""
        if len(start) < len(BOM) and BOM.startswith(start):
            self._bom = start
            return b""
        self._bom = None
        self._set_watched()
        return start.removeprefix(BOM)

    # -- what headgate says -------------------------------------------------------------------------------------------------

    @property
    def at_boundary(self) -> bool:
        """Whether the bytes so far end between two events, or there are none."""
        return self._counter.at_boundary or not self.bytes_sent

    @property
    def sent_at(self) -> float:
        """When bytes of the upstream went to the client last; what a plugin dropped or holds back does not count."""
        return self._sent_at if self.changes_length else self._source.last_read

    def keep_alive(self) -> bool:
        """Send a keep-alive, if the stream stands where one may be; say whether it did."""
        if self.untouched is not None or self.ending is not None or not self._counter.at_boundary:
            return False
        self._send(self.policy.keepalive)
        self.keepalives += 1
        return True

    def _judge(self, ending: Ending) -> Ending:
        if ending is Ending.COMPLETE and self._marker is not None and not self._marker.seen:
            return Ending.UPSTREAM_EOF
        return ending

    def _rest(self, ending: Ending) -> bytes:  # noqa: ARG002 - the same for every ending
        return self._bom or b""

    def _pass_rest(self, rest: bytes) -> None:
        super()._pass_rest(rest)
        for tap in self._taps:
            tap.piece_passed(rest)

    def _say_farewell(self, ending: Ending) -> bool:
        if self.untouched is not None or not self.at_boundary or ending is Ending.CLIENT_STALLED:
            return False
        if ending in _COMES_BACK:
            self._send(b"retry: %d\n\n" % jittered_ms(self.policy.retry_s))
        if self.policy.terminal_event is None:
            return False
        self._send(self.policy.terminal_event.render(ending, self.stream_id))
        return self.policy.close is Close.CLEAN

    def _end(self, ending: Ending) -> None:
        super()._end(ending)
        taps, self._taps = self._taps, ()
        for tap in taps:
            tap.stream_ended(self.ending or ending)


class LimitedStreamRelay(EventStreamRelay):
    """One with ``policy.max_bytes`` that goes the quick way up to there: one comparison more per read, for it alone."""

    __slots__ = ()

    def chunks_received(self, data: bytes) -> bool:
        """Pass a read on that begins with a chunk: as it is, if it can be. False: it must be parsed."""
        return self.bytes_sent + len(data) <= self._max_bytes and super().chunks_received(data)

    def _pass(self, piece: bytes) -> None:
        if self._is_watched or self.bytes_sent + len(piece) > self._max_bytes:
            self._pass_watched(piece)
        elif piece and self._note(piece):
            self._send(piece)

    @property
    def _must_watch_bytes(self) -> bool:
        return False


def jittered_ms(retry_s: float) -> int:
    """Give a reconnection time between ``retry_s`` and its double, in milliseconds."""
    return round(random.uniform(retry_s, 2 * retry_s) * 1000)  # noqa: S311 - spreads load, keeps no secret
