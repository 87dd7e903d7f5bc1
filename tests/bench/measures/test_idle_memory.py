from __future__ import annotations

import os

import pytest
from bench.measures.idle_memory import IdleMemory
from bench.measures.measure import Cores
from bench.metrics import METRICS
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS
from tests.bench.measures.lying_relay import Lying

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))


@pytest.mark.parametrize("name", ["bare", "headgate"])
def test_idle_streams_are_weighed(name: str) -> None:
    outcome = IdleMemory(streams=300, seconds=0.2).run(PEERS[name], CORES)
    assert outcome.problems == []
    assert set(outcome.figures) == {"memory_bytes_per_stream", "cpu_us_per_stream_s", "others_percent"} <= set(METRICS)
    assert 500 < outcome.figures["memory_bytes_per_stream"] < 200_000
    assert outcome.figures["cpu_us_per_stream_s"] >= 0


def test_streams_that_do_not_stay_open_are_told() -> None:
    [*_, problem] = IdleMemory(streams=40, seconds=0.1).run(Lying("end"), CORES).problems
    assert "40 of 40 streams opened" in problem
    assert "did not stay open" in problem


def test_without_a_gateway_there_is_nothing_to_weigh() -> None:
    with pytest.raises(PeerFailedError, match="direct has no processes"):
        IdleMemory(streams=20).run(PEERS["direct"], CORES)
