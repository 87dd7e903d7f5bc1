from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.upstream.response_reader import ResponseReader, failure
from headgate.wire.chunked import LAST_CHUNK, MAX_TRAILER_BYTES, encode_chunk
from headgate.wire.request import ResponseHead

MAX_HEAD_BYTES = 1000


class Head(NamedTuple):
    """A response head, comparable."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]


def comparable(head: ResponseHead) -> Head:
    return Head(head.status, head.reason, [(name, value) for _, name, value in head.headers])


@dataclass
class Outcome:
    """All that a reader gave for some reads; nothing is fed behind the response's end or an error, as in a connection."""

    interim: list[Head] = field(default_factory=list)
    head: Head | None = None
    content_length: int | None = None
    has_body: bool = True
    close_delimited: bool = False
    body: bytes = b""
    ended: bool = False
    is_reusable: bool = False
    upgraded: bytes | None = None
    trouble: str | None = None


def read(reads: list[bytes], *, no_body: bool = False, reader: ResponseReader | None = None) -> Outcome:
    reader = ResponseReader(MAX_HEAD_BYTES) if reader is None else reader
    reader.start(no_body=no_body)
    outcome = Outcome()
    left = list(reads)
    while left and not reader.ended and reader.trouble is None:
        reader.feed(left.pop(0))
        outcome.body += reader.take_piece() or b""
    outcome.interim = list(map(comparable, reader.interim))
    outcome.head = None if reader.head is None else comparable(reader.head)
    outcome.content_length, outcome.has_body = reader.content_length, reader.has_body
    outcome.close_delimited, outcome.ended = reader.close_delimited, reader.ended
    outcome.is_reusable = reader.ended and reader.keep_alive and not reader.has_extra and not any(left)
    outcome.upgraded = None if reader.upgraded is None else reader.upgraded + b"".join(left)
    outcome.trouble = reader.trouble.code if reader.trouble else None
    return outcome


def each_byte(data: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in data]


OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n"


def test_everything_of_a_head() -> None:
    outcome = read(
        [b"HTTP/1.1 299 Quite  Fine\xff\r\nX-b: \t1\t \r\nx-B:\xff\x80\r\nEmpty:\r\nContent-Length: 0\r\n\r\n"]
    )
    assert outcome.head is not None
    assert (outcome.head.status, outcome.head.reason) == (299, b"Quite  Fine\xff")
    assert outcome.head.fields == [
        (b"X-b", b"1"),
        (b"x-B", b"\xff\x80"),
        (b"Empty", b""),
        (b"Content-Length", b"0"),
    ]


GOOD = [
    # response, body, content_length, has_body, reusable
    (SIZED, b"hello", 5, True, True),
    (CHUNKED, b"hello", None, True, True),
    (OK + b"transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", b"", None, True, True),
    (OK + b"Content-Length: 0\r\n\r\n", b"", 0, True, True),
    (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", 5, True, False),
    (OK + b"Content-Length: 5\r\nConnection: x, CLOSE\r\n\r\nhello", b"hello", 5, True, False),
    (OK + b"Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", b"hello", 5, True, True),
    # a field of HTTP/1.0 times that the parser takes for Connection
    (OK + b"Content-Length: 5\r\nProxy-Connection: close\r\n\r\nhello", b"hello", 5, True, False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", None, False, True),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", 5, False, True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", 5, False, True),
    (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b"", None, False, True),
    (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", b"", 0, True, True),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", 0, True, True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", 5, True, False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", b"hello", 5, True, True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n\r\nhello", b"hello", 5, True, False),
    # RFC 9112 §6.1: a transfer coding on HTTP/1.0 is faulty framing, and the connection ends with the message
    (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"hi",
        None,
        True,
        False,
    ),
    (OK + b"Content-Length: 005\r\n\r\nhello", b"hello", 5, True, True),
]


@pytest.mark.parametrize(("response", "body", "content_length", "has_body", "reusable"), GOOD)
def test_a_response_cut_at_every_byte_is_the_same(
    response: bytes, body: bytes, content_length: int | None, has_body: bool, reusable: bool
) -> None:
    whole = read([response])
    assert (whole.body, whole.content_length, whole.has_body) == (body, content_length, has_body)
    assert (whole.ended, whole.is_reusable, whole.trouble) == (True, reusable, None)
    assert read(each_byte(response)) == whole
    for place in range(1, len(response)):
        assert read([response[:place], response[place:]]) == whole


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"",
        b"Content-Type: text/event-stream\r\n",
    ],
)
def test_a_response_to_head_ends_with_its_head(fields: bytes) -> None:
    response = OK + fields + b"\r\n"
    for place in range(1, len(response) + 1):
        outcome = read([response[:place], response[place:]] if response[place:] else [response], no_body=True)
        assert (outcome.ended, outcome.has_body, outcome.is_reusable) == (True, False, True)
        assert not outcome.close_delimited


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Content-Length: 5\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ],
)
@pytest.mark.parametrize(
    "extra",
    [b"h", b"hello", b"5", b"5\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", SIZED, OK, b"HTTP", b"\0"],
)
def test_a_body_where_none_belongs_spoils_the_connection(head: bytes, extra: bytes) -> None:
    outcome = read([head + extra], no_body=True)
    assert (outcome.ended, outcome.body, outcome.is_reusable) == (True, b"", False)


