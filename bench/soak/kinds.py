"""The kinds of streams in the soak: how the origin plays each, which route it has, and who asks for it.

``/<kind>/<key>`` is the target of a stream. What is random about a stream comes from its key, so that every origin plays it
the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Manner(Enum):
    """What a visitor does with a stream."""

    STAY = auto()
    """Reads until it ends, and comes again."""
    LEAVE = auto()
    """Leaves after some time, by FIN or RST, and comes again."""
    LEAVE_MID_EVENT = auto()
    """Leaves when half of an event is there."""
    LEAVE_EARLY = auto()
    """Leaves before the first byte: without a word, within the request's head, or behind it."""
    READ_SLOWLY = auto()
    """Reads a little, pauses for seconds, reads a little."""
    STOP_READING = auto()
    """Reads a little, and then nothing until the gateway must have given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind of stream goes.

    ``gap_s`` between two events, ``events`` until the last (None: no end), ``head_s`` before the head, ``first_s`` between head and first event, ``padding_bytes``, each from-to;
    ``halves``: an event goes out in two chunks; ``burst``: so many events at a time; ``unframed_share`` of the streams end by the close of the
    connection; ``plugins`` are the route's; ``visitors``: the share of all visitors, by their manner.
    """

    gap_s: tuple[float, float] = (0.5, 1.1)
    events: tuple[int, int] | None = None
    head_s: tuple[float, float] = (0.0, 0.0)
    first_s: tuple[float, float] = (0.0, 1.0)
    padding_bytes: tuple[int, int] = (20, 300)
    halves: bool = False
    burst: int = 1
    unframed_share: float = 0.0
    plugins: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    visitors: Mapping[Manner, float] = field(default_factory=dict)


KEEPALIVE_S = 2.0
"""Of the kinds ``quiet`` and ``patient``, whose origins say nothing for far longer: between events, and before the first."""

_GUARD = {
    "completeness": "event: last",
    "terminal_event": "plain",
    "first_event_s": 20,
    "event_gap_s": 20,
    "max_duration_s": 90,
    "max_duration_jitter_s": 30,
}

KINDS: Mapping[str, Kind] = {
    "plain": Kind(visitors={Manner.STAY: 0.42, Manner.LEAVE: 0.2}),
    "brief": Kind(events=(3, 30), visitors={Manner.STAY: 0.1}),
    "guarded": Kind(
        events=(20, 200),
        unframed_share=0.5,
        plugins={"stream-guard": _GUARD},
        visitors={Manner.STAY: 0.05},
    ),
    "polite": Kind(
        events=(20, 200),
        plugins={"stream-guard": {**_GUARD, "close": "clean", "refusals": "sse"}},
        visitors={Manner.STAY: 0.04},
    ),
    "torn": Kind(halves=True, visitors={Manner.LEAVE_MID_EVENT: 0.05}),
    "late": Kind(head_s=(1.0, 4.0), events=(3, 30), visitors={Manner.LEAVE_EARLY: 0.03, Manner.STAY: 0.02}),
    "quiet": Kind(
        gap_s=(15.0, 25.0),
        plugins={"stream-guard": {"keepalive_s": KEEPALIVE_S}},
        visitors={Manner.STAY: 0.05},
    ),
    "patient": Kind(
        first_s=(5.0, 20.0),
        plugins={"stream-guard": {"keepalive_s": KEEPALIVE_S, "early_keepalive": True}},
        visitors={Manner.STAY: 0.03},
    ),
    "fat": Kind(
        gap_s=(0.05, 0.05),
        padding_bytes=(16_000, 16_000),
        burst=4,
        visitors={Manner.READ_SLOWLY: 0.008, Manner.STOP_READING: 0.002},
    ),
}


def cast(visitors: int, kinds: Sequence[str] = tuple(KINDS)) -> list[tuple[str, Manner]]:
    """Give each of so many visitors one of ``kinds`` and a manner, by the shares of the table, each role at least once.

    The order is mixed, and always the same.
    """
    roles = [(name, manner, share) for name in kinds for manner, share in KINDS[name].visitors.items()]
    whole = sum(share for *_, share in roles)
    counted = [(name, manner, max(round(share / whole * visitors), 1)) for name, manner, share in roles]
    found = [(name, manner) for name, manner, count in counted for _ in range(count)]
    random.Random(0).shuffle(found)
    return found
