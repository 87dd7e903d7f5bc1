"""Which target takes the next request: smooth weighted round robin, by priority levels.

Kept to what APISIX and NGINX do: weights 3:2:1 give 3, 2 and 1 of six requests, well mixed; a weight of 0 is never
picked; a node of a lower priority is used only when every node above it has been tried; no node twice for one request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from headgate.upstream.target import Target


@dataclass(slots=True)
class _Share:
    target: Target
    weight: int
    current: int = 0


class RoundRobin:
    """Targets with weights (≥ 0) and priorities (higher first)."""

    __slots__ = ("_distinct", "_levels")

    def __init__(self, nodes: Iterable[tuple[Target, int, int]]) -> None:
        levels: dict[int, list[_Share]] = {}
        for target, weight, priority in nodes:
            if weight > 0:
                levels.setdefault(priority, []).append(_Share(target, weight))
        self._levels = [levels[priority] for priority in sorted(levels, reverse=True)]
        self._distinct = len({share.target for level in self._levels for share in level})

    def __len__(self) -> int:
        """Give the number of targets that can be picked, one that is listed twice counted once."""
        return self._distinct

    def pick(self, tried: Collection[Target] = ()) -> Target | None:
        """Give the next target that has not been tried, or None."""
        for level in self._levels:
            if len(level) == 1 and not tried:
                return level[0].target
            shares = [share for share in level if share.target not in tried]
            if shares:
                return _take_turn(shares)
        return None


def _take_turn(shares: list[_Share]) -> Target:
    total = 0
    best = shares[0]
    for share in shares:
        total += share.weight
        share.current += share.weight
        if share.current > best.current:
            best = share
    best.current -= total
    return best.target
