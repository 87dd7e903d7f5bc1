"""The event load as a process, its clients connected to its own origin."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from bench.load.orders import LoadFailedError, LoadProcess, Message

CORE = min(os.sched_getaffinity(0))
STREAMS = 5


@pytest.fixture
def load() -> Iterator[LoadProcess]:
    with LoadProcess("bench.load.events", STREAMS, 120, core=CORE) as load:
        yield load


def connect(load: LoadProcess) -> None:
    assert load.ask("connect", port=load.answer()["port"]) == {"begun": STREAMS, "problems": []}


def window(load: LoadProcess, seconds: float) -> Message:
    load.ask("begin", pids=[load.pid])
    time.sleep(seconds)
    return load.ask("end")


@pytest.mark.parametrize("spin", [False, True])
def test_the_origin_keeps_its_rate(load: LoadProcess, spin: bool) -> None:
    connect(load)
    began = time.monotonic()
    load.ask("pace", rate=40, spin=spin)
    passed = window(load, 0.5)
    assert passed["events"] > 0
    while load.ask("count")["events"] < STREAMS * (1 + 40):  # each stream has had its first before
        assert time.monotonic() - began < 10.0, "a second's events took ten"
        time.sleep(0.01)
    assert time.monotonic() - began > 1 - 1 / (40 * STREAMS), "faster than it should"
    assert 0 < passed["load_us"] <= passed["cpu_us"] * 1.5
    assert load.ask("finish") == {"problems": []}
    ranks = load.ask("ranks")
    assert 0 < ranks["latency_us"]["p50"] <= ranks["latency_us"]["p99"] <= ranks["latency_us"]["worst"]
    assert 0 <= ranks["lag_us"]["p50"] <= ranks["lag_us"]["p999"] <= ranks["lag_us"]["worst"]


@pytest.mark.parametrize("events", [1, 4])
def test_the_next_event_follows_when_one_was_taken(load: LoadProcess, events: int) -> None:
    connect(load)
    load.ask("follow", window=events, spin=False)
    passed = window(load, 0.3)
    assert passed["events"] > 10 * STREAMS * events
    assert load.ask("count")["events"] >= passed["events"] + STREAMS
    assert load.ask("finish") == {"problems": []}


def test_streams_that_do_not_begin_are_told(load: LoadProcess) -> None:
    load.answer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ready = load.ask("connect", port=port)
    assert ready["begun"] == 0
    assert ready["problems"] == [f"stream {number}: no connection: Connection refused" for number in range(STREAMS)]


def test_a_process_that_fails_is_told() -> None:
    with (
        LoadProcess("bench.load.events", "many", 120, core=CORE) as load,
        pytest.raises(LoadFailedError, match="ended with 1"),
    ):
        load.answer()
