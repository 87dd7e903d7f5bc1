from __future__ import annotations

import os

import pytest
from bench.measures.idle_way import IdleWay
from bench.measures.leaving import Phase
from bench.measures.measure import Cores
from bench.metrics import METRICS
from bench.peers.registry import PEERS
from tests.bench.measures.lying_relay import Lying

from bench.measures import leaving

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))


@pytest.mark.parametrize("name", ["bare", "headgate"])
def test_an_idle_gateway_is_timed(name: str) -> None:
    outcome = IdleWay(tries=3).run(PEERS[name], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == {"idle_event_us", *(phase.metric for phase in Phase)} <= set(METRICS)
    assert all(0 < figure < 5e6 for figure in outcome.figures.values())


def test_without_a_gateway_only_the_event_is_timed() -> None:
    assert set(IdleWay(tries=2).run(PEERS["direct"], CORES).figures) == {"idle_event_us"}


def test_an_upstream_that_is_not_told_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "NEWS_WITHIN_S", 1.0)
    outcome = IdleWay(tries=1).run(Lying("deaf", every=1), CORES)
    assert set(outcome.figures) >= {"idle_event_us"}
    for phase in (Phase.BEFORE_FIRST_BYTE, Phase.BETWEEN_EVENTS, Phase.MID_EVENT):
        assert f"the upstream was not told that its client has left, {phase}: timed out" in outcome.problems
