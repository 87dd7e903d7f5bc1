from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire.sse import BOM, EventCounter, EventCutter, EventTooLarge

WORDS = [
    b"data",
    b"data: a",
    b":",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"x",
    b"id: 1\n",
    b"data: 0123456789\n\n",
]


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(st.sampled_from(WORDS), max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def counter_after(stream: bytes) -> EventCounter:
    counter = EventCounter()
    counter.feed(stream)
    return counter


@pytest.mark.parametrize(
    ("pieces", "counts", "at_boundary"),
    [
        # whole events, the way most streams come
        ([b"data: a\n\n", b"data: b\n\n"], [1, 1], True),
        ([b"\n", b"id: 1\nevent: x\ndata: a\n\n"], [0, 1], True),
        ([b"\n", b"data: a\r\n\r\n", b"id: 1\r\ndata: a\r\n\r\n"], [0, 1, 1], True),
        ([b"\n", b"data: a\n\ndata: b\nid: 1\n\nevent: x\ndata: c\n\n"], [0, 3], True),
        ([b"\n", b"data\n\nid: 1\ndata\n\ndata\ndata\n\n"], [0, 3], True),
        ([b"\n", b"data: 1\ndata: 2\n\n\ndata: 3\n\n\n\n\ndata: 4\n\n"], [0, 3], True),
        # what is not an event
        ([b"\n", b": keep-alive\n\n"], [0, 0], True),
        ([b"\n", b"event: a\nid: 1\nretry: 5\n\n"], [0, 0], True),
        ([b"\n", b"dat: a\n\nDATA: a\n\n data: a\n\ndatax: a\n\nx: \tdata:\n\n"], [0, 0], True),
        ([b"\n", b"data: a\n\n: c\n\nid: data:\n\n"], [0, 1], True),
        ([b"\n", b"\n\n", b"\n"], [0, 0, 0], True),
        # cuts
        ([b"data: a\n", b"\n"], [0, 1], True),
        ([b"d", b"a", b"t", b"a", b":", b"\n", b"\n"], [0, 0, 0, 0, 0, 0, 1], True),
        ([b"d", b"a", b"t", b"a", b"\n", b"\n"], [0, 0, 0, 0, 0, 1], True),
        ([b"d", b"a", b"t", b"a", b"x", b"\n", b"\n"], [0, 0, 0, 0, 0, 0, 0], True),
        ([b"\n", b"data: " + b"x" * 9000, b"y" * 9000, b"\n\n"], [0, 0, 0, 1], True),
        ([b"\n", b"id: 1\nda", b"ta: a\n\ndata: b\n\ndata: c\n\nda", b"ta: d\n\n"], [0, 0, 3, 1], True),
        ([b"\n", b"data: a\n\ndata: b\n\nid: 1"], [0, 2], False),
        ([b"\n", b"data: a", b""], [0, 0, 0], False),
        # carriage returns
        ([b"data: a\r\n\r", b"\n"], [1, 0], True),
        ([b"data: a\r\n\r", b"data: b\r\r", b"\n\ndata: c\r\r"], [1, 1, 1], False),
        ([b"data: a\r", b"\n\n", b"data: b\n\n"], [0, 1, 1], True),
        ([b"data: a\r", b"\n", b"data: b\n\n"], [0, 0, 1], True),
        ([b"\n", b"data: a\r\rdata: b\r\n\r\n"], [0, 2], True),
        # the byte order mark
        ([b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"], [1], True),
        ([b"\xef", b"\xbb", b"\xbf", b"d", b"ata: a\n\n"], [0, 0, 0, 0, 1], True),
        ([b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n"], [0], True),
    ],
)
def test_events_are_counted_with_the_piece_that_ends_them(
    pieces: list[bytes], counts: list[int], at_boundary: bool
) -> None:
    counter = EventCounter()
    assert [counter.feed(piece) for piece in pieces] == counts
    assert counter.at_boundary == at_boundary


@pytest.mark.parametrize(
    ("stream", "at_boundary"),
    [
        (b"", False),
        (b"\xef", False),
        (b"\xef\xbb", False),
        (b"\xef\xbb\xbf\n", True),
        (b"\n", True),
        (b": c\n", False),
        (b": c\n\n", True),
        (b"id: 1\n", False),
        (b"data: a\n\n", True),
        (b"data: a\n\nd", False),
        (b"data: a\r\n", False),
        (b"data: a\r\n\r", False),
        (b"data: a\r\n\r\n", True),
        (b"data: a\r\r", False),
        (b"data: a\r\rdata: b\n\n", True),
    ],
)
def test_boundary_is_where_a_comment_would_be_a_block_of_its_own(stream: bytes, at_boundary: bool) -> None:
    whole = EventCounter()
    whole.feed(stream)
    assert whole.at_boundary == at_boundary
    cut = EventCounter()
    for octet in stream:
        cut.feed(bytes([octet]))
    assert cut.at_boundary == at_boundary


def test_memory_does_not_grow_with_a_line() -> None:
    counter = EventCounter()
    for _ in range(100):
        counter.feed(b"x" * 65536)
    assert len(counter._head) == 8


# The last boundary in what comes next.


@pytest.mark.parametrize(
    ("before", "piece", "expected"),
    [
        (b"", b"", 0),
        (b"", b"\n", 1),
        (b"", b"data: a\n\nda", 9),
        (b"data: a\n\n", b"data: b\n", 0),
        (b"data: a\n\n", b"data: b\n\ndata: c\n\n\nx", 19),
        (b"data: a\n", b"\ndata: b", 1),
        (b"data: a", b"\ndata: b", 0),
        (b"data: a", b"\n\ndata: b", 2),
        (b"data: a\r", b"\n\ndata: b", 2),
        (b"data: a\r", b"\n\r\ndata: b", 3),
        (b"data: a\r", b"\r\ndata: b", 2),
        (b"data: a\r\n\r", b"\ndata: b", 1),
        (b"data: a\r\n", b"\r\ndata: b\r\n", 2),
        (b"data: a\n", b"\r\n", 2),
        (b"data: a", b"\r\rdata: b\n\n", 11),
        (b"data: a", b"\r\rdata: b", 0),  # a comment there would be one, but not at the end of what was fed
        (b"data: a\r\r", b"data: b", 0),
        (BOM, b"\n\n", 2),
    ],
)
def test_the_last_boundary_of_what_comes_next(before: bytes, piece: bytes, expected: int) -> None:
    assert counter_after(before).last_boundary(piece) == expected


@settings(deadline=None)
@given(cut_streams())
def test_the_last_boundary_is_the_last_place_that_would_be_one(pieces: list[bytes]) -> None:
    counter, fed = EventCounter(), b""
    for piece in pieces:
        ends = [at for at in range(1, len(piece) + 1) if counter_after(fed + piece[:at]).at_boundary]
        assert counter.last_boundary(piece) == max(ends, default=0)
        counter.feed(piece)
        fed += piece


# Blocks that are too large.


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_block_of_just_the_bound_is_taken_and_no_larger_one(end: bytes, is_cut: bool) -> None:
    block = b"id: 1" + end + b"data: a" + end + end
    limit = len(block) - (is_cut and end == b"\r\n")  # the last LF of a block that its CR has ended is nobody's
    for size, is_taken in ((limit, True), (limit - 1, False)):
        counter = EventCounter(size)
        try:
            for piece in [bytes([octet]) for octet in 2 * block] if is_cut else [block, block]:
                counter.feed(piece)
        except EventTooLarge:
            assert not is_taken
        else:
            assert is_taken


@pytest.mark.parametrize(
    ("before", "piece", "whole_bytes", "events"),
    [
        (b"", b"data: 0123456", 0, 0),
        (b"data: a\n\n", b"data: 0123456", 0, 0),
        (b"data: a\n\ndata: b", b"0123456", 0, 0),
        (b"", b"data: a\n\n: c\n\ndata: 0123456\n\ndata: d\n\n", 14, 1),
        (b"data: a\n", b"\ndata: b\n\ndata: 0123456", 10, 2),
        (b"data: a\r\n\r", b"\ndata: b\r\rdata: 0123456", 10, 1),
        (b"data: a\r", b"\nid: 012345", 0, 0),
        (b"data: 01234\r", b"\n", 0, 0),
        (b"\n", b"data: 0123456\n\n", 0, 0),
        (b"\n", b"data: 0123456\r\n\r\n", 0, 0),
        (b"\n", b"data: a\n\ndata: 0123456\n\n", 9, 1),
    ],
)
def test_what_stands_before_a_block_that_is_too_large_is_said(
    before: bytes, piece: bytes, whole_bytes: int, events: int
) -> None:
    counter = EventCounter(12)
    counter.feed(before)
    was_at_boundary = counter.at_boundary
    with pytest.raises(EventTooLarge, match="more than 12 bytes") as raised:
        counter.feed(piece)
    assert (raised.value.whole_bytes, raised.value.events) == (whole_bytes, events)
    assert counter.at_boundary is (was_at_boundary or whole_bytes > 0)


def refusal_of(counter: EventCounter, piece: bytes) -> EventTooLarge | None:
    try:
        counter.feed(piece)
    except EventTooLarge as error:
        return error
    return None


@settings(deadline=None)
@given(cut_streams(), st.integers(1, 40))
def test_the_counter_refuses_what_the_cutter_would_not_hold(pieces: list[bytes], limit: int) -> None:
    counter, cutter, plain = EventCounter(limit), EventCutter(limit), EventCounter()
    for piece in pieces:
        is_fragment = any(event.fragment for event in cutter.feed(piece))
        refusal = refusal_of(counter, piece)
        assert (refusal is not None) is is_fragment
        if refusal is not None:
            whole = piece[: refusal.whole_bytes]
            assert plain.feed(whole) == refusal.events
            # no LF will follow: what ends with a CR has ended
            assert counter.at_boundary is (plain.at_boundary or whole.endswith(b"\r"))
            return
        plain.feed(piece)
        assert counter.at_boundary is plain.at_boundary


@settings(deadline=None)
@given(cut_streams(), st.integers(40, 80))
def test_a_bound_that_is_kept_changes_no_count(pieces: list[bytes], limit: int) -> None:
    counter, plain = EventCounter(limit), EventCounter()
    if not any(event.fragment for event in EventCutter(limit).feed(b"".join(pieces))):
        assert [counter.feed(piece) for piece in pieces] == [plain.feed(piece) for piece in pieces]


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_without_a_bound_nothing_is_too_large(size: int) -> None:
    counter = EventCounter()
    for _ in range(1 << 20 >> size.bit_length()):
        counter.feed(b"x" * size)
    assert counter.feed(b"\ndata: a\n\n") == 1
