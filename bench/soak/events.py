r"""The soak's event, and what one connection of one stream must have brought: the part that finds violations.

An event is ``id: <number>\ndata: <key> <number> <CRC-32, 8 hex digits> <padding>\n\n``; the checksum is over all else of it. The
last event of a stream that has an end has the type ``last``. Any origin can make any event of any key, so a stream can be
resumed wherever it lands. What else may come, from the gateway, are comments, ``retry:``, and events of the types ``error``
and ``refused``. The parsing is the bench's own: what is judged has no part in judging.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import NamedTuple

_LAYOUT = re.compile(rb"(\S+) (\d+) ([0-9a-f]{8}) ([0-9.]*)")


def make_event(key: bytes, number: int, *, padding: int, last: bool = False, line_end: bytes = b"\n") -> bytes:
    """Make event ``number`` (from 0) of the stream ``key`` with so many bytes of padding."""
    filling = (b"%d." % number * (padding // 2 + 1))[:padding]
    data = b"%b %d %08x %b" % (key, number, _checksum(key, number, filling, last=last), filling)
    lines = [b"event: last"] * last + [b"id: %d" % number, b"data: " + data, b"", b""]
    return line_end.join(lines)


def _checksum(key: bytes, number: int, filling: bytes, *, last: bool) -> int:
    return zlib.crc32(b"%b %d %d %b" % (key, number, last, filling))


class Block(NamedTuple):
    """What stood between two blank lines."""

    type: bytes
    data: bytes
    retry_ms: int | None
    comments: int


class BlockReader:
    """Cuts a stream into blocks; lines end with LF or CRLF."""

    __slots__ = ("_comments", "_data", "_has_begun", "_rest", "_retry_ms", "_type")

    def __init__(self) -> None:
        self._rest = b""
        self._clear()

    def _clear(self) -> None:
        self._has_begun = False
        self._type = b""
        self._data: list[bytes] = []
        self._retry_ms: int | None = None
        self._comments = 0

    @property
    def is_torn(self) -> bool:
        """Whether the stream stands inside a block."""
        return self._has_begun or bool(self._rest)

    def feed(self, piece: bytes) -> list[Block]:
        """Take the next bytes; give the blocks that they complete."""
        found = []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            stripped = line.removesuffix(b"\r")
            if stripped:
                self._take(stripped)
            elif self._has_begun:
                found.append(Block(self._type, b"\n".join(self._data), self._retry_ms, self._comments))
                self._clear()
        return found

    def _take(self, line: bytes) -> None:
        self._has_begun = True
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"":
                self._comments += 1
            case b"event":
                self._type = value
            case b"data":
                self._data.append(value)
            case b"retry" if value.isdigit():
                self._retry_ms = int(value)


class StreamCheck:
    """One connection of the stream ``key``, asked for behind event ``after`` (-1: from its beginning).

    ``problems`` says what is wrong. ``number`` is the last event received, ``is_final`` whether it was the stream's last;
    ``announced`` is why the gateway said that it would end (``retry``, ``refused``, or the ending's word), None until it does.
    """

    __slots__ = (
        "_key",
        "_reader",
        "announced",
        "events",
        "is_final",
        "keepalives",
        "number",
        "problems",
        "retry_ms",
    )

    def __init__(self, key: bytes, after: int) -> None:
        self._key = key
        self._reader = BlockReader()
        self.number = after
        self.events = 0
        self.keepalives = 0
        self.is_final = False
        self.announced: str | None = None
        self.retry_ms: int | None = None
        self.problems: list[str] = []

    @property
    def is_torn(self) -> bool:
        """Whether the stream stands inside an event."""
        return self._reader.is_torn

    def feed(self, piece: bytes) -> None:
        """Take body bytes."""
        for block in self._reader.feed(piece):
            self._check(block)

    def end(self, *, properly: bool) -> None:
        """Take the end of the body; ``properly``: as HTTP says that it is complete."""
        if not properly:
            return
        if self._reader.is_torn:
            self.problems.append(f"a proper end inside the event behind {self.number}")
        elif not self.is_final and self.announced is None:
            self.problems.append(f"a proper end behind event {self.number}, which is not the last, and no word of it")

    def _check(self, block: Block) -> None:
        if block.retry_ms is not None:
            self.retry_ms = block.retry_ms
            self.announced = self.announced or "retry"
        if block.type in {b"error", b"refused"}:
            self.announced = _ending(block)
        elif block.data or block.type:
            self._check_event(block)
        elif block.comments:
            self.keepalives += 1

    def _check_event(self, block: Block) -> None:
        match = _LAYOUT.fullmatch(block.data)
        if match is None or block.type not in {b"", b"last"}:
            self.problems.append(f"damaged behind event {self.number}: {block.type[:20]!r}, {block.data[:80]!r}")
            return
        key, number, checksum, filling = match[1], int(match[2]), int(match[3], 16), match[4]
        is_last = block.type == b"last"
        if key != self._key:
            self.problems.append(f"event {number} of stream {key.decode(errors='replace')}")
        elif checksum != _checksum(key, number, filling, last=is_last):
            self.problems.append(f"event {number} has another checksum")
        elif number != self.number + 1:
            kind = "lost" if number > self.number else "doubled or out of order"
            self.problems.append(f"event {number} behind event {self.number}: {kind}")
        elif self.is_final or self.announced is not None:
            self.problems.append(f"event {number} behind the end ({self.announced or 'last event'})")
        self.events += 1
        self.number = number
        self.is_final = is_last


def _ending(block: Block) -> str:
    """Give why the gateway says that the stream ends: the word of the ending, or ``refused``."""
    if block.type == b"refused":
        return "refused"
    try:
        return str(json.loads(block.data)["ending"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"
