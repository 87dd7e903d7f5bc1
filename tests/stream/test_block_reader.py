from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.stream.block_reader import TEXT_BYTES, Block, BlockReader
from headgate.wire.sse import EventCounter, EventCutter

PARTS = [
    b"data",
    b":",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"event: x\n",
    b"id: 7\n",
    b"id: \0\n",
    b"a",
    b"\xef\xbb\xbf",
]


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    """Give a stream that is rich in line ends, in pieces."""
    stream = b"".join(draw(st.lists(st.sampled_from(PARTS), max_size=40)))
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=6)) | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(cuts)]


def events(blocks: list[Block]) -> list[tuple[bytes, bytes | None, bytes]]:
    return [(block.type, block.id, block.data) for block in blocks if block.is_event]


def expected(stream: bytes) -> list[tuple[bytes, bytes | None, bytes]]:
    return [(event.type, event.id, event.data) for event in EventCutter().feed(stream) if event.is_event]


@given(cut_streams())
def test_it_reads_what_the_cutter_reads_however_the_bytes_are_cut(pieces: list[bytes]) -> None:
    reader = BlockReader(1000, at_start=True)
    assert events([block for piece in pieces for block in reader.feed(piece)]) == expected(b"".join(pieces))


@settings(max_examples=400)
@given(cut_streams(), st.integers(0, 7))
def test_it_may_begin_anywhere_and_gives_whole_events_only(pieces: list[bytes], first: int) -> None:
    every = expected(b"".join(pieces))
    counter = EventCounter()
    passed = sum(map(counter.feed, pieces[:first]))
    is_start = not any(pieces[:first])
    is_skipping = not (is_start or counter.at_boundary)
    reader = BlockReader(1000, at_start=is_start, is_skipping=is_skipping)
    seen = events([block for piece in pieces[first:] for block in reader.feed(piece)])
    left = every[passed:]
    if is_skipping:
        assert seen == left[len(left) - len(seen) :]
        assert len(left) - len(seen) <= 2  # the event that it came into, and one more behind a line end of unknown kin
    else:
        assert seen == left


@given(st.lists(st.binary(max_size=30), max_size=10), st.booleans(), st.booleans())
def test_no_bytes_are_too_strange(pieces: list[bytes], at_start: bool, is_skipping: bool) -> None:
    reader = BlockReader(4, at_start=at_start, is_skipping=is_skipping)
    for piece in pieces:
        reader.feed(piece)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_an_endless_line_is_not_kept(size: int) -> None:
    reader = BlockReader(100)
    line = b"data: " + b"x" * 100_000
    for start in range(0, len(line), size):
        assert reader.feed(line[start : start + size]) == []
    assert len(reader._line) < 100 + TEXT_BYTES
    assert reader.feed(b"\n\n") == [Block(True, b"message", None, b"x" * 100, True, len(line) + 2)]


def test_many_data_lines_are_cut_as_one() -> None:
    (block,) = BlockReader(5).feed(b"data: ab\ndata: cd\ndata: ef\nid: 9\n\n")
    assert (block.data, block.is_cut, block.id) == (b"ab\ncd", True, b"9")
    (block,) = BlockReader(8).feed(b"data: ab\ndata: cd\ndata: ef\n\n")
    assert (block.data, block.is_cut) == (b"ab\ncd\nef", False)


def test_without_data_bytes_none_are_kept_and_events_are_still_told_from_comments() -> None:
    blocks = BlockReader(0).feed(b"data: secret\n\n: comment\n\nid: 3\n\nretry: 5\n\ndata\n\n")
    assert [block.is_event for block in blocks] == [True, False, False, False, True]
    assert {block.data for block in blocks} == {b""}


def test_an_id_with_nul_is_none() -> None:
    (block,) = BlockReader(10).feed(b"id: a\0b\ndata: a\n\n")
    assert block.id is None


def test_ids_and_types_are_cut() -> None:
    (block,) = BlockReader(10).feed(b"id: " + b"i" * 5000 + b"\nevent: " + b"e" * 5000 + b"\ndata: a\n\n")
    assert (block.id, block.type) == (b"i" * TEXT_BYTES, b"e" * TEXT_BYTES)


@pytest.mark.parametrize(
    ("pieces", "sizes"),
    [
        ([b"data: a\n\n: hello\n\n"], [9, 9]),
        ([b"data: a\r\n\r\ndata: b\r\n\r\n"], [11, 11]),
        ([b"data: a\r", b"\n\r", b"\ndata: b\n\n"], [10, 9]),  # the LF of a blank line may come too late to be counted
        ([b"da", b"ta: a", b"\n", b"\n"], [9]),
        ([b"\n\n\ndata: a\n\n"], [9]),
    ],
)
def test_sizes_are_those_on_the_wire(pieces: list[bytes], sizes: list[int]) -> None:
    reader = BlockReader(100)
    assert [block.size for piece in pieces for block in reader.feed(piece)] == sizes
