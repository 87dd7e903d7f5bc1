"""Bytes of an event stream to the blocks that it is made of, in bounded memory: for somebody who looks on.

Unlike :class:`~headgate.wire.sse.EventCutter` it keeps no block's bytes, only what a person wants to see of it, cut to a
length; and it can begin anywhere in a stream. It never raises, whatever the bytes and however they are cut.
"""

from __future__ import annotations

from typing import NamedTuple

from headgate.wire.sse import BOM
from headgate.wire.sse_event import split_line

TEXT_BYTES = 1024
"""How much of an event's id and of its type is kept."""
_NAME_BYTES = 16
"""More than the longest field name with its colon and space: a line that is kept so far holds more than what is shown of it."""


class Block(NamedTuple):
    """One block. ``is_event``: it has data, so a client dispatches it; if not, it is a comment, or bare id or retry.

    ``type`` is ``message`` if it names none, ``id`` None if it sets none. ``data`` are the first bytes of its data, with
    ``is_cut`` if there were more. ``size`` is its length on the wire in bytes, its blank line included.
    """

    is_event: bool
    type: bytes
    id: bytes | None
    data: bytes
    is_cut: bool
    size: int


class BlockReader:
    """A stream's reader; ``data_bytes`` is how much of each event's data is kept.

    ``at_start``: the first byte to come is the stream's first, so a BOM may be there. ``is_skipping``: it is one inside
    a block, and nothing is given before the first blank line. A line end that comes first is none: there may be a line
    before it, or the CR of a CRLF.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_data_bytes",
        "_has_data",
        "_has_lines",
        "_id",
        "_is_cut",
        "_line",
        "_line_bytes",
        "_size",
        "_type",
        "is_skipping",
    )

    def __init__(self, data_bytes: int, *, at_start: bool = False, is_skipping: bool = False) -> None:
        self.is_skipping = is_skipping
        self._data_bytes = data_bytes
        self._line_bytes = max(data_bytes, TEXT_BYTES) + _NAME_BYTES
        self._at_start = at_start
        self._after_cr = False
        self._line = bytearray(b":" if is_skipping else b"")
        self._begin()

    def _begin(self) -> None:
        self._has_lines = self._has_data = self._is_cut = False
        self._data = bytearray()
        self._type = b""
        self._id: bytes | None = None
        self._size = 0

    def feed(self, piece: bytes) -> list[Block]:
        """Take the next bytes of the body; give the blocks that they complete, in order."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
            self._size += self._has_lines
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        lines = piece.splitlines(keepends=True)
        tail = b"" if piece.endswith((b"\r", b"\n")) else lines.pop()
        blocks = [block for line in lines if (block := self._end_line(line)) is not None]
        if tail:
            self._hold(tail, len(tail))
        return blocks

    def _hold(self, content: bytes, size: int) -> None:
        """Take bytes of a line; ``size`` counts its end too."""
        self._size += size
        room = self._line_bytes - len(self._line)
        self._line += content[:room]

    def _end_line(self, line: bytes) -> Block | None:
        self._hold(line.rstrip(b"\r\n"), len(line))
        content = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            content = content.removeprefix(BOM)
        if content:
            self._take_field(content)
            return None
        return self._end_block()

    def _take_field(self, content: bytes) -> None:
        self._has_lines = True
        name, value = split_line(content)
        if name == b"data":
            self._take_data(value)
        elif name == b"event":
            self._type = value[:TEXT_BYTES]
        elif name == b"id" and b"\0" not in value:
            self._id = value[:TEXT_BYTES]

    def _take_data(self, value: bytes) -> None:
        if self._has_data:
            value = b"\n" + value
        self._has_data = True
        room = self._data_bytes - len(self._data)
        self._data += value[:room]
        self._is_cut = self._is_cut or len(value) > room

    def _end_block(self) -> Block | None:
        block = None
        if self.is_skipping:
            self.is_skipping = False
        elif self._has_lines:
            block = Block(
                self._has_data, self._type or b"message", self._id, bytes(self._data), self._is_cut, self._size
            )
        self._begin()
        return block
