"""Histograms in slots: one slot for each bucket and one for the sum, so that a value costs two additions.

A bucket counts its own values only; :func:`read` adds them up for Prometheus, whose buckets hold all smaller ones too.
Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """``bounds``: upper ends in seconds, ascending, each within its bucket; ``first``: the slot of the first bucket.

    One more bucket takes what is above all bounds. The slot behind it holds the sum, in whole microseconds. ``name`` is
    the metric's without the prefix ``headgate_``.
    """

    name: str
    help: str
    bounds: tuple[float, ...]
    first: int
    sum_slot: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sum_slot", self.first + len(self.bounds) + 1)

    @property
    def end(self) -> int:
        """The first slot behind the histogram."""
        return self.sum_slot + 1


def observe(slots: memoryview, histogram: Histogram, seconds: float) -> None:
    """Count one value; what is below zero, by a clock that stood still, counts as zero."""
    slots[histogram.first + bisect_left(histogram.bounds, seconds)] += 1
    if seconds > 0:
        slots[histogram.sum_slot] += int(seconds * MICROSECONDS + 0.5)


def add(slots: memoryview, histogram: Histogram, counts: Sequence[int], sum_s: float) -> None:
    """Count values gathered elsewhere: one count for each bucket, in order, and their sum in seconds."""
    for slot, count in enumerate(counts, histogram.first):
        if count:
            slots[slot] += count
    slots[histogram.sum_slot] += round(sum_s * MICROSECONDS)


def read(values: Sequence[int], histogram: Histogram) -> tuple[list[int], float]:
    """Give the counts with those of smaller buckets added, the last being the number of values, and the sum in seconds.

    ``values`` are the slots, or sums of the slots of several workers.
    """
    counts = list(accumulate(values[histogram.first : histogram.sum_slot]))
    return counts, values[histogram.sum_slot] / MICROSECONDS


def bucket_samples(histogram: Histogram, counts: Sequence[int], *, per_second: int = 1) -> list[tuple[str, float]]:
    """Give Prometheus' buckets (upper bound as text, count) of what :func:`read` gave, in units of 1/``per_second`` s."""
    bounds = [repr(round(bound * per_second, 6)) for bound in histogram.bounds]
    return list(zip([*bounds, "+Inf"], map(float, counts), strict=True))