@pytest.mark.parametrize("response", [SIZED, CHUNKED, OK + b"Content-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("extra", [b"x", b"H", SIZED, CHUNKED, OK, b"HTTP/1.1 100 Continue\r\n\r\n", b"\0"])
def test_bytes_behind_the_end_spoil_the_connection(response: bytes, extra: bytes) -> None:
    clean = read([response])
    outcome = read([response + extra])
    assert (outcome.ended, outcome.is_reusable) == (True, False)
    assert (outcome.body, outcome.head) == (clean.body, clean.head)


@pytest.mark.parametrize("response", [OK + b"\r\n", b"HTTP/1.0 404 No\r\nConnection: keep-alive\r\n\r\n"])
def test_without_a_length_only_the_connection_s_end_is_the_body_s(response: bytes) -> None:
    outcome = read([response, b"hello", b"HTTP/1.1 200 OK\r\n\r\n"])
    assert (outcome.close_delimited, outcome.ended, outcome.trouble) == (True, False, None)
    assert outcome.body == b"helloHTTP/1.1 200 OK\r\n\r\n"


def test_interim_heads_come_before_the_head() -> None:
    response = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 199 X\r\nContent-Length: 0\r\n\r\n" + SIZED
    )
    whole = read([response])
    assert [head.status for head in whole.interim] == [100, 103, 199]
    assert whole.interim[1].fields == [(b"Link", b"</a>")]
    assert whole.head is not None
    assert whole.head.fields == [(b"Content-Length", b"5")]
    assert (whole.body, whole.is_reusable) == (b"hello", True)
    assert read(each_byte(response)) == whole


def test_an_upgrade_gives_the_first_bytes_of_the_new_protocol() -> None:
    response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    outcome = read([response + b"\x81\x02hi"])
    assert outcome.head is not None
    assert outcome.head.status == 101
    assert outcome.upgraded == b"\x81\x02hi"
    assert read([response]).upgraded == b""
    assert read(each_byte(response + b"hi")).upgraded == b"hi"


BAD = [
    # not HTTP
    b"garbage\r\n\r\n",
    b"\0",
    b"HTP/1.1 200 OK\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02",  # a TLS alert
    b"<html>",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 -20 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    # line ends and fields
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\rX: 1\r\n\r\n",
    OK + b"X: 1\nContent-Length: 0\r\n\r\n",
    OK + b"X: 1\rContent-Length: 0\r\n\r\n",
    OK + b"Content-Length: 0\n\n",
    OK + b"X: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: 1\r\n\t2\r\nContent-Length: 0\r\n\r\n",
    OK + b"X:\r\n 2\r\nContent-Length: 0\r\n\r\n",
    OK + b"X : 1\r\nContent-Length: 0\r\n\r\n",
    OK + b" X: 1\r\nContent-Length: 0\r\n\r\n",
    OK + b"X Y: 1\r\nContent-Length: 0\r\n\r\n",
    OK + b": 1\r\nContent-Length: 0\r\n\r\n",
    OK + b"X\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\0\r\nContent-Length: 0\r\n\r\n",
    # framing (RFC 9112 §6.3)
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    OK + b"Content-Length: 5, 5\r\n\r\nhello",
    OK + b"Content-Length: +5\r\n\r\nhello",
    OK + b"Content-Length: -5\r\n\r\nhello",
    OK + b"Content-Length: 5x\r\n\r\nhello",
    OK + b"Content-Length: 0x5\r\n\r\nhello",
    OK + b"Content-Length:\r\n\r\nhello",
    OK + b"Content-Length: 5 5\r\n\r\nhello",
    OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    OK + b"Content-Length: " + b"9" * 19 + b"\r\n\r\nhello",
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\nhello",
    OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding:\r\n\r\nhello",
    # interim heads have no body (RFC 9110 §8.6, RFC 9112 §6.1)
    b"HTTP/1.1 104 X\r\nContent-Length: 5\r\n\r\nhello" + SIZED,
    b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SIZED,
    b"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n" + SIZED,
    b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 103 X\r\nConnection: close\r\n\r\n" + SIZED,
]


@pytest.mark.parametrize("response", BAD)
@pytest.mark.parametrize("no_body", [False, True], ids=["GET", "HEAD"])
def test_what_is_not_a_response_gives_no_head(response: bytes, no_body: bool) -> None:
    whole, bytewise = read([response], no_body=no_body), read(each_byte(response), no_body=no_body)
    for outcome in (whole, bytewise):
        assert (outcome.trouble, outcome.head, outcome.is_reusable) == ("protocol_error", None, False)
    assert bytewise.interim == whole.interim


def test_empty_lines_are_no_head() -> None:
    for reads in ([b"\r\n" * 1000], each_byte(b"\r\n" * 1000)):
        assert read(reads).trouble == "protocol_error"


BAD_CHUNKS = [
    (b"x\r\n", b""),
    (b"3 \r\nhel\r\n", b""),
    (b"0x3\r\nhel\r\n", b""),
    (b"-3\r\nhel\r\n", b""),
    (b"\r\n", b""),
    (b"3\nhel\r\n", b""),
    (b"3\r\nhello\r\n", b"hel"),
    (b"3\r\nhel\n", b"hel"),
    (b"3\r\nhel\r\nno", b"hel"),
    (b"ffffffffffffffffff\r\n", b""),
    (b"3;a\0\r\nhel\r\n", b""),
    (b"3\r\nhel\r\n0\r\nA b: c\r\n\r\n", b"hel"),
    (b"3\r\nhel\r\n0\r\nA: b\nC: d\r\n\r\n", b"hel"),
]


@pytest.mark.parametrize(("coded", "body"), BAD_CHUNKS)
def test_a_body_that_breaks_its_framing_gives_what_came_before(coded: bytes, body: bytes) -> None:
    response = OK + b"Transfer-Encoding: chunked\r\n\r\n" + coded
    whole = read([response])
    assert whole.head is not None
    assert (whole.trouble, whole.body, whole.ended) == ("protocol_error", body, False)
    assert read(each_byte(response)) == whole


@pytest.mark.parametrize(
    "response",
    [
        OK + b"X: " + b"x" * 2000,
        OK + b"X: " + b"x" * 2000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: 1\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 2000,
        b"HTTP/1.1 103 X\r\n\r\n" * 100,
    ],
)
def test_a_head_without_end_is_refused(response: bytes) -> None:
    for reads in (each_byte(response), [response[place : place + 300] for place in range(0, len(response), 300)]):
        outcome = read(reads)
        assert (outcome.trouble, outcome.head) == ("head_too_large", None)


def test_a_head_that_is_too_large_is_refused_when_it_comes_with_its_body() -> None:
    outcome = read([OK + b"X: " + b"x" * 2000 + b"\r\nContent-Length: 5\r\n\r\nhello"])
    assert (outcome.trouble, outcome.head, outcome.body) == ("head_too_large", None, b"")


@pytest.mark.parametrize("unit", [b"T: x\r\n", b"T: " + b"x" * 100, b"T" * 100])
def test_trailers_without_end_are_refused(unit: bytes) -> None:
    reader = ResponseReader(MAX_HEAD_BYTES)
    reader.start(no_body=False)
    reader.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
    assert reader.take_piece() == b"abc"
    for _ in range(MAX_TRAILER_BYTES // len(unit.rstrip()) + 1):
        reader.feed(unit)
    assert reader.trouble is not None
    assert reader.trouble.code == "protocol_error"
    assert reader.head is not None
    assert len(reader.head.headers) == 1


def test_small_chunks_in_small_reads_go_on_for_ever() -> None:
    reader = ResponseReader(MAX_HEAD_BYTES)
    reader.start(no_body=False)
    reader.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for octet in b"1;extension\r\nx\r\n" * 500:
        reader.feed(bytes([octet]))
        reader.take_piece()
    assert reader.trouble is None


def test_one_read_gives_one_piece() -> None:
    reader = ResponseReader(MAX_HEAD_BYTES)
    reader.start(no_body=False)
    reader.feed(CHUNKED[:-5])
    assert reader.take_piece() == b"hello"
    assert reader.take_piece() is None


def test_a_reader_is_untouched_until_the_first_byte() -> None:
    reader = ResponseReader(MAX_HEAD_BYTES)
    states = []
    for data in (b"", b"H", SIZED[1:]):
        reader.start(no_body=False)
        reader.feed(data)
        states.append(reader.is_untouched)
    assert states == [True, False, False]


def test_a_reader_reads_one_response_after_another() -> None:
    reader = ResponseReader(MAX_HEAD_BYTES)
    for response, body, *_, reusable in GOOD * 2:
        if reusable:
            outcome = read([response], reader=reader)
            assert (outcome.body, outcome.ended, outcome.is_reusable) == (body, True, True)
            outcome = read([OK + b"Content-Length: 5\r\n\r\n"], no_body=True, reader=reader)
            assert (outcome.ended, outcome.is_reusable) == (True, True)


def test_trailers_are_dropped() -> None:
    outcome = read([OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: a\r\nX: y\r\n\r\n"])
    assert outcome.head is not None
    assert outcome.head.fields == [(b"Transfer-Encoding", b"chunked")]
    assert (outcome.ended, outcome.trouble) == (True, None)


@settings(deadline=None)
@given(st.booleans(), st.lists(st.binary(min_size=1)), st.lists(st.integers(min_value=0)))
def test_any_body_cut_anywhere_comes_out_whole(chunked: bool, pieces: list[bytes], places: list[int]) -> None:
    if chunked:
        response = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(encode_chunk, pieces)) + LAST_CHUNK
    else:
        response = OK + b"Content-Length: %d\r\n\r\n" % sum(map(len, pieces)) + b"".join(pieces)
    edges = sorted({0, len(response), *(place % len(response) for place in places)})
    outcome = read([response[begin:end] for begin, end in pairwise(edges)])
    assert (outcome.body, outcome.ended, outcome.is_reusable) == (b"".join(pieces), True, True)


def test_a_failure_is_the_upstream_s() -> None:
    error = failure("read_timeout", status=504, retryable=True, detail="no byte for 3 s")
    assert (error.code, error.source, error.status, error.retryable) == ("read_timeout", "upstream", 504, True)
    assert (failure("x").status, failure("x").retryable) == (502, False)


def seconds(response: bytes) -> float:
    reader = ResponseReader(10**7)
    began = time.process_time()
    read([response[place : place + 1000] for place in range(0, len(response), 1000)], reader=reader)
    return time.process_time() - began


@pytest.mark.parametrize(
    ("before", "unit"),
    [
        (OK + b"X: ", b"x"),
        (OK + b"X: ", b"\r\nX: y"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    ],
)
def test_cost_grows_with_length_and_not_with_its_square(before: bytes, unit: bytes) -> None:
    small, large = before + unit * (50_000 // len(unit)), before + unit * (500_000 // len(unit))
    # Ten times the input; a quadratic rule would take a hundred times as long.
    assert min(seconds(large) for _ in range(3)) < 40 * min(seconds(small) for _ in range(3)) + 0.01
