from __future__ import annotations

import time
from collections import Counter

import pytest
from bench.load.pace import Pace

SECOND_NS = 1_000_000_000


class Stream:
    def __init__(self) -> None:
        self.stamps_ns: list[int] = []

    def send_event(self, now_ns: int) -> None:
        self.stamps_ns.append(now_ns)


@pytest.fixture
def streams() -> list[Stream]:
    return [Stream() for _ in range(10)]


def test_nothing_is_sent_before_it_is_due(streams: list[Stream]) -> None:
    began_ns = time.monotonic_ns() + 3600 * SECOND_NS
    left_ns = Pace(streams, 5, began_ns).send_due(100)
    assert 3500 * SECOND_NS < left_ns <= 3600 * SECOND_NS
    assert not any(stream.stamps_ns for stream in streams)


def test_what_is_late_is_made_up_for_and_every_stream_has_its_share(streams: list[Stream]) -> None:
    """An hour of one event in each stream and hour, plus the very first: the others are an hour away."""
    pace = Pace(streams, 1 / 3600, time.monotonic_ns() - 3600 * SECOND_NS)
    assert pace.send_due(4) == 0
    assert sum(len(stream.stamps_ns) for stream in streams) == 4
    assert 0 < pace.send_due(100) <= 360 * SECOND_NS
    assert Counter(len(stream.stamps_ns) for stream in streams) == {1: 9, 2: 1}
    assert len(pace.lags_ns) == 11
    assert 3600 * SECOND_NS <= pace.lags_ns[0] < 3700 * SECOND_NS
    assert 0 <= pace.lags_ns[-1] < 100 * SECOND_NS


def test_events_carry_the_time_of_their_own_sending(streams: list[Stream]) -> None:
    before_ns = time.monotonic_ns()
    Pace(streams, 1, before_ns - 2 * SECOND_NS).send_due(20)
    stamps_ns = sorted(stamp for stream in streams for stamp in stream.stamps_ns)
    assert len(stamps_ns) == 20
    assert before_ns <= stamps_ns[0] < stamps_ns[-1] <= time.monotonic_ns()
