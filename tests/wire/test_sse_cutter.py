from __future__ import annotations

import pytest

from headgate.wire.sse import EventCutter, RawEvent


def raws(events: list[RawEvent]) -> list[bytes]:
    return [event.raw for event in events]


def test_blocks_keep_their_bytes() -> None:
    cutter = EventCutter()
    stream = b"\xef\xbb\xbf: hi\n\nid:1\r\ndata: a\r\n\r\ndata:b\r\r\n\ndata: c\n\ndata: d\n"
    events = cutter.feed(stream)
    assert raws(events) == [
        b"\xef\xbb\xbf: hi\n\n",
        b"id:1\r\ndata: a\r\n\r\n",
        b"data:b\r\r\n",
        b"\n",
        b"data: c\n\n",
    ]
    assert cutter.rest() == b"data: d\n"
    assert [event.data for event in events] == [b"", b"a", b"b", b"", b"c"]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_blocks_leave_with_the_byte_that_ends_them(size: int) -> None:
    cutter = EventCutter()
    stream = b"data: a\n\n: c\n\ndata: b\nid: 2\n\n"
    events = [event for at in range(0, len(stream), size) for event in cutter.feed(stream[at : at + size])]
    assert raws(events) == [b"data: a\n\n", b": c\n\n", b"data: b\nid: 2\n\n"]
    assert cutter.rest() == b""


def test_whole_pieces_in_the_middle_of_a_stream_are_cut_alike() -> None:
    cutter = EventCutter(max_event_bytes=12)
    assert raws(cutter.feed(b"data: a\n\n")) == [b"data: a\n\n"]
    events = cutter.feed(b"\n\ndata: b\n\n\ndata: a longer one\n\n: c\n\n")
    assert raws(events) == [b"\n", b"\n", b"data: b\n\n", b"\n", b"data: a longer one\n\n", b": c\n\n"]
    assert [event.fragment for event in events] == [False, False, False, False, True, False]


def test_bom_is_not_part_of_the_first_field() -> None:
    stream = b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"
    assert [event.is_event for event in EventCutter().feed(stream)] == [True, False]
    cutter = EventCutter()
    cut = [event for octet in stream for event in cutter.feed(bytes([octet]))]
    assert [event.is_event for event in cut] == [True, False]


def test_lf_behind_a_cr_that_ended_a_block_leads_the_next() -> None:
    cutter = EventCutter()
    assert raws(cutter.feed(b"data: a\r\n\r")) == [b"data: a\r\n\r"]
    assert cutter.feed(b"") == []
    assert cutter.feed(b"\n") == []
    assert cutter.rest() == b"\n"
    (event,) = cutter.feed(b"data: b\r\n\r\n")
    assert event.raw == b"\ndata: b\r\n\r\n"
    assert event.data == b"b"


def test_large_block_leaves_in_flagged_parts_and_the_next_is_whole() -> None:
    cutter = EventCutter(max_event_bytes=10)
    assert cutter.feed(b"data: 0123") == []
    assert cutter.rest() == b"data: 0123"
    pieces = [b"4", b"567\n", b"data: 8\r", b"\n\r", b"\ndata: b\n\nid"]
    events = [cutter.feed(piece) for piece in pieces]
    assert [raws(some) for some in events] == [
        [b"data: 01234"],
        [b"567\n"],
        [b"data: 8\r"],
        [b"\n\r"],
        [b"\ndata: b\n\n"],
    ]
    assert [event.fragment for some in events for event in some] == [True, True, True, True, False]
    assert events[-1][0].data == b"b"
    assert cutter.rest() == b"id"


def test_large_block_that_comes_whole_is_flagged_too() -> None:
    events = EventCutter(max_event_bytes=10).feed(b"data: 1\n\ndata: 0123456789\n\ndata: 2\n\n")
    assert raws(events) == [b"data: 1\n\n", b"data: 0123456789\n\n", b"data: 2\n\n"]
    assert [event.fragment for event in events] == [False, True, False]


def test_block_of_just_the_bound_is_whole() -> None:
    cutter = EventCutter(max_event_bytes=9)
    events = [event for octet in b"data: a\n\ndata: aa\n\n" for event in cutter.feed(bytes([octet]))]
    assert (events[0].raw, events[0].fragment) == (b"data: a\n\n", False)
    assert all(event.fragment for event in events[1:])
    assert b"".join(raws(events[1:])) == b"data: aa\n\n"
