from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.wire.chunked import ChunkedDecoder, encode_chunk
from headgate.wire.sse import EventCounter
from headgate.wire.whole_chunks import count_in_python, count_whole_chunks

FORMS = pytest.mark.parametrize("count", [count_in_python, count_whole_chunks], ids=["python", "in use"])
EVENT = b"id: 7\ndata: a\n\n"
LINES = st.sampled_from(
    [
        b"data: a\n",
        b"data\n",
        b"data:\n",
        b"datum: a\n",
        b"database: b\n",
        b": data: c\n",
        b"id: 1\n",
        b"\n",
        b"x",
        b"\r",
        b" data: d\n",
    ]
)
BODIES = st.lists(LINES, max_size=8).map(b"".join)


@FORMS
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (encode_chunk(EVENT), (15, 1)),
        (encode_chunk(EVENT) * 3, (45, 3)),
        (encode_chunk(EVENT * 3), (45, 3)),
        (encode_chunk(b"data: a\ndata: b\n\n"), (17, 1)),
        (encode_chunk(b"data\n\n"), (6, 1)),
        (encode_chunk(b": keep-alive\n\n"), (14, 0)),
        (encode_chunk(b"\n\n"), (2, 0)),
        (encode_chunk(b"\n\n\ndata: a\n\n\n"), (13, 1)),
        (encode_chunk(b"data: " + b"x" * 5000 + b"\n\n"), (5008, 1)),
        (b"F\r\n" + EVENT + b"\r\n", (15, 1)),
        (b"00000f\r\n" + EVENT + b"\r\n", (15, 1)),
    ],
)
def test_reads_that_are_whole_chunks_of_whole_blocks(count: object, data: bytes, found: tuple[int, int]) -> None:
    assert callable(count)
    assert count(data) == found


@FORMS
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"f",
        b"f\r",
        b"f\r\n",
        b"0\r\n\r\n",
        encode_chunk(EVENT) + b"0\r\n\r\n",
        encode_chunk(EVENT)[:-1],
        encode_chunk(EVENT)[:-2],
        encode_chunk(EVENT) + b"f\r\nid",
        encode_chunk(EVENT[:-1]),
        encode_chunk(b"x"),
        encode_chunk(b"data: a\r\n\r\n"),
        encode_chunk(b"data: a\r\n\n"),
        b"f;a=b\r\n" + EVENT + b"\r\n",
        b"f \r\n" + EVENT + b"\r\n",
        b" f\r\n" + EVENT + b"\r\n",
        b"+f\r\n" + EVENT + b"\r\n",
        b"0xf\r\n" + EVENT + b"\r\n",
        b"f\n" + EVENT + b"\n",
        b"f\r\n" + EVENT + b"\n\n",
        b"e\r\n" + EVENT + b"\r\n",
        b"10\r\n" + EVENT + b"\r\n",
        b"000000f\r\n" + EVENT + b"\r\n",
        b"ffffff\r\n" + EVENT + b"\r\n",
        b"\r\n" + EVENT + b"\r\n",
        EVENT,
    ],
)
def test_reads_that_must_be_parsed(count: object, data: bytes) -> None:
    assert callable(count)
    assert count(data) is None


@settings(max_examples=500)
@given(st.lists(BODIES.filter(bool).map(encode_chunk), max_size=4), st.integers(0, 3))
@example([encode_chunk(b"\n\n"), encode_chunk(b"data: a\n\n")], 0)
def test_both_forms_give_what_parsing_gives(chunks: list[bytes], cut: int) -> None:
    data = b"".join(chunks)
    data = data[: len(data) - cut]
    found = count_in_python(data)
    assert count_whole_chunks(data) == found
    if found is not None:
        decoder = ChunkedDecoder()
        body = decoder.feed(data)
        counter = EventCounter()
        counter.feed(b"\n")
        assert counter.at_boundary
        assert found == (len(body), counter.feed(body))
        assert counter.at_boundary
        assert decoder.is_between_chunks


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_any_bytes_give_the_same_in_both_forms(data: bytes) -> None:
    assert count_whole_chunks(data) == count_in_python(data)


@FORMS
def test_what_is_not_bytes_is_refused(count: object) -> None:
    assert callable(count)
    with pytest.raises(TypeError):
        count("f\r\nid: 7\n")
