from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from headgate.observe.counters import (
    CONNECTIONS_OPEN,
    EVENTS,
    EXCHANGES_ENDED,
    HISTOGRAMS,
    NUMBERS,
    RESPONSES,
    SLOTS,
    STREAM_LIFETIME,
    STREAMS_DRAINING,
    STREAMS_ENDED,
    STREAMS_OPEN,
    UPSTREAM_CONNECTIONS_OPEN,
    Counters,
    OtherLayout,
    create_memory,
)
from headgate.observe.histogram import observe
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
    counters.slots[STREAMS_DRAINING] = 2
    counters.slots[EVENTS] = 7
    observe(counters.slots, STREAM_LIFETIME, 3.0)
    row = counters.open_rows().find("r", "", "")
    counters.slots[row.code(200)] = 8
    kept = counters.slots[len(SLOTS) : NUMBERS].tolist()
    assert counters.bury() == 3
    assert counters.bury() == 0
    assert counters.slots[STREAMS_ENDED[Ending.GATEWAY_ERROR]] == 3
    assert counters.slots[EXCHANGES_ENDED[Ending.GATEWAY_ERROR]] == 3
    gauges = (STREAMS_OPEN, STREAMS_DRAINING, CONNECTIONS_OPEN, UPSTREAM_CONNECTIONS_OPEN)
    assert [counters.slots[n] for n in gauges] == [0, 0, 0, 0]
    assert counters.slots[EVENTS] == 7
    assert counters.slots[len(SLOTS) : NUMBERS].tolist() == kept
    assert counters.slots[row.code(200)] == 8
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


def test_numbers_have_places_of_their_own() -> None:
    assert HISTOGRAMS[0].first == len(SLOTS)
    for one, other in pairwise(HISTOGRAMS):
        assert one.end == other.first
    assert HISTOGRAMS[-1].end == NUMBERS
    names = [histogram.name for histogram in HISTOGRAMS]
    assert len({*names, *(slot.name for slot in SLOTS)}) == len(names) + len({slot.name for slot in SLOTS})
    for histogram in HISTOGRAMS:
        assert list(histogram.bounds) == sorted(set(histogram.bounds))
    assert (STREAM_LIFETIME.bounds[0], STREAM_LIFETIME.bounds[-1]) == (1.0, 24 * 3600.0)


@pytest.mark.parametrize("change", ["shorter", "longer", "other mark", "never marked"])
def test_memory_of_another_version_is_refused(change: str) -> None:
    memory = create_memory()
    size = os.fstat(memory).st_size
    match change:
        case "shorter":
            os.ftruncate(memory, size - 8)
        case "longer":
            os.ftruncate(memory, size + 8)
        case "other mark":
            os.pwrite(memory, b"\x01\x02", size - 8)
        case _:
            os.pwrite(memory, bytes(8), size - 8)
    with pytest.raises(OtherLayout, match="stop it and start this one"):
        Counters(memory)
    os.close(memory)
