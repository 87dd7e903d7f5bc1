"""An event stream cut into its events: for plugins that look at them, and where none may be left half sent.

An event goes on when it is whole; what a handler leaves untouched keeps its bytes. Of an event that is larger than
``policy.max_event_bytes`` nothing goes on and the stream ends; where that is off, it passes in fragments that no
handler can read.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay, StreamSettings
from headgate.stream.relay import BY_UPSTREAM, Downstream, OnEnd, Source, Transform
from headgate.wire.sse import BOM, EventCutter, RawEvent

HELD_BYTES = 1024 * 1024
"""How much of an event is held where its size is not limited."""

Handler = Callable[[RawEvent], bytes]


class EventsRelay(EventStreamRelay):
    """See the module. ``handlers`` are the route's ``on_event`` methods, bound to the exchange; there may be none."""

    __slots__ = ("_cutter", "_handlers")

    def __init__(
        self,
        downstream: Downstream,
        source: Source,
        settings: StreamSettings,
        *,
        clock: Callable[[], float],
        on_end: OnEnd,
        transforms: tuple[Transform, ...] = (),
        handlers: tuple[Handler, ...] = (),
    ) -> None:
        super().__init__(downstream, source, settings, clock=clock, on_end=on_end, transforms=transforms)
        self._cutter = EventCutter(settings.policy.max_event_bytes or HELD_BYTES)
        self._handlers = handlers

    @property
    def _count_limit(self) -> int:
        return 0  # the cutter's business

    def piece_received(self, piece: bytes) -> None:
        """Pass on the events that are whole; what is left waits for its end."""
        if self._transforms:
            piece = self._transform(piece)
        events = self._cutter.feed(piece)
        is_too_large = bool(self.policy.max_event_bytes) and any(event.fragment for event in events)
        if is_too_large:
            events = list(takewhile(_is_whole, events))
        out = b"".join(map(self._handle, events))
        if self.ending is not None:
            return
        if out:
            self._sent_at = self._source.last_read
            self._pass(out)
        elif any(event.is_event for event in events):
            self.last_event_at = self._source.last_read  # a plugin dropped them; the upstream is as lively as ever
        if is_too_large:
            self.stop(Ending.MAX_EVENT_BYTES)

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

    def _judge(self, ending: Ending) -> Ending:
        """Give the true reason of an end: what is held back may hold the end marker, or be more than may be sent."""
        rest = self._cutter.rest()
        if self._marker is not None and ending is Ending.COMPLETE:
            self._marker.feed(rest, ends_whole=False)
        ending = super()._judge(ending)
        is_too_much = 0 < self.policy.max_bytes < self.bytes_sent + len(rest)
        return Ending.MAX_BYTES if is_too_much and self._passes_rest(ending) else ending

    def _passes_rest(self, ending: Ending) -> bool:
        """Say whether an unfinished event goes on: not before a terminal event, which would become a part of it."""
        if ending is Ending.COMPLETE or self.policy.terminal_event is None or self.untouched is not None:
            return ending in BY_UPSTREAM
        return False

    def _rest(self, ending: Ending) -> bytes:
        """Give an unfinished event as the handlers leave it: a client that reads lines would see it too."""
        rest = self._cutter.rest()
        if self._bom is not None:
            rest = rest.removeprefix(BOM)
        return self._handle(RawEvent(rest, fragment=True)) if rest and self._passes_rest(ending) else b""


def _is_whole(event: RawEvent) -> bool:
    return not event.fragment
