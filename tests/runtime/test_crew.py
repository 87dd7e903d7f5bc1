from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

from headgate.observe.counters import STREAMS_ENDED, STREAMS_OPEN, Counters, create_memory
from headgate.runtime.channel import Channel
from headgate.runtime.child import Child, Progress
from headgate.runtime.crew import Crew, LoadedSettings
from headgate.runtime.sockets import Sockets
from headgate.runtime.start import write_whole
from headgate.stream.ending import Ending

VALUES: dict[str, Any] = {
    "workers": 2,
    "listen": ["127.0.0.1:0"],
    "admin": "127.0.0.1:0",
    "metrics": "off",
    "metrics_explicit": True,
    "drain": {"window_s": 7, "idle_s": 2.5},
}


@pytest.fixture
def crew() -> Any:
    sockets = Sockets(VALUES)
    memories = [create_memory() for _ in range(2)]
    yield Crew(module="none", settings=LoadedSettings(VALUES, write_whole(b"{}")), memories=memories, sockets=sockets)
    sockets.close_listen()
    sockets.admin[0].close()
    for memory in memories:
        os.close(memory)


def connect(worker: Child) -> Channel:
    """Give the worker's end of a channel, without a process."""
    worker.channel, theirs = Channel.pair()
    return Channel(theirs)


def test_a_loaded_worker_accepts_when_the_crew_is_open_and_not_before(crew: Crew) -> None:
    ends = [connect(worker) for worker in crew.workers]
    crew.workers[0].progress = Progress.LOADED
    crew.admit(crew.workers[0])
    with pytest.raises(BlockingIOError):
        ends[0].receive()
    crew.open()
    assert ends[0].receive() == ({"type": "accept"}, [])
    with pytest.raises(BlockingIOError):
        ends[1].receive()
    crew.workers[1].progress = Progress.LOADED
    crew.admit(crew.workers[1])
    assert ends[1].receive() == ({"type": "accept"}, [])
    crew.retire(window_s=7, idle_s=2.5, close=False)
    assert ends[1].receive() == ({"type": "drain", "window_s": 7, "idle_s": 2.5, "close": False}, [])
    crew.admit(crew.workers[1])
    with pytest.raises(BlockingIOError):
        ends[1].receive()
    for end, worker in zip(ends, crew.workers, strict=True):
        end.close()
        worker.close_channel()


def test_without_processes_nothing_is_loaded_and_all_have_left(crew: Crew) -> None:
    for worker in crew.workers:
        worker.progress = Progress.READY
    assert (crew.are_loaded, crew.are_ready, crew.have_left, crew.are_gone) == (False, False, True, True)


def test_a_dead_workers_streams_are_counted_as_lost_and_no_descriptor_is_left(crew: Crew) -> None:
    counters = Counters(crew.memories[1])
    counters.slots[STREAMS_OPEN] = 3
    gc.collect()  # what tests before this one left behind
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert crew.settle(crew.workers[1]) == 3
    assert crew.settle(crew.workers[0]) == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert (counters.slots[STREAMS_OPEN], counters.slots[STREAMS_ENDED[Ending.GATEWAY_ERROR]]) == (0, 3)
    counters.close()


def test_settings_give_the_drain_in_seconds(crew: Crew) -> None:
    assert (crew.settings.drain("window_s"), crew.settings.drain("idle_s")) == (7.0, 2.5)
    crew.settings.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(crew.settings.descriptor)
