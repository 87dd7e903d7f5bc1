r"""The load's event: its layout, and the check that every one arrives once, whole and in order.

Layout, all fields of fixed width so that the checking client costs little:
``id: <stream, 6 digits>-<number, 8 digits>\ndata: <CLOCK_MONOTONIC ns, 19 digits> <padding>\n\n``. All events of a
run have the same length, so that after a lost or doubled one the next is still found.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from struct import Struct

SMALLEST_BYTES = 50
_FIXED_BYTES = 48
"""Everything but the padding."""


def make_event(stream: int, number: int, sent_ns: int, size_bytes: int) -> bytes:
    """Make event ``number`` (from 0) of a stream, ``size_bytes`` long (at least ``SMALLEST_BYTES``)."""
    return event_template(stream, size_bytes) % (number, sent_ns)


def event_template(stream: int, size_bytes: int) -> bytes:
    """Make what ``% (number, sent_ns)`` turns into an event of a stream."""
    return b"id: %06d-%%08d\ndata: %%019d %b\n\n" % (stream, b"x" * (size_bytes - _FIXED_BYTES))


class EventCheck:
    """What one client has received of one stream.

    ``received`` counts events, ``problems`` says in words what was lost, doubled, out of order or damaged; once bytes
    make no sense nothing more of the stream is read.
    """

    __slots__ = (
        "_end",
        "_fields",
        "_id",
        "_rest",
        "_size",
        "_stream",
        "damaged",
        "expected",
        "problems",
        "received",
    )

    def __init__(self, stream: int, size_bytes: int) -> None:
        self.expected = 0
        self.received = 0
        self.damaged = False
        self.problems: list[str] = []
        self._stream = stream
        self._size = size_bytes
        self._fields = Struct(f"11s8s7s19s{size_bytes - 45}s")
        self._id = b"id: %06d-" % stream
        self._end = b" %b\n\n" % (b"x" * (size_bytes - _FIXED_BYTES))
        self._rest = b""

    def feed(self, piece: bytes, now_ns: int, latencies_ns: array[int]) -> int:
        """Take body bytes read at ``now_ns``; append one latency for each event that they complete, and give their number."""
        if self.damaged:
            return 0
        if self._rest:
            piece = self._rest + piece
            self._rest = b""
        torn = len(piece) % self._size
        if torn:
            self._rest = piece[-torn:]
            piece = piece[:-torn]
        before = self.received
        for mark, number, data, stamp, end in self._fields.iter_unpack(piece):
            if end != self._end or data != b"\ndata: " or not (number.isdigit() and stamp.isdigit()):
                self._damage()
                break
            if (mark != self._id or int(number) != self.expected) and not self._tell(mark, int(number)):
                break
            self.expected = int(number) + 1
            self.received += 1
            latencies_ns.append(now_ns - int(stamp))
        return self.received - before

    def count_known(self) -> None:
        """Count one event that is known to be the expected one, whole."""
        self.expected += 1
        self.received += 1

    def finish(self) -> None:
        """Say that the stream has ended: bytes that are left over are a torn event."""
        if self._rest and not self.damaged:
            self.problems.append(f"stream {self._stream}: {len(self._rest)} bytes of a torn event at the end")

    def _damage(self) -> None:
        self.damaged = True
        self.problems.append(f"stream {self._stream}: damaged behind event {self.expected - 1}")

    def _tell(self, mark: bytes, number: int) -> bool:
        """Say what is wrong with an event that was not expected; False when it is none."""
        other = mark[4:10]
        if mark != b"id: %b-" % other or not other.isdigit():
            self._damage()
            return False
        if mark != self._id:
            what = f"event {number} of stream {int(other)} arrived"
        elif number > self.expected:
            what = f"events {self.expected} to {number - 1} lost"
        else:
            what = f"event {number} doubled or out of order"
        self.problems.append(f"stream {self._stream}: {what}")
        return True


def count_problems(sent: Mapping[int, int], received: Mapping[int, int]) -> list[str]:
    """Compare the events sent and received of each stream; give a sentence for each that differs (at most 20)."""
    pairs = [(stream, sent.get(stream, 0), received.get(stream, 0)) for stream in sorted(sent.keys() | received.keys())]
    return [f"stream {stream}: {out} events sent, {came} received" for stream, out, came in pairs if out != came][:20]
