"""What an event costs a worker, beside the smallest relay in the same run: a change that makes it dearer fails here.

No figure is absolute: user instructions are compared with those of the smallest relay, on the same machine and interpreter. Where
``perf`` cannot count them, CPU time is, with more room. The best of three tries counts, so that a neighbour who disturbs one
of them, or one side of it, fails nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from bench.machine.instructions import available
from bench.measures.measure import Cores
from bench.measures.paced import PacedLoad
from bench.peers.registry import PEERS

from headgate.wire.whole_chunks import IS_COMPILED

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))
LOAD = PacedLoad(streams=50, rate=20, size_bytes=200, seconds=1.0, warmup_s=0.2)
TRIES = 3


@dataclass(frozen=True, slots=True)
class Guard:
    """``limits`` are of headgate's figure as a multiple of the smallest relay's, by whether headgate is compiled."""

    figure: str
    limits: dict[bool, float]


# Measured on CPython 3.11: 0.93 to 0.99 compiled, 2.90 to 3.39 as written.
BY_INSTRUCTIONS = Guard("user_instructions_per_event", {True: 1.4, False: 3.6})
# Measured in the same runs, with others at work on both cores: 0.94 to 0.99 and 1.22 to 1.31.
BY_TIME = Guard("cpu_us_per_event", {True: 2.5, False: 3.5})


def ratio(guard: Guard) -> float:
    """Load headgate and the smallest relay, one after the other; give the one's figure as a multiple of the other's."""
    figures = []
    for name in ("headgate", "bare"):
        outcome = LOAD.run(PEERS[name], CORES)
        assert outcome.problems == []
        figures.append(outcome.figures[guard.figure])
    return figures[0] / figures[1]


def best_ratio(guard: Guard) -> float:
    """Give the least of up to three tries; the first that is within the limit is good enough."""
    ratios: list[float] = []
    while len(ratios) < TRIES and min(ratios, default=float("inf")) > guard.limits[IS_COMPILED]:
        ratios.append(ratio(guard))
    return min(ratios)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return BY_INSTRUCTIONS if available() else BY_TIME


@pytest.fixture(scope="module")
def measured(guard: Guard) -> float:
    return best_ratio(guard)


def test_an_event_costs_no_more_beside_the_smallest_relay_than_it_did(guard: Guard, measured: float) -> None:
    assert measured <= guard.limits[IS_COMPILED]
