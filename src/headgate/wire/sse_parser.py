"""Bytes to events exactly as WHATWG HTML §9.2.6 says, whatever the cuts.

Invariants: a line is handled as soon as its first line-end byte is here (a CR is not held for an LF that may follow);
decoding is by line, which gives the same text as decoding the whole, for no UTF-8 sequence contains CR or LF; what
has not been ended by a blank line when the stream ends is never dispatched.
"""

from __future__ import annotations

from headgate.wire.sse_event import BOM, Event, parse_retry, split_line


class EventParser:
    """A stream's parser.

    ``reconnection_time_ms`` is the last valid retry field (milliseconds), None before one came. ``last_event_id`` is
    the id as of the last blank line: what a client that reconnects now sends as ``Last-Event-ID``. Holds the current
    event's lines without a bound, as the standard does.
    """

    __slots__ = ("_after_cr", "_at_start", "_data", "_id", "_line", "_type", "last_event_id", "reconnection_time_ms")

    def __init__(self) -> None:
        self.reconnection_time_ms: int | None = None
        self.last_event_id = ""
        self._line = bytearray()
        self._at_start = True
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; give the events that they complete, in order."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        tail = b"" if data.endswith((b"\r", b"\n")) else lines.pop()
        if lines:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        self._line += tail
        return [event for line in lines if (event := self._take_line(line)) is not None]

    def _take_line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if not line:
            return self._dispatch()
        name, value = split_line(line)
        if name == b"data":
            self._data.append(value.decode(errors="replace"))
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and (milliseconds := parse_retry(value)) is not None:
            self.reconnection_time_ms = milliseconds
        return None

    def _dispatch(self) -> Event | None:
        event_type, self._type = self._type, ""
        data, self._data = self._data, []
        self.last_event_id = self._id
        return Event(event_type or "message", "\n".join(data), self._id) if data else None
