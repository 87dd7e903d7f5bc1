"""The arithmetic of the bench: medians, percentiles, spreads and ratios, without any I/O."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds and their lowest and highest value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Make the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the nearest-rank percentile of at least one value: the smallest that ``percent`` % do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(int(rank), 1) - 1]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Give ours ÷ theirs round by round: what a round disturbs, it disturbs on both sides."""
    return Spread.of([mine / other for mine, other in zip(ours, theirs, strict=True)])
