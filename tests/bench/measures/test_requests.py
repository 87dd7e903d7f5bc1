from __future__ import annotations

import os

import pytest
from bench.measures.measure import Cores
from bench.measures.requests import Requests
from bench.metrics import METRICS
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS
from tests.bench.measures.lying_relay import Lying

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))
FEW = Requests(connections=8, seconds=0.3, warmup_s=0.1)
LATENCY = {"latency_p50_us", "latency_p99_us"}
FIGURES = {"requests_per_s", "cpu_us_per_request", "busy_percent", "others_percent"} | LATENCY


@pytest.mark.parametrize("name", ["headgate", "nginx"])
def test_requests_give_every_figure(name: str) -> None:
    outcome = FEW.run(PEERS[name], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == FIGURES <= set(METRICS)
    assert all(outcome.figures[figure] > 0 for figure in FIGURES - {"others_percent"})
    assert outcome.figures["latency_p50_us"] <= outcome.figures["latency_p99_us"]


def test_a_connection_that_is_closed_as_announced_is_made_anew() -> None:
    outcome = FEW.run(Lying("goodbye", every=1), CORES)
    assert outcome.problems == []
    assert outcome.figures["requests_per_s"] > 0


def test_without_a_gateway_there_is_no_cpu_time() -> None:
    outcome = FEW.run(PEERS["direct"], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == {"requests_per_s", "others_percent"} | LATENCY


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("status", "another status, b'HTTP/1.1 203 OK"),
        ("cut", "closed, b'HTTP/1.1 200 OK"),
        ("damage", "another body, b'HTTP/1.1 200 OK"),
        ("end", "closed, b''"),
    ],
)
def test_answers_that_are_wrong_are_told(lie: str, words: str) -> None:
    assert any(words in problem for problem in FEW.run(Lying(lie), CORES).problems)


def test_a_gateway_that_keeps_no_connection_is_told() -> None:
    with pytest.raises(PeerFailedError, match="bare: no request was answered"):
        FEW.run(PEERS["bare"], CORES)
