"""The event that says that a stream is complete, such as ``data: [DONE]`` or ``event: message_stop``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.wire.sse import EventCutter, RawEvent

MAX_MARKER_BYTES = 64 * 1024
"""A block larger than this is not looked at: no marker is."""


@dataclass(frozen=True, slots=True)
class EndMarker:
    """``field`` of the event must be exactly ``value``; a type without data counts, as some servers end so."""

    field: Literal["data", "event"]
    value: bytes

    @classmethod
    def parse(cls, text: str) -> EndMarker:
        """Read one as it stands in a stream: ``data: VALUE`` or ``event: VALUE``. Raises ValueError with the reason."""
        name, colon, value = text.partition(":")
        value = value.removeprefix(" ")
        if not colon or name not in {"data", "event"} or not value or any(end in value for end in "\r\n"):
            raise ValueError('expected "any_eof", "data: VALUE" or "event: VALUE" on one line')
        if (name, value) == ("event", "message"):
            raise ValueError("every event without a type of its own is a message: none of them ends the stream")
        return cls("data" if name == "data" else "event", value.encode())

    def matches(self, event: RawEvent) -> bool:
        """Say whether this is the event."""
        return self.value == (event.type if self.field == "event" else event.data)


class EndMarkerWatch:
    """Looks for the marker in a stream as it passes.

    Pieces that hold whole blocks and not the marker's bytes cost one search; only others are cut.
    """

    __slots__ = ("_cutter", "_marker", "_needle", "_starts_whole", "_was_seen")

    def __init__(self, marker: EndMarker) -> None:
        self._marker = marker
        self._needle = marker.value
        self._cutter = EventCutter(MAX_MARKER_BYTES)
        self._starts_whole = False
        self._was_seen = False

    def feed(self, piece: bytes, *, ends_whole: bool) -> None:
        """Take the next piece; ``ends_whole``: the stream stands between two blocks after it."""
        starts_whole, self._starts_whole = self._starts_whole, ends_whole
        if self._was_seen or (starts_whole and ends_whole and self._needle not in piece):
            return
        for event in self._cutter.feed(piece):
            if self._marker.matches(event):
                self._was_seen = True

    @property
    def seen(self) -> bool:
        """Whether the stream so far holds the marker; true for good once it is in a whole block.

        A last block without its blank line counts: some servers leave it out behind their last line, and their clients
        read lines. It is to be asked at the proper end of a body, where no more of that line can follow.
        """
        return self._was_seen or self._is_in_rest()

    def _is_in_rest(self) -> bool:
        rest = self._cutter.rest()
        if self._needle not in rest:
            return False
        return any(self._marker.matches(event) for event in EventCutter().feed(rest + b"\n\n"))
