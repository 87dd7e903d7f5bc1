"""One event in its forms: decoded (:class:`Event`), with its own bytes (:class:`RawEvent`), and written.

Owns the rules of a single line (WHATWG HTML §9.2.6): which part is the name, which the value, what a retry may be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
"""The byte order mark; one at the very start of a stream is dropped (WHATWG HTML §9.2.5)."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_MAX_RETRY_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event as a browser's EventSource shows it."""

    type: str
    data: str
    last_event_id: str


class _Fields(NamedTuple):
    """What the lines of one block say."""

    type: bytes = b"message"
    data: bytes | None = None
    id: bytes | None = None
    retry_ms: int | None = None
    is_comment_only: bool = False


class RawEvent:
    """One block of a stream: its exact bytes up to and including its blank line, and, on demand, what they say.

    ``raw`` is what goes on when the event is left alone. ``fragment`` says that the block was larger than its reader
    holds: ``raw`` is then a part of it (or all of it), and none of the fields below is filled in. ``start`` is the
    offset of the first line within ``raw``, behind a BOM or the LF of a CRLF whose CR ended the block before.
    """

    __slots__ = ("_fields", "_start", "fragment", "raw")

    def __init__(self, raw: bytes, *, fragment: bool = False, start: int = 0) -> None:
        self.raw = raw
        self.fragment = fragment
        self._start = start
        self._fields = _Fields() if fragment else None

    def __repr__(self) -> str:
        return f"RawEvent({self.raw!r}{', fragment=True' if self.fragment else ''})"

    @property
    def type(self) -> bytes:
        """The event type; ``message`` if the block names none."""
        return self._read().type

    @property
    def data(self) -> bytes:
        """The values of the data fields, joined by LF; empty if there is none."""
        return self._read().data or b""

    @property
    def id(self) -> bytes | None:
        """The id that the block sets (empty: it resets the id), or None if it sets none."""
        return self._read().id

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time that the block sets, in milliseconds, or None."""
        return self._read().retry_ms

    @property
    def is_event(self) -> bool:
        """Whether a client dispatches this block: it has at least one data field."""
        return self._read().data is not None

    @property
    def is_comment_only(self) -> bool:
        """Whether the block holds nothing that a client acts on: comments, blank lines, unknown fields."""
        return self._read().is_comment_only

    def _read(self) -> _Fields:
        if self._fields is None:
            self._fields = _read_block(self.raw[self._start :])
        return self._fields


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """Split a line without its end into field name and value, less one space in front; a comment has no name."""
    name, _, value = line.partition(b":")
    return name, value[1:] if value.startswith(b" ") else value


def parse_retry(value: bytes) -> int | None:
    """Give a retry field's milliseconds, or None if it is anything but ASCII digits; 10^15 stands for any more."""
    if not value.isdigit():
        return None
    digits = value.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _MAX_RETRY_DIGITS else 10**_MAX_RETRY_DIGITS


def _read_block(block: bytes) -> _Fields:
    event_type, event_id, retry_ms = b"", None, None
    data: list[bytes] = []
    for line in block.splitlines():
        name, value = split_line(line)
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event_type = value
        elif name == b"id" and b"\0" not in value:
            event_id = value
        elif name == b"retry" and (milliseconds := parse_retry(value)) is not None:
            retry_ms = milliseconds
    return _Fields(
        type=event_type or b"message",
        data=b"\n".join(data) if data else None,
        id=event_id,
        retry_ms=retry_ms,
        is_comment_only=not data and not event_type and event_id is None and retry_ms is None,
    )


def encode_event(
    data: str | bytes | None = None,
    *,
    event: str | bytes | None = None,
    id: str | bytes | None = None,  # noqa: A002 - the field's name in the standard
    retry_ms: int | None = None,
) -> bytes:
    r"""Write one block, blank line included. Text is encoded as UTF-8; what is None is left out.

    ``data`` is split at CRLF, CR and LF into one data line each (a reader joins them by LF); without it the block only
    sets id and reconnection time and is not an event.

    Raises ValueError for a CR or LF in ``event``, a CR, LF or NUL in ``id`` (the first two would start another field,
    the last makes a client ignore the id) and a negative ``retry_ms``.
    """
    lines = []
    if id is not None:
        lines.append(b"id: " + _one_line(id, name="id", refused=b"\r\n\0"))
    if event is not None:
        lines.append(b"event: " + _one_line(event, name="event", refused=b"\r\n"))
    if retry_ms is not None:
        if retry_ms < 0:
            raise ValueError(f"retry_ms is negative: {retry_ms}")
        lines.append(b"retry: %d" % retry_ms)
    if data is not None:
        lines += [b"data: " + part for part in _LINE_END.split(_octets(data))]
    return b"".join(line + b"\n" for line in lines) + b"\n"


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _one_line(text: str | bytes, *, name: str, refused: bytes) -> bytes:
    value = _octets(text)
    if any(octet in value for octet in refused):
        raise ValueError(f"{name} holds CR, LF or NUL: {value!r}")
    return value
