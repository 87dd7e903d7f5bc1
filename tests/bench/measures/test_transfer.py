from __future__ import annotations

import os
from typing import Literal

import pytest
from bench.measures.measure import Cores
from bench.measures.transfer import Transfer
from bench.metrics import METRICS
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS
from tests.bench.measures.lying_relay import Lying

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("bare", "download"),
        ("headgate", "download"),
        ("headgate", "upload"),
        ("nginx", "download"),
        ("nginx", "upload"),
    ],
)
def test_a_large_body_gives_every_figure(name: str, direction: Literal["download", "upload"]) -> None:
    outcome = Transfer(megabytes=8, direction=direction).run(PEERS[name], CORES)
    assert outcome.problems == []
    figures = {f"{direction}_bytes_per_cpu_s", "busy_percent", "others_percent"}
    assert set(outcome.figures) == figures <= set(METRICS)
    assert outcome.figures[f"{direction}_bytes_per_cpu_s"] > 1e6
    assert outcome.figures["busy_percent"] > 0


@pytest.mark.parametrize(
    ("lie", "direction", "words"),
    [
        ("damage", "download", "bytes came right"),
        ("cut", "download", "closed"),
        ("refusal", "download", "status 503"),
        ("refusal", "upload", "status 503"),
        ("cut", "upload", "closed"),
    ],
)
def test_a_body_that_is_not_whole_is_told(lie: str, direction: Literal["download", "upload"], words: str) -> None:
    outcome = Transfer(megabytes=2, direction=direction).run(Lying(lie), CORES)
    assert any(words in problem for problem in outcome.problems)


def test_without_a_gateway_there_is_no_cpu_time() -> None:
    with pytest.raises(PeerFailedError, match="direct has no processes"):
        Transfer(megabytes=1).run(PEERS["direct"], CORES)
