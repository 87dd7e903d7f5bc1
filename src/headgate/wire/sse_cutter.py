"""Bytes to blocks that keep their bytes: for whoever looks at events and passes them on.

Invariants: all ``raw`` so far and then ``rest()`` are the input, byte for byte. A block leaves as soon as the first
byte that ends its blank line is here; if that is a CR and the piece ends with it, an LF that follows goes in front of
the next block's bytes. Never more than ``max_event_bytes`` (and such an LF) are held when ``feed`` returns.
"""

from __future__ import annotations

import re

from headgate.wire.sse_event import BOM, RawEvent

_CR = 0x0D
_LF = 0x0A
# Possessive: a CRLF is one line end and must not be taken for a CR and an LF when the second end is missing.
_LINE_END = re.compile(rb"\n|\r\n?+")
_BLOCK_END = re.compile(rb"(?:\n|\r\n?+)(?:\n|\r\n?+)")


class EventCutter:
    r"""A stream's cutter.

    A block larger than ``max_event_bytes`` (its line ends count) is not held: once more than that has come without a
    blank line, all of it leaves as a :class:`RawEvent` with ``fragment`` set, and so does what follows, piece by piece,
    up to the blank line; then blocks are whole again. Every part of such a block is flagged and no part of a smaller
    one is, whatever the cuts.
    """

    __slots__ = ("_after_cr", "_at_start", "_between", "_fragment_tail", "_held", "_late_lf", "_max_event_bytes")

    def __init__(self, max_event_bytes: int = 1 << 20) -> None:
        self._max_event_bytes = max_event_bytes
        self._held = bytearray()
        self._at_start = True
        self._between = False  # the bytes so far end between two blocks, and nothing more belongs to the last
        self._after_cr = False  # the last block ended with a CR, and nothing has come since
        self._late_lf = 0  # 1 when the first byte of the current block is the LF to such a CR
        self._fragment_tail = b""  # the last byte of the fragment before, while inside a large block

    def feed(self, piece: bytes) -> list[RawEvent]:
        """Take the next bytes of the body; give the blocks, or parts of a large one, that leave now, in order."""
        if self._between and _CR not in piece and piece[-2:] == b"\n\n":
            return self._cut_whole_blocks(piece)
        events: list[RawEvent] = []
        if self._fragment_tail:
            piece = self._pass_fragment(piece, events)
        if piece:
            self._cut_blocks(piece, events)
        if len(self._held) - self._late_lf > self._max_event_bytes:
            self._start_fragments(events)
        self._between = not (self._at_start or self._held or self._after_cr or self._fragment_tail)
        return events

    def rest(self) -> bytes:
        """Give what is held back: the bytes of a block that has not ended. At the body's end they are passed on."""
        return bytes(self._held)

    def _cut_whole_blocks(self, piece: bytes) -> list[RawEvent]:
        """Cut a piece without CR that starts and ends between blocks, at a third of the cost of the general way."""
        events = []
        begin = 0
        while begin < len(piece):
            end = begin + 1 if piece[begin] == _LF else piece.find(b"\n\n", begin) + 2
            events.append(RawEvent(piece[begin:end], fragment=end - begin > self._max_event_bytes))
            begin = end
        return events

    def _cut_blocks(self, piece: bytes, events: list[RawEvent]) -> None:
        if self._after_cr:
            self._after_cr = False
            self._late_lf = int(piece.startswith(b"\n"))
        begin = 0
        scan_from = max(len(self._held) - 1, self._late_lf)  # the byte before may be the first of two line ends
        if self._held:
            self._held += piece
        buffer = self._held or piece
        while match := _LINE_END.match(buffer, begin + self._late_lf) or _BLOCK_END.search(buffer, scan_from):
            events.append(self._block(bytes(buffer[begin : match.end()])))
            begin = scan_from = match.end()
        if begin == len(buffer):
            self._after_cr = buffer.endswith(b"\r")
        if self._held:
            del self._held[:begin]
        else:
            self._held += piece[begin:]

    def _block(self, raw: bytes) -> RawEvent:
        start = len(BOM) if self._at_start and raw.startswith(BOM) else self._late_lf
        fragment = len(raw) - self._late_lf > self._max_event_bytes
        self._at_start = False
        self._late_lf = 0
        return RawEvent(raw, fragment=fragment, start=start)

    def _start_fragments(self, events: list[RawEvent]) -> None:
        self._fragment_tail = bytes(self._held[-1:])
        events.append(self._block(bytes(self._held)))
        self._held.clear()

    def _pass_fragment(self, piece: bytes, events: list[RawEvent]) -> bytes:
        match = _BLOCK_END.search(self._fragment_tail + piece)
        end = match.end() - 1 if match else len(piece)
        if end:
            events.append(RawEvent(piece[:end], fragment=True))
            self._fragment_tail = b"" if match else piece[-1:]
            self._after_cr = match is not None and end == len(piece) and piece.endswith(b"\r")
        return piece[end:]
