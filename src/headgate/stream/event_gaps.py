"""How long event streams are silent between two events, over all streams of a worker.

The relay counts here, once per read that brought events, without a call:
``gaps.counts[index] += 1; gaps.total_s += gap_s``, with the index that :meth:`EventGaps.bucket` gave. The worker's accounts take what has
gathered once a second, so that an event costs no write to shared memory.
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf
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

    @classmethod
    def bucket(cls, gap_s: float) -> tuple[float, float, int]:
        """Give the bucket of a gap: more than the first number of seconds, at most the second; and its index."""
        index = bisect_left(cls.BOUNDS, gap_s)
        over = cls.BOUNDS[index - 1] if index else -inf
        return over, cls.BOUNDS[index] if index < len(cls.BOUNDS) else inf, index

    def take(self) -> tuple[list[int], float]:
        """Give what has gathered since the last time, counts and sum, and begin anew."""
        taken = self.counts, self.total_s
        self.counts = [0] * len(self.counts)
        self.total_s = 0.0
        return taken
