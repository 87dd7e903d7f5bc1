"""The paced load against the bare relay, small: the figures come from events that really passed."""

from __future__ import annotations

import os

import pytest
from bench.machine.instructions import available
from bench.measures.measure import Cores
from bench.measures.paced import PacedLoad, may_spin
from bench.metrics import METRICS
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS
from tests.bench.load.losing_relay import Losing
from tests.bench.measures.lying_relay import Lying

CORE = min(os.sched_getaffinity(0))
CORES = Cores(gateway=CORE, load=CORE)
LOAD = PacedLoad(streams=5, rate=50, size_bytes=120, seconds=0.5, warmup_s=0.1)
LATENCIES = {"latency_p50_us", "latency_p99_us", "latency_p999_us"}
OF_THE_LOAD = {"events_per_s", "load_busy_percent", "lag_p99_ms", "worst_lag_ms", "others_percent"}
OF_THE_GATEWAY = {"cpu_us_per_event", "busy_percent"}


def test_a_run_gives_every_figure() -> None:
    outcome = LOAD.run(PEERS["bare"], CORES)
    assert outcome.problems == []
    counted = {"user_instructions_per_event"} if available() else set()
    assert set(outcome.figures) == LATENCIES | OF_THE_LOAD | OF_THE_GATEWAY | counted
    assert set(outcome.figures) <= set(METRICS)
    figures = outcome.figures
    assert 25 < figures["events_per_s"] < 2500
    assert 1 < figures["cpu_us_per_event"] < 10_000
    assert 100 < figures.get("user_instructions_per_event", 1000) < 1e6
    assert 0 < figures["latency_p50_us"] <= figures["latency_p99_us"] <= figures["latency_p999_us"]
    assert 0 <= figures["lag_p99_ms"] <= figures["worst_lag_ms"]
    assert 0 < figures["busy_percent"] < 110
    assert 0 < figures["load_busy_percent"] < 110


def test_without_a_gateway_there_are_no_figures_of_its_cpu() -> None:
    outcome = LOAD.run(PEERS["direct"], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == LATENCIES | OF_THE_LOAD


def test_a_lost_event_makes_the_outcome_invalid() -> None:
    problems = LOAD.run(Losing(), CORES).problems
    assert "stream 0: events 3 to 3 lost" in problems
    assert len([problem for problem in problems if problem.endswith(" received")]) == LOAD.streams


def test_a_damaged_event_makes_the_outcome_invalid() -> None:
    with pytest.raises(PeerFailedError, match=r"lying: \d of 5 streams had a first event in time; .*stream \d: "):
        LOAD.run(Lying("damage"), CORES)


def test_the_load_spins_on_a_core_of_its_own_only() -> None:
    assert may_spin(Cores(gateway=0, load=1))
    assert not may_spin(Cores(gateway=1, load=1))
