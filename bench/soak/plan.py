"""What a soak is asked to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for; ``streams`` is the number of visitors, ``reload_every_s`` 0 for never."""

    minutes: float
    streams: int
    workers: int
    reload_every_s: float
    kinds: Sequence[str]
