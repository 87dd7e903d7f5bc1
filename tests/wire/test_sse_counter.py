from __future__ import annotations

import pytest

from headgate.wire.sse import EventCounter


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
