"""The load against the bare relay, small: the figures come from events that really passed."""

from __future__ import annotations

import os

import pytest
from bench.load.orders import LoadFailedError, LoadProcess
from bench.measures.idle_way import run_idle
from bench.measures.leaving import Phase
from bench.measures.measure import Cores
from bench.measures.paced import Shape, count_problems, run_load
from bench.peers.registry import PEERS

CORE = min(os.sched_getaffinity(0))
SHAPE = Shape(streams=5, rate=50, size_bytes=120, seconds=0.5, warmup_s=0.1)


def test_a_run_counts_what_passed() -> None:
    figures = run_load(PEERS["bare"], SHAPE, Cores(gateway=CORE, load=CORE))
    assert figures.problems == []
    assert figures.seconds >= 0.5
    assert figures.events > 5
    assert 1 < figures.cpu_us_per_event < 10_000
    assert figures.instructions_per_event is None or 100 < figures.instructions_per_event < 1e6
    assert 0 < figures.latency_p50_us <= figures.latency_p99_us


def test_an_idle_relay_is_measured() -> None:
    figures = run_idle(PEERS["bare"], core=CORE, tries=3)
    assert 0 < figures.event_us < 1e6
    assert set(figures.client_gone_us) == {phase.value for phase in Phase}
    assert all(0 < gone_us < 1e6 for gone_us in figures.client_gone_us.values())


def test_the_swarm_checks_what_the_origin_sends() -> None:
    """Without a gateway between: another event size than agreed is damage on every stream."""
    with LoadProcess("bench.load.paced_origin", 50, 120, core=CORE) as origin:
        port = origin.answer()["port"]
        with LoadProcess("bench.load.swarm", port, 3, 119, core=CORE) as swarm:
            swarm.answer()
            sent = origin.ask("finish")["sent"]
            received = swarm.ask("finish")
    assert received["complete"] == 3
    assert sorted(received["problems"]) == [f"stream {number}: damaged behind event -1" for number in range(3)]
    assert len(count_problems(sent, received["received"])) == 3


@pytest.mark.parametrize(
    ("sent", "received", "problems"),
    [
        ({"0": 5, "1": 7}, {"0": 5, "1": 7}, []),
        ({"0": 5, "1": 7}, {"0": 5, "1": 6}, ["stream 1: 7 events sent, 6 received"]),
        ({"0": 5}, {"0": 5, "1": 1}, ["stream 1: 0 events sent, 1 received"]),
        ({"2": 1, "10": 1}, {}, ["stream 2: 1 events sent, 0 received", "stream 10: 1 events sent, 0 received"]),
    ],
)
def test_every_stream_is_counted(sent: dict[str, int], received: dict[str, int], problems: list[str]) -> None:
    assert count_problems(sent, received) == problems


def test_a_load_process_that_fails_is_told() -> None:
    with (
        LoadProcess("bench.load.swarm", 1, 1, 200, core=CORE) as swarm,
        pytest.raises(LoadFailedError, match="ended with 1"),
    ):
        swarm.answer()
