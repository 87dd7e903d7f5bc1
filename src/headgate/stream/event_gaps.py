"""How long event streams are silent between two events, over all streams of a worker.

The relay counts here, once per read that brought events. A gap is taken in whole milliseconds, which is what the loop's
clock has. The worker's accounts take what has gathered once a second, so that an event costs no write to shared memory.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import ClassVar


class EventGaps:
    """``counts[i]``: gaps of at most ``BOUNDS[i]`` seconds and more than the bound before; the last: longer than all.

    ``total_s`` is their sum, in seconds.
    """

    __slots__ = ("counts", "total_s")

    BOUNDS: ClassVar[tuple[float, ...]] = (
        0.001,
        0.005,
        0.01,
        0.05,
        0.1,
        0.5,
        1.0,
        2.0,
        5.0,
        15.0,
        30.0,
        60.0,
        300.0,
        600.0,
    )
    """Upper bounds in seconds, ascending, each within its bucket (Prometheus' ``le``)."""

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(self.BOUNDS) + 1)
        self.total_s = 0.0

    def count(self, gap_s: float) -> None:
        """Count one gap."""
        gap_ms = int(gap_s * 1000 + 0.5)
        index = _BUCKETS[gap_ms] if gap_ms <= _LAST_MS else bisect_left(self.BOUNDS, gap_ms / 1000)
        self.counts[index] += 1
        self.total_s += gap_s

    def take(self) -> tuple[list[int], float]:
        """Give what has gathered since the last time, counts and sum, and begin anew."""
        taken = self.counts, self.total_s
        self.counts = [0] * len(self.counts)
        self.total_s = 0.0
        return taken


_LAST_MS = 1000
_BUCKETS = bytes(bisect_left(EventGaps.BOUNDS, ms / 1000) for ms in range(_LAST_MS + 1))
"""The bucket of every gap of up to a second, which most are, by its milliseconds."""
