from __future__ import annotations

import os

import pytest
from bench.measures.measure import Cores
from bench.measures.storm import Storm
from bench.metrics import METRICS
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS
from tests.bench.measures.lying_relay import Lying

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))
FIGURES = {"streams_per_s", "cpu_us_per_stream", "busy_percent", "others_percent"}


@pytest.mark.parametrize("name", ["bare", "headgate"])
def test_a_storm_gives_every_figure(name: str) -> None:
    outcome = Storm(streams=300).run(PEERS[name], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == FIGURES <= set(METRICS)
    assert all(outcome.figures[figure] > 0 for figure in FIGURES - {"others_percent"})
    assert outcome.figures["busy_percent"] < 110


def test_without_a_gateway_there_is_no_cpu_time() -> None:
    outcome = Storm(streams=20).run(PEERS["direct"], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == {"streams_per_s", "others_percent"}


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("status", "b'HTTP/1.1 203 OK"),
        ("refusal", "answered behind b'HTTP/1.1 503 No"),
        ("cut", "closed behind b'HTTP/1.1 200 OK"),
        ("end", "did not stay open"),
    ],
)
def test_streams_that_do_not_open_well_are_told(lie: str, words: str) -> None:
    assert any(words in problem for problem in Storm(streams=60).run(Lying(lie), CORES).problems)


def test_a_gateway_that_opens_nothing_is_told() -> None:
    with pytest.raises(PeerFailedError, match="lying: no stream opened"):
        Storm(streams=6).run(Lying("cut", every=1), CORES)
