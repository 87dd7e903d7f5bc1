from __future__ import annotations

import itertools

import pytest
from bench.soak.events import StreamCheck, make_event
from hypothesis import given
from hypothesis import strategies as st

KEY = b"7-0"


def events(*numbers: int, last: int | None = None, key: bytes = KEY, line_end: bytes = b"\n") -> bytes:
    return b"".join(make_event(key, number, padding=20, last=number == last, line_end=line_end) for number in numbers)


def check(*pieces: bytes, after: int = -1, properly: bool = False) -> StreamCheck:
    found = StreamCheck(KEY, after)
    for piece in pieces:
        found.feed(piece)
    found.end(properly=properly)
    return found


@pytest.mark.parametrize("padding", [0, 1, 20, 16_000])
def test_an_event_has_the_padding_asked_for(padding: int) -> None:
    event = make_event(KEY, 12, padding=padding)
    head = b"id: 12\ndata: 7-0 12 "
    assert event.startswith(head)
    assert len(event) == len(head) + 8 + 1 + padding + 2
    assert check(event, after=11).problems == []


@pytest.mark.parametrize(
    ("body", "after", "properly"),
    [
        (b"", -1, False),
        (events(0, 1, 2), -1, False),
        (events(5, 6), 4, False),
        (events(0, 1, line_end=b"\r\n"), -1, False),
        (events(0, 1, 2, last=2), -1, True),
        (events(0, 1, 2, last=2), -1, False),
        (events(0) + b":\n\n: what is this\n\n" + events(1), -1, False),
        (events(0) + b"retry: 1200\n\n", -1, False),
        (events(0) + b"retry: 1200\n\n", -1, True),
        (events(0) + b'event: error\ndata: {"ending":"upstream_eof"}\n\n', -1, True),
        (b"retry: 1500\nevent: refused\ndata: {}\n\n", -1, True),
        (events(0, 1)[:-30], -1, False),
    ],
)
def test_what_may_be(body: bytes, after: int, properly: bool) -> None:
    assert check(body, after=after, properly=properly).problems == []


@pytest.mark.parametrize(
    ("body", "properly", "problem"),
    [
        (events(0, 2), False, "event 2 behind event 0: lost"),
        (events(1), False, "event 1 behind event -1: lost"),
        (events(0, 0), False, "event 0 behind event 0: doubled or out of order"),
        (events(0, 1, 0), False, "event 0 behind event 1: doubled or out of order"),
        (events(0) + events(1, key=b"8-0"), False, "event 1 of stream 8-0"),
        (events(0, 1).replace(b"0.0.", b"0.1."), False, "event 0 has another checksum"),
        (events(0).replace(b"data: ", b"event: last\ndata: "), False, "event 0 has another checksum"),
        (events(0) + b"data: half of an ev\n\n", False, "damaged behind event 0: b'', b'half of an ev'"),
        (events(0) + b"event: surprise\n\n", False, "damaged behind event 0: b'surprise', b''"),
        (events(0, 1), True, "a proper end behind event 1, which is not the last, and no word of it"),
        (b"", True, "a proper end behind event -1, which is not the last, and no word of it"),
        (b":\n\n", True, "a proper end behind event -1, which is not the last, and no word of it"),
        (events(0, 1, last=1)[:-1], True, "a proper end inside the event behind 0"),
        (events(0) + b"retry: 1\n\n" + events(1)[:20], True, "a proper end inside the event behind 0"),
        (events(0, 1, 2, last=1), False, "event 2 behind the end (last event)"),
        (events(0) + b"retry: 1\n\n" + events(1), False, "event 1 behind the end (retry)"),
    ],
)
def test_what_may_not_be(body: bytes, properly: bool, problem: str) -> None:
    assert check(body, properly=properly).problems == [problem]


@given(st.lists(st.integers(0, 400), max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_cuts_change_nothing(cuts: list[int], line_end: bytes) -> None:
    body = events(0, 1, 3, line_end=line_end) + b":\n\nretry: 7\n\n" + events(4, 5)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    cut = check(*(body[first:last] for first, last in itertools.pairwise(places)))
    whole = check(body)
    assert (cut.problems, cut.events, cut.number, cut.retry_ms) == (whole.problems, 5, 5, 7)


@pytest.mark.parametrize(
    ("said", "announced", "retry_ms"),
    [
        (b"retry: 1200\n\n", "retry", 1200),
        (b'event: error\ndata: {"ending":"drain","stream_id":"x"}\n\n', "drain", None),
        (b'retry: 3\n\nevent: error\ndata: {"ending":"drain"}\n\n', "drain", 3),
        (b'retry: 3\nevent: refused\ndata: {"status":503}\n\n', "refused", 3),
        (b"event: error\ndata: something\n\n", "unreadable", None),
        (b": retry: 5\n\n", None, None),
    ],
)
def test_an_end_that_was_announced_is_known(said: bytes, announced: str | None, retry_ms: int | None) -> None:
    found = check(events(0) + said)
    assert (found.announced, found.retry_ms) == (announced, retry_ms)


@pytest.mark.parametrize(("length", "is_torn"), [(0, False), (5, True), (-1, True), (None, False)])
def test_it_is_known_whether_an_event_is_half_there(length: int | None, is_torn: bool) -> None:
    assert check(events(0)[:length]).is_torn is is_torn
