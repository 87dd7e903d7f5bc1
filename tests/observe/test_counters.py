from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from headgate.observe.counters import (
    CONNECTIONS_OPEN,
    EVENTS,
    EXCHANGES_ENDED,
    RESPONSES,
    SLOTS,
    STREAMS_ENDED,
    STREAMS_OPEN,
    UPSTREAM_CONNECTIONS_OPEN,
    Counters,
    create_memory,
)
from headgate.stream.ending import Ending


def test_counts_survive_the_kill_of_another_process() -> None:
    memory = create_memory()
    code = (
        "import sys; from headgate.observe.counters import *; counters = Counters(int(sys.argv[1]));"
        "counters.slots[EVENTS] += 41; counters.slots[EVENTS] += 1; print('counted', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(memory)], pass_fds=[memory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"counted\n"
        mine = Counters(memory)
        os.close(memory)  # the mapping stays
        assert mine.slots[EVENTS] == 42
        other.send_signal(signal.SIGKILL)
    assert mine.slots[EVENTS] == 42
    mine.close()


def test_burying_moves_open_streams_into_ended_ones() -> None:
    counters = Counters.private()
    counters.slots[STREAMS_OPEN] = 3
    counters.slots[CONNECTIONS_OPEN] = 5
    counters.slots[UPSTREAM_CONNECTIONS_OPEN] = 4
    counters.slots[EVENTS] = 7
    assert counters.bury() == 3
    assert counters.bury() == 0
    assert counters.slots[STREAMS_ENDED[Ending.GATEWAY_ERROR]] == 3
    assert counters.slots[EXCHANGES_ENDED[Ending.GATEWAY_ERROR]] == 3
    assert [counters.slots[n] for n in (STREAMS_OPEN, CONNECTIONS_OPEN, UPSTREAM_CONNECTIONS_OPEN)] == [0, 0, 0]
    assert counters.slots[EVENTS] == 7
    counters.close()


def test_a_gauge_cannot_fall_below_zero_in_silence() -> None:
    counters = Counters.private()
    with pytest.raises(ValueError, match="'Q'"):
        counters.slots[STREAMS_OPEN] -= 1
    counters.close()


def test_every_slot_has_a_meaning_of_its_own() -> None:
    assert len({(slot.name, slot.labels) for slot in SLOTS}) == len(SLOTS)
    assert {SLOTS[number].labels for number in RESPONSES.values()} == {(("status", f"{n}xx"),) for n in range(1, 6)}
    assert {SLOTS[STREAMS_ENDED[ending]].labels for ending in Ending} == {(("ending", ending),) for ending in Ending}
    for slot in SLOTS:
        same = [other for other in SLOTS if other.name == slot.name]
        assert {(other.type, other.help) for other in same} == {(slot.type, slot.help)}
