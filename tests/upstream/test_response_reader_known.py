"""Heads that have been read before: what a reader makes of them is what it makes of any other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.upstream.test_response_reader import MAX_HEAD_BYTES, OK, SIZED, Head, comparable, read

from headgate.upstream import response_reader
from headgate.upstream.response_reader import KNOWN_HEAD_BYTES, KNOWN_HEADS, ResponseReader


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(range(40)), st.booleans(), st.integers(0, 400)), max_size=12))
def test_what_came_before_changes_nothing(picked: list[tuple[int, bool, int]]) -> None:
    response_reader._known.clear()
    for number, no_body, cut in picked:
        response = RESPONSES[number % len(RESPONSES)]
        known = read([response[:cut], response[cut:]], no_body=no_body)
        again = read([response], no_body=no_body)
        response_reader._known.clear()
        assert known == again == read([response], no_body=no_body)
        read([response])


RESPONSES = [
    SIZED,
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    OK + b"\r\nto the end",
    OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED,
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SIZED,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nbytes",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: x\r\n\r\n",
    OK + b"X: a\0b\r\n\r\n",
    OK + b"X: " + b"x" * 2000 + b"\r\n\r\n",
]


def test_a_head_that_is_changed_changes_no_later_one() -> None:
    for _ in range(2):
        reader = ResponseReader(MAX_HEAD_BYTES)
        reader.start(no_body=False)
        reader.feed(SIZED)
        assert reader.head is not None
        assert comparable(reader.head) == Head(200, b"OK", [(b"Content-Length", b"5")])
        reader.head.headers.remove(b"content-length")
        reader.head.status = 500


def test_a_known_head_is_refused_where_it_is_too_long() -> None:
    assert read([SIZED]).trouble is None
    assert read([SIZED], reader=ResponseReader(20)).trouble == "head_too_large"


def test_what_is_remembered_is_bounded() -> None:
    for number in range(KNOWN_HEADS + 50):
        read([OK + b"X: %d\r\nContent-Length: 0\r\n\r\n" % number])
    assert read([OK + b"X: " + b"x" * KNOWN_HEAD_BYTES + b"\r\n\r\n"], reader=ResponseReader(10_000)).trouble is None
    assert len(response_reader._known) == KNOWN_HEADS
    assert max(map(len, response_reader._known)) <= KNOWN_HEAD_BYTES


@pytest.mark.parametrize(
    ("reads", "follows"),
    [([SIZED], True), ([SIZED[:-5], SIZED[-5:]], False), ([OK + b"Content-Length: 0\r\n\r\n"], False)],
)
def test_a_head_says_whether_its_body_came_with_it(reads: list[bytes], *, follows: bool) -> None:
    for _ in range(2):
        reader = ResponseReader(MAX_HEAD_BYTES)
        reader.start(no_body=False)
        reader.feed(reads[0])
        assert reader.head is not None
        assert reader.head.body_follows == follows
