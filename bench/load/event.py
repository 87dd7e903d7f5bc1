r"""The load's event: its layout, and the check that every one arrives once, whole and in order.

Layout, all fields of fixed width so that the checking client costs little:
``id: <stream, 6 digits>-<number, 8 digits>\ndata: <CLOCK_MONOTONIC ns, 19 digits> <padding>\n\n``. All events of a
run have the same length, so that after a lost or doubled one the next is still found.
"""

from __future__ import annotations

import re
from array import array

SMALLEST_BYTES = 50
_LAYOUT = re.compile(rb"id: (\d{6})-(\d{8})\ndata: (\d{19}) x+\n\n")


def make_event(stream: int, number: int, sent_ns: int, size_bytes: int) -> bytes:
    """Make event ``number`` (from 0) of a stream, ``size_bytes`` long (at least ``SMALLEST_BYTES``)."""
    return b"id: %06d-%08d\ndata: %019d %s\n\n" % (stream, number, sent_ns, b"x" * (size_bytes - 48))


class EventCheck:
    """What one client has received of one stream.

    ``received`` counts events, ``problems`` says in words what was lost, doubled, out of order or damaged; once bytes
    make no sense nothing more of the stream is read.
    """

    __slots__ = ("_rest", "_size", "_stream", "damaged", "expected", "problems", "received")

    def __init__(self, stream: int, size_bytes: int) -> None:
        self.expected = 0
        self.received = 0
        self.damaged = False
        self.problems: list[str] = []
        self._stream = stream
        self._size = size_bytes
        self._rest = b""

    def feed(self, piece: bytes, now_ns: int, latencies_ns: array[int]) -> None:
        """Take body bytes read at ``now_ns``; append one latency for each event that they complete."""
        if self.damaged:
            return
        if self._rest:
            piece = self._rest + piece
        size = self._size
        whole = len(piece) // size * size
        self._rest = piece[whole:]
        for at in range(0, whole, size):
            match = _LAYOUT.fullmatch(piece, at, at + size)
            if match is None:
                self.damaged = True
                self.problems.append(f"stream {self._stream}: damaged behind event {self.expected - 1}")
                return
            stream, number, sent_ns = match.groups()
            latencies_ns.append(now_ns - int(sent_ns))
            self.received += 1
            if int(number) != self.expected or int(stream) != self._stream:
                self._tell(int(stream), int(number))
            self.expected = int(number) + 1

    def finish(self) -> None:
        """Say that the stream has ended: bytes that are left over are a torn event."""
        if self._rest and not self.damaged:
            self.problems.append(f"stream {self._stream}: {len(self._rest)} bytes of a torn event at the end")

    def _tell(self, stream: int, number: int) -> None:
        if stream != self._stream:
            what = f"event {number} of stream {stream} arrived"
        elif number > self.expected:
            what = f"events {self.expected} to {number - 1} lost"
        else:
            what = f"event {number} doubled or out of order"
        self.problems.append(f"stream {self._stream}: {what}")
