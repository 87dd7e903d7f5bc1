"""A stream of lines, such as JSON documents one on each: bytes as they come, and an end between two lines."""

from __future__ import annotations

from headgate.stream.relay import Relay


class LinesRelay(Relay):
    """See the module. A stream that is due to end does so with the next read that ends a line."""

    __slots__ = ("_last",)

    _last: bytes

    def piece_received(self, piece: bytes) -> None:
        """Pass one read's body bytes on."""
        super().piece_received(piece)
        self._note_end(piece)

    def chunks_received(self, data: bytes) -> bool:
        """Pass a read on that begins with a chunk: as it is, if it can be. False: it must be parsed."""
        if not super().chunks_received(data):
            return False
        self._note_end(data[:-2])  # without the chunk's own line end
        return True

    def _note_end(self, piece: bytes) -> None:
        self._last = piece[-1:]
        if self.due_ending is not None and self.at_boundary:
            self.stop(self.due_ending)

    @property
    def at_boundary(self) -> bool:
        """Whether the bytes so far end with a line, or there are none."""
        return not self.bytes_sent or self._last == b"\n"
