from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire.chunked import (
    LAST_CHUNK,
    MAX_LINE_BYTES,
    MAX_SINGLE_BYTES,
    MAX_TRAILER_BYTES,
    BadChunk,
    ChunkedDecoder,
    encode_chunk,
    single_chunk,
)


def decode(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    decoder = ChunkedDecoder()
    body = b"".join(decoder.feed(piece) for piece in pieces)
    return body, decoder.done, decoder.rest


def bytewise(data: bytes) -> tuple[bytes, bool, bytes]:
    decoder = ChunkedDecoder()
    body = b""
    for position, octet in enumerate(data):
        body += decoder.feed(bytes([octet]))
        if decoder.done:
            return body, True, data[position + 1 :]
    return body, False, b""


GOOD = [
    (b"3\r\nabc\r\n0\r\n\r\n", b"abc", b""),
    (b"0\r\n\r\n", b"", b""),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, b""),
    (b"0003\r\nabc\r\n0000000000000000\r\n\r\n", b"abc", b""),
    (b"5\r\n\r\n0\r\n\r\n0\r\n\r\n", b"\r\n0\r\n", b""),
    # extensions (RFC 9112 §7.1.1) are read over, quoted ones and those without a value too
    (b"3;a\r\nabc\r\n0;b=c\r\n\r\n", b"abc", b""),
    (b'3 \t; a = "x;y" ; b\r\nabc\r\n0;\r\n\r\n', b"abc", b""),
    (b"3;\xff\x80\r\nabc\r\n0\r\n\r\n", b"abc", b""),
    # trailers are dropped
    (b"3\r\nabc\r\n0\r\nA: b\r\nContent-Length: 5\r\nC:\r\n\r\n", b"abc", b""),
    # what follows is not the body's
    (b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n", b"abc", b"GET / HTTP/1.1\r\n"),
    (b"0\r\n\r\n\r\n", b"", b"\r\n"),
]


@pytest.mark.parametrize(("data", "body", "rest"), GOOD)
def test_the_body_is_given_and_its_end_found(data: bytes, body: bytes, rest: bytes) -> None:
    assert decode(data) == (body, True, rest)
    assert bytewise(data) == (body, True, rest)


@pytest.mark.parametrize(
    "data", [b"", b"3", b"3\r", b"3\r\nab", b"3\r\nabc", b"3\r\nabc\r\n", b"0\r\n", b"0\r\nA: b\r\n"]
)
def test_an_unfinished_body_is_not_done(data: bytes) -> None:
    assert not decode(data)[1]


LONG = b"x" * MAX_LINE_BYTES
BAD = [
    # sizes
    (b"\r\n", "size"),
    (b"g\r\n", "size"),
    (b"0x3\r\nabc\r\n", "size"),
    (b"-3\r\nabc\r\n", "size"),
    (b"+3\r\nabc\r\n", "size"),
    (b" 3\r\nabc\r\n", "size"),
    (b"3 \r\nabc\r\n", "size"),
    (b"3\t\r\nabc\r\n", "size"),
    (b"3 3\r\nabc\r\n", "size"),
    (b"3_0\r\nabc\r\n", "size"),
    (b"3,3\r\nabc\r\n", "size"),
    (b"\xef\xbc\x93\r\nabc\r\n", "size"),
    (b"00000000000000003\r\nabc\r\n", "size"),
    (b"ffffffffffffffff0\r\n", "size"),
    (b";a\r\n", "size"),
    # extensions
    (b"3;a\0\r\nabc\r\n", "size"),
    (b"3;a\rb\r\nabc\r\n", "size"),
    (b"3;a\x7f\r\nabc\r\n", "size"),
    # line ends
    (b"3\nabc\r\n", "bare LF"),
    (b"3;a\nabc\r\n", "bare LF"),
    (b"3\r\r\nabc\r\n", "size"),
    (b"3\rabc\r\n", "size"),
    (b"0\r\n\n", "bare LF"),
    (b"0\r\nA: b\n\r\n", "bare LF"),
    # data
    (b"3\r\nabcd\r\n", "longer"),
    (b"3\r\nabc\n", "longer"),
    (b"3\r\nabc\r\r\n", "longer"),
    (b"3\r\nabc0\r\n\r\n", "longer"),
    # lengths of lines
    (b"3;" + LONG, "too long"),
    (b"3;" + LONG + b"\r\nabc\r\n", "too long"),
    (b"0\r\nA: " + LONG, "too long"),
    # trailers
    (b"0\r\nA b: c\r\n\r\n", "trailer"),
    (b"0\r\nA : c\r\n\r\n", "trailer"),
    (b"0\r\n: c\r\n\r\n", "trailer"),
    (b"0\r\nA\r\n\r\n", "trailer"),
    (b"0\r\n A: b\r\n\r\n", "trailer"),
    (b"0\r\nA: b\r\n c\r\n\r\n", "trailer"),
    (b"0\r\nA: b\0\r\n\r\n", "trailer"),
    (b"0\r\nA: b\rc\r\n\r\n", "trailer"),
    (b"0\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * (MAX_TRAILER_BYTES // 1000 + 1), "too long"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_what_is_not_the_coding_is_refused_however_it_is_cut(data: bytes, reason: str) -> None:
    with pytest.raises(BadChunk, match=reason):
        decode(data)
    with pytest.raises(BadChunk, match=reason):
        bytewise(data)


def test_the_longest_line_is_taken() -> None:
    line = b"3;" + b"x" * (MAX_LINE_BYTES - 3)
    assert decode(line + b"\r\nabc\r\n0\r\n\r\n") == (b"abc", True, b"")


def test_a_huge_size_takes_no_memory() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"ffffffffffffffff\r\nabc") == b"abc"
    assert decoder.feed(b"def") == b"def"


def test_body_bytes_are_given_as_they_come() -> None:
    decoder = ChunkedDecoder()
    assert [decoder.feed(piece) for piece in (b"6\r", b"\nab", b"cd", b"ef\r", b"\n1\r\ng\r\n")] == [
        b"",
        b"ab",
        b"cd",
        b"ef",
        b"g",
    ]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1)), st.lists(st.integers(min_value=0)))
