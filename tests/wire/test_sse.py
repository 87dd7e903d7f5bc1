"""The three readers agree with one another, whatever the bytes and however they are cut."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire.sse import BOM, Event, EventCounter, EventCutter, EventParser

WORDS = [
    b"data",
    b"data:",
    b":",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    BOM,
    BOM[:1],
    b"x",
    b"\0",
    b"id",
    b"event",
    b"retry",
    b"7",
]


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(st.sampled_from(WORDS), max_size=40)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def parse(pieces: list[bytes]) -> list[list[Event]]:
    parser = EventParser()
    return [parser.feed(piece) for piece in pieces]


@settings(deadline=None)
@given(cut_streams())
def test_parser_gives_the_same_events_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    assert [event for events in parse(pieces) for event in events] == EventParser().feed(b"".join(pieces))


@settings(deadline=None)
@given(cut_streams())
def test_counter_counts_with_each_piece_what_the_parser_dispatches(pieces: list[bytes]) -> None:
    counter = EventCounter()
    assert [counter.feed(piece) for piece in pieces] == [len(events) for events in parse(pieces)]


@settings(deadline=None)
@given(cut_streams())
def test_a_comment_at_a_boundary_changes_no_event(pieces: list[bytes]) -> None:
    counter, commented = EventCounter(), []
    for piece in pieces:
        counter.feed(piece)
        commented += [piece, b": c\n\n"] if counter.at_boundary else [piece]
    assert [event for events in parse(commented) for event in events] == EventParser().feed(b"".join(pieces))


@settings(deadline=None)
@given(cut_streams(), st.sampled_from([0, 1, 8, 1000]))
def test_cutter_loses_no_byte_and_flags_only_large_blocks(pieces: list[bytes], max_event_bytes: int) -> None:
    cutter = EventCutter(max_event_bytes)
    blocks = [block for piece in pieces for block in cutter.feed(piece)]
    assert b"".join(block.raw for block in blocks) + cutter.rest() == b"".join(pieces)
    assert len(cutter.rest()) <= max_event_bytes + 1
    assert all(block.fragment or len(block.raw) <= max_event_bytes + 1 for block in blocks)


@settings(deadline=None)
@given(cut_streams())
def test_cutter_gives_with_each_piece_the_events_that_the_parser_dispatches(pieces: list[bytes]) -> None:
    cutter = EventCutter()
    seen = [
        [(block.type.decode(errors="replace"), block.data.decode(errors="replace")) for block in blocks]
        for blocks in ([block for block in cutter.feed(piece) if block.is_event] for piece in pieces)
    ]
    assert seen == [[(event.type, event.data) for event in events] for events in parse(pieces)]
