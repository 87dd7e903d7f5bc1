from __future__ import annotations

import itertools
from array import array

import pytest
from bench.load.event import SMALLEST_BYTES, EventCheck, count_problems, make_event
from hypothesis import given
from hypothesis import strategies as st

SIZE = 60


def events(*numbers: int, stream: int = 3) -> bytes:
    return b"".join(make_event(stream, number, 1000 + number, SIZE) for number in numbers)


def check(*pieces: bytes) -> tuple[int, list[str]]:
    latencies = array("q")
    one = EventCheck(3, SIZE)
    for piece in pieces:
        one.feed(piece, 5000, latencies)
    one.finish()
    assert len(latencies) == one.received
    return one.received, one.problems


@pytest.mark.parametrize("size", [SMALLEST_BYTES, 200, 5000])
def test_an_event_has_the_length_asked_for_and_one_end(size: int) -> None:
    event = make_event(1, 2, 3, size)
    assert len(event) == size
    assert event.startswith(b"id: 000001-00000002\ndata: 0000000000000000003 x")
    assert event.count(b"\n\n") == 1


@pytest.mark.parametrize(
    ("body", "received", "problems"),
    [
        (events(0, 1, 2), 3, []),
        (b"", 0, []),
        (events(0, 2, 3), 3, ["stream 3: events 1 to 1 lost"]),
        (events(2), 1, ["stream 3: events 0 to 1 lost"]),
        (events(0, 1, 1, 2), 4, ["stream 3: event 1 doubled or out of order"]),
        (
            events(0, 2, 1),
            3,
            ["stream 3: events 1 to 1 lost", "stream 3: event 1 doubled or out of order"],
        ),
        (events(0) + events(1, stream=4), 2, ["stream 3: event 1 of stream 4 arrived"]),
        (events(0) + b"?" + events(1), 1, ["stream 3: damaged behind event 0"]),
        (events(0, 1).replace(b"xx", b"x\n"), 0, ["stream 3: damaged behind event -1"]),
        (events(0, 1)[:-1], 1, ["stream 3: 59 bytes of a torn event at the end"]),
    ],
)
def test_what_went_wrong_is_told(body: bytes, received: int, problems: list[str]) -> None:
    assert check(body) == (received, problems)


@given(st.lists(st.integers(0, 5 * SIZE), max_size=8))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    body = events(0, 1, 3, 4, 5)
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[first:last] for first, last in itertools.pairwise(places)]
    assert check(*pieces) == check(body)


def test_latency_is_the_time_since_the_stamp() -> None:
    latencies = array("q")
    EventCheck(3, SIZE).feed(events(0, 1), 5000, latencies)
    assert list(latencies) == [4000, 3999]


@pytest.mark.parametrize(
    ("sent", "received", "problems"),
    [
        ({0: 5, 1: 7}, {0: 5, 1: 7}, []),
        ({0: 5, 1: 7}, {0: 5, 1: 6}, ["stream 1: 7 events sent, 6 received"]),
        ({0: 5}, {0: 5, 1: 1}, ["stream 1: 0 events sent, 1 received"]),
        ({2: 1, 10: 1}, {}, ["stream 2: 1 events sent, 0 received", "stream 10: 1 events sent, 0 received"]),
    ],
)
def test_every_stream_is_counted(sent: dict[int, int], received: dict[int, int], problems: list[str]) -> None:
    assert count_problems(sent, received) == problems
