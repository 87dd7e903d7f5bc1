"""Saturation against the bare relay, small."""

from __future__ import annotations

import os

from bench.measures.measure import Cores
from bench.measures.saturation import Saturation
from bench.metrics import METRICS
from bench.peers.registry import PEERS
from tests.bench.load.losing_relay import Losing

CORE = min(os.sched_getaffinity(0))
CORES = Cores(gateway=CORE, load=CORE)
SATURATION = Saturation(streams=20, size_bytes=120, seconds=0.5, warmup_s=0.1)
OF_THE_LOAD = {"events_per_s", "load_busy_percent", "others_percent"}


def test_a_run_gives_every_figure() -> None:
    outcome = SATURATION.run(PEERS["bare"], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == OF_THE_LOAD | {"cpu_us_per_event", "busy_percent"}
    assert set(outcome.figures) <= set(METRICS)
    assert outcome.figures["events_per_s"] > 500
    assert 1 < outcome.figures["cpu_us_per_event"] < 10_000
    assert 0 < outcome.figures["busy_percent"] < 110


def test_without_a_gateway_there_are_no_figures_of_its_cpu() -> None:
    outcome = SATURATION.run(PEERS["direct"], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == OF_THE_LOAD


def test_a_lost_event_makes_the_outcome_invalid() -> None:
    outcome = SATURATION.run(Losing(), CORES)
    assert "stream 0: 4 events sent, 3 received" in outcome.problems
    assert "no event passed in the measured window" in outcome.problems
