from __future__ import annotations

import itertools

import pytest
from bench.load.chunks import Chunks, NotChunkedError
from hypothesis import given
from hypothesis import strategies as st

SENT = b"3\r\nabc\r\n0010\r\n" + b"x" * 16 + b"\r\nA\r\n0123456789\r\n0\r\n\r\n"
BODY = b"abc" + b"x" * 16 + b"0123456789"


@given(st.lists(st.integers(0, len(SENT)), max_size=8))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    chunks = Chunks()
    places = [0, *sorted(cuts), len(SENT)]
    body = b"".join(chunks.feed(SENT[first:last]) for first, last in itertools.pairwise(places))
    assert (body, chunks.complete) == (BODY, True)


def test_a_part_of_a_chunk_is_given_at_once() -> None:
    chunks = Chunks()
    pieces = [(chunks.feed(piece), chunks.between) for piece in (b"5\r\nab", b"cde\r", b"\n")]
    assert pieces == [(b"ab", False), (b"cde", False), (b"", True)]
    assert not chunks.complete


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"id: 1\r\n", "no chunk's size but b'id: 1'"),
        (b"3;name=value\r\nabc\r\n", "no chunk's size but b'3;name=value'"),
        (b"\r\n", "no chunk's size but b''"),
        (b"0x3\r\n", "no chunk's size but b'0x3'"),
        (b"0" * 16, "no chunk's size but b'000"),
        (b"2\r\nabc\r\n", "no line end behind a chunk but b'c"),
        (b"0\r\nTrailer: 1\r\n\r\n", "no line end behind a chunk but b'Trailer"),
        (SENT + b"more", "behind the last chunk came b'more'"),
    ],
)
def test_what_is_no_chunk_is_told(sent: bytes, told: str) -> None:
    with pytest.raises(NotChunkedError, match=told):
        Chunks().feed(sent)
