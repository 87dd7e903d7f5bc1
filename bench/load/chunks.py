"""The chunks of an answer (RFC 9112, section 7.1), as strictly as a checking client wants them: no extensions, no trailers."""

from __future__ import annotations

LONGEST_SIZE = 16
"""Characters of a chunk's size; more are none."""
_HEX = b"0123456789abcdefABCDEF"
_SIZE, _END, _LAST_END = -1, 0, -2
"""What comes next: a chunk's size, the line end behind its data, the one behind the last chunk; above 0, bytes of its data."""


class NotChunkedError(Exception):
    """The bytes are no chunks; says where they stop making sense."""


class Chunks:
    """Takes the body off its chunks. ``complete`` once the last one has come; ``between`` when the next byte begins one."""

    __slots__ = ("_next", "_rest", "between", "complete")

    def __init__(self) -> None:
        self.complete = False
        self.between = True
        self._next = _SIZE
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what was read and give the body bytes in it. Raises NotChunkedError."""
        self._rest += data
        pieces: list[bytes] = []
        while self._rest and self._step(pieces):
            pass
        self.between = self._next == _SIZE and not self._rest
        return b"".join(pieces)

    def _step(self, pieces: list[bytes]) -> bool:
        """Take one thing off the rest; False when more must come first."""
        if self.complete:
            raise NotChunkedError(f"behind the last chunk came {self._rest[:20]!r}")
        if self._next > 0:
            piece, self._rest = self._rest[: self._next], self._rest[self._next :]
            self._next -= len(piece)
            pieces.append(piece)
            return True
        if self._next == _SIZE:
            return self._take_size()
        return self._take_end()

    def _take_size(self) -> bool:
        line, end, rest = self._rest.partition(b"\r\n")
        if not end and len(line) < LONGEST_SIZE:
            return False
        if not end or not line or line.strip(_HEX):
            raise NotChunkedError(f"no chunk's size but {line[:20]!r}")
        self._next = int(line, 16) or _LAST_END
        self._rest = rest
        return True

    def _take_end(self) -> bool:
        if len(self._rest) < 2:
            return False
        if self._rest[:2] != b"\r\n":
            raise NotChunkedError(f"no line end behind a chunk but {self._rest[:20]!r}")
        self.complete = self._next == _LAST_END
        self._next = _SIZE
        self._rest = self._rest[2:]
        return True