def test_round_trip_cut_anywhere(pieces: list[bytes], places: list[int]) -> None:
    coded = b"".join(map(encode_chunk, pieces)) + LAST_CHUNK
    assert decode(*cut(coded, places)) == (b"".join(pieces), True, b"")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"3", b"0", b"\r\n", b"\r", b"\n", b"abc", b";", b"A: b", b" ", b"f"])),
    st.lists(st.integers(min_value=0)),
)
def test_any_bytes_are_read_the_same_however_they_are_cut(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    results: list[tuple[bytes, bool, bytes] | str] = []
    for pieces in ([data], cut(data, places)):
        decoder = ChunkedDecoder()
        body = b""
        try:
            for position, piece in enumerate(pieces):
                body += decoder.feed(piece)
                if decoder.done:
                    results.append((body, True, decoder.rest + b"".join(pieces[position + 1 :])))
                    break
            else:
                results.append((body, False, b""))
        except BadChunk as error:
            results.append(str(error))
    assert results[0] == results[1]


def seconds(data: bytes, read_bytes: int) -> float:
    decoder = ChunkedDecoder()
    began = time.process_time()
    for begin in range(0, len(data), read_bytes):
        decoder.feed(data[begin : begin + read_bytes])
    return time.process_time() - began


@pytest.mark.parametrize(
    ("unit", "read_bytes"),
    [
        (b"1\r\nx\r\n", 65536),
        (b"1\r\nx\r\n", 7),
        (b"1;" + b"e" * 1000 + b"\r\nx\r\n", 100),
        (b"4000\r\n" + b"x" * 16384 + b"\r\n", 1000),
    ],
)
def test_cost_grows_with_length_and_not_with_its_square(unit: bytes, read_bytes: int) -> None:
    small = unit * max(10_000 // len(unit), 2)
    large = small * 10
    # Ten times the input; a quadratic rule would take a hundred times as long.
    assert (
        min(seconds(large, read_bytes) for _ in range(3))
        < 40 * min(seconds(small, read_bytes) for _ in range(3)) + 0.01
    )


@pytest.mark.parametrize("length", [1, 15, 16, 200, 255, 256, 4095, 4096, MAX_SINGLE_BYTES - 8])
def test_a_read_that_is_one_chunk(length: int) -> None:
    assert single_chunk(encode_chunk(b"x" * length)) == b"x" * length


@pytest.mark.parametrize(
    "data",
    [
        b"1",
        LAST_CHUNK,
        b"2\r\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\r\n1\r\nx\r\n",
        b"1;a\r\nx\r\n",
        b"1\r\nx\r\r",
        b"1\r\nx\n\n",
        encode_chunk(b"x" * (MAX_SINGLE_BYTES - 7)),
    ],
)
def test_reads_that_are_no_single_chunk(data: bytes) -> None:
    assert single_chunk(data) is None
