"""The chunked transfer coding (RFC 9112 §7.1), strictly: CRLF only, hexadecimal sizes only, trailers dropped."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

MAX_LINE_BYTES = 4096
"""Longest chunk-size line with its extensions."""
MAX_TRAILER_BYTES = 16384
"""Longest trailer section."""

LAST_CHUNK = b"0\r\n\r\n"

_CR, _LF = b"\r\n"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_UNFINISHED_SIZE_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?)?\r?)?")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class BadChunk(ValueError):
    """The bytes are not the chunked coding; the text says where."""


def encode_chunk(piece: bytes) -> bytes:
    """Frame one non-empty piece as a chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class ChunkedDecoder:
    """Takes the coded bytes in any cuts, gives the body bytes; holds at most one line of framing.

    ``done`` is true once the last chunk and the trailer section have passed; bytes behind them are in ``rest``. After
    a BadChunk ``decoded`` has what the same call had decoded before it.
    """

    __slots__ = ("_line", "_remaining", "_state", "_trailer_bytes", "decoded", "done", "rest")

    def __init__(self) -> None:
        self._state: _State = ChunkedDecoder._size  # a function, not a bound method: no cycle
        self._line = b""
        self._remaining = 0
        self._trailer_bytes = 0
        self.decoded = b""
        self.done = False
        self.rest = b""

    @property
    def is_between_chunks(self) -> bool:
        """Whether the next byte begins a chunk."""
        return self._state is ChunkedDecoder._size and not self._line

    def feed(self, data: bytes) -> bytes:
        """Give the body bytes that ``data`` completes; raises BadChunk."""
        pieces: list[bytes] = []
        position = 0
        try:
            while position < len(data) and not self.done:
                position = self._state(self, data, position, pieces)
        except BadChunk:
            self.decoded = b"".join(pieces)
            raise
        if self.done:
            self.rest = data[position:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """Read up to CRLF; gives (line without CRLF, or None while it is unfinished; next position)."""
        end = data.find(b"\n", position)
        if end < 0:
            self._line += data[position:]
            if len(self._line) > MAX_LINE_BYTES:
                raise BadChunk("a framing line is too long")
            return None, len(data)
        line = self._line + data[position:end]
        self._line = b""
        if len(line) > MAX_LINE_BYTES:
            raise BadChunk("a framing line is too long")
        if not line.endswith(b"\r"):
            raise BadChunk("a framing line ends with a bare LF")
        return line[:-1], end + 1

    def _size(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        if not self._line:
            position = _take_whole_chunks(data, position, pieces)
        end = data.find(b"\n", position)
        if _UNFINISHED_SIZE_LINE.fullmatch(self._line + data[position : len(data) if end < 0 else end]) is None:
            raise BadChunk("a chunk size is malformed")
        line, position = self._take_line(data, position)
        if line is None:
            return position
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadChunk("a chunk size is malformed")
        self._remaining = int(match[1], 16)
        self._state = ChunkedDecoder._body if self._remaining else ChunkedDecoder._trailer
        return position

    def _body(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        piece = data[position : position + self._remaining]
        pieces.append(piece)
        self._remaining -= len(piece)
        if not self._remaining:
            self._state = ChunkedDecoder._body_end
        return position + len(piece)

    def _body_end(self, data: bytes, position: int, _: list[bytes]) -> int:
        taken = data[position : position + 2 - len(self._line)]
        self._line += taken
        if not b"\r\n".startswith(self._line):
            raise BadChunk("a chunk is longer than its size")
        if len(self._line) == 2:
            self._line = b""
            self._state = ChunkedDecoder._size
        return position + len(taken)

    def _trailer(self, data: bytes, position: int, _: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            return position
        if not line:
            self.done = True
            return position
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            raise BadChunk("the trailer section is too long")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise BadChunk("a trailer field is malformed")
        return position


_State: TypeAlias = Callable[[ChunkedDecoder, bytes, int, list[bytes]], int]


def _take_whole_chunks(data: bytes, position: int, pieces: list[bytes]) -> int:
    """Take the chunks that are whole in ``data`` at one go; give the position of the first byte that is left."""
    while match := _PLAIN_SIZE.match(data, position):
        start = match.end()
        end = start + int(match[1], 16)
        if start == end or data[end : end + 2] != b"\r\n":
            break
        pieces.append(data[start:end])
        position = end + 2
    return position


def single_chunk(data: bytes) -> bytes | None:
    """Give the body of a read that begins with a chunk, if that is all it is; None: it must be parsed."""
    size_line = _SIZE_LINES[len(data)]
    if size_line is None or not data.startswith(size_line) or data[-2] != _CR or data[-1] != _LF:
        return None
    return data[len(size_line) : -2]


class _SizeLines(dict[int, bytes | None]):
    """By the length of a whole chunk, the only size line in lower case that it can begin with, or None."""

    def __missing__(self, length: int) -> bytes | None:
        if length > MAX_SINGLE_BYTES:
            return None
        line = None
        for digits in range(1, 5):
            size = length - digits - 4
            if size > 0 and len(f"{size:x}") == digits:
                line = b"%x\r\n" % size
        self[length] = line
        return line


MAX_SINGLE_BYTES = 16 * 1024
"""Up to this length a read is looked at as one chunk."""

_SIZE_LINES = _SizeLines()
