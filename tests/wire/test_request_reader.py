from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.wire.chunked import LAST_CHUNK, encode_chunk
from headgate.wire.request import Peer, Request
from headgate.wire.request_head import BadRequest, Limits
from headgate.wire.request_reader import RequestReader, Signal

PEER = Peer("192.0.2.1", 50000, "192.0.2.2", 9080)
LIMITS = Limits(max_headers=5, max_head_bytes=400, max_uri_bytes=100)

Seen = tuple[bytes, bytes, list[bytes], bytes | None]
"""Method, target, all values, and the body, or None where it is not whole."""


class Dialogue:
    """Everything that a reader gives for some reads: the requests, the body bytes of each, and how it ended."""

    def __init__(self, reads: Iterable[bytes], limits: Limits = LIMITS) -> None:
        self.reader = RequestReader(PEER, limits)
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.ended = 0
        self.refused: BadRequest | None = None
        for data in reads:
            self.reader.feed(data)
            try:
                self._take()
            except BadRequest as error:
                self.refused = error
                return

    def _take(self) -> None:
        while (item := self.reader.next()) is not Signal.NEED_DATA:
            if isinstance(item, Request):
                self.requests.append(item)
                self.bodies.append(b"")
            elif isinstance(item, bytes):
                assert item
                self.bodies[-1] += item
            else:
                self.ended += 1

    @property
    def refusal(self) -> tuple[int, str] | None:
        return None if self.refused is None else (self.refused.status, self.refused.detail)

    @property
    def seen(self) -> list[Seen]:
        whole = [*self.bodies[: self.ended], *[None] * (len(self.requests) - self.ended)]
        return [
            (one.method, one.target, [value for _, _, value in one.headers], body)
            for one, body in zip(self.requests, whole, strict=True)
        ]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


def each_byte(data: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in data]


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"


def test_pipelined_requests_come_one_after_the_other() -> None:
    reader = RequestReader(PEER, LIMITS)
    reader.feed(POST + CHUNKED + GET + b"GET")
    items = [reader.next() for _ in range(9)]
    assert [item.target if isinstance(item, Request) else item for item in items] == [
        b"/b",
        b"hello",
        Signal.END,
        b"/c",
        b"abcde",
        Signal.END,
        b"/a",
        Signal.END,
        Signal.NEED_DATA,
    ]
    assert reader.held_bytes == 3


def test_nothing_is_read_ahead_of_being_asked_for() -> None:
    reader = RequestReader(PEER, LIMITS)
    reader.feed(POST + GET)
    assert isinstance(reader.next(), Request)
    assert reader.held_bytes == len(b"hello" + GET)
    assert reader.next() == b"hello"
    assert reader.held_bytes == len(GET)


def test_body_pieces_are_given_as_they_come() -> None:
    reader = RequestReader(PEER, LIMITS)
    reader.feed(POST[:-4])
    assert isinstance(reader.next(), Request)
    assert [reader.next(), reader.next()] == [b"h", Signal.NEED_DATA]
    reader.feed(b"el")
    assert [reader.next(), reader.next()] == [b"el", Signal.NEED_DATA]
    reader.feed(b"lo" + GET)
    assert [reader.next(), reader.next()] == [b"lo", Signal.END]


def test_what_is_held_can_be_taken_as_it_is() -> None:
    reader = RequestReader(PEER, LIMITS)
    reader.feed(b"GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n\0\1\n")
    assert isinstance(reader.next(), Request)
    assert reader.next() is Signal.END
    assert reader.take_held() == b"\0\1\n"
    assert reader.held_bytes == 0


LINE = b"GET /" + b"a" * 99 + b" HTTP/1.1\r\n"
FIELDS = b"Host: h\r\nX: "


def sized_head(length: int) -> bytes:
    """Make a request whose head, without the empty line, has that many bytes."""
    return LINE + FIELDS + b"x" * (length - len(LINE + FIELDS)) + b"\r\n\r\n"


ACCEPTED = [
    (GET, [b"/a"]),
    (GET * 3, [b"/a", b"/a", b"/a"]),
    (POST + GET, [b"/b", b"/a"]),
    (CHUNKED + POST, [b"/c", b"/b"]),
    (b"\r\n" + GET, [b"/a"]),  # RFC 9112 §2.2
    (GET + b"\r\n" + GET, [b"/a", b"/a"]),
    (POST + b"\r\n" + CHUNKED + b"\r\n" + GET, [b"/b", b"/c", b"/a"]),
    (sized_head(400), [b"/" + b"a" * 99]),
    (POST.replace(b"Content-Length: 5", b"Content-Length: 0")[:-5] + GET, [b"/b", b"/a"]),
]


@pytest.mark.parametrize(("data", "targets"), ACCEPTED)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte by byte"])
def test_requests_are_found(data: bytes, targets: list[bytes], whole: bool) -> None:
    dialogue = Dialogue([data] if whole else each_byte(data))
    assert dialogue.refusal is None
    assert [request.target for request in dialogue.requests] == targets
    assert dialogue.ended == len(targets)
    assert dialogue.reader.held_bytes == 0


REFUSED = [
    (b"\r\n\r\n" + GET, 400, "empty"),
    (b"\r\n\r\n\r\n\r\n", 400, "empty"),
    (b"\n" + GET, 400, "bare CR or LF"),
    (b"GET /a HTTP/1.1\nHost: h\n\n", 400, "bare CR or LF"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\n\n", 400, "bare CR or LF"),
    (b"GET /a HTTP/1.1\r\nHost: h\n\r\n", 400, "bare CR or LF"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\r\n\r\n", 400, "bare CR"),
    (b"GET /\0", 400, "NUL"),
    (b"\x16\x03\x01\x02\x00\x01", 400, "NUL"),  # the beginning of a TLS handshake
    (b"GET /" + b"a" * 101 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target"),
    (b"GET /" + b"a" * 1000, 414, "target"),  # before the head is complete
    (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target"),
    (b"GET /" + b"a" * 1000 + b"\n" + b"a" * 1000, 414, "target"),
    (b"GET /" + b"a" * 50 + b"\n" + b"a" * 1000, 400, "bare CR or LF"),
    (sized_head(401), 431, "head"),
    (sized_head(4000), 431, "head"),
    (sized_head(4000)[:-2], 431, "head"),
    (sized_head(4000)[:500], 431, "head"),  # before the head is complete
    (sized_head(4000)[:-4] + b"\n\r\n", 431, "head"),
    (LINE + FIELDS + b"\n" + b"x" * 1000, 400, "bare CR or LF"),
    (b"\r\n" + sized_head(401), 431, "head"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"A: 1\r\n" * 5 + b"\r\n", 431, "5 header fields"),
    (GET + b"GET / HTTP/3.0\r\n\r\n", 505, "HTTP/1.1"),
    (POST + b"x" + GET + b"\n", 400, "bare CR or LF"),
    # a body that is longer than it says is the next request, and seldom a good one
    (POST + b" world" + GET, 400, "request line"),
    (CHUNKED[:-2] + b"3\r\nabc\r\n\r\n", 400, "malformed"),
    (CHUNKED.replace(b"3;x", b"3 "), 400, "chunk size"),
    (CHUNKED.replace(b"3;x\r\n", b"3;x\n"), 400, "bare LF"),
    (CHUNKED.replace(b"abc", b"abcd"), 400, "longer than its size"),
    (CHUNKED.replace(b"2\r\n", b"2;" + b"x" * 5000 + b"\r\n"), 400, "too long"),
    (CHUNKED.replace(b"T: 1\r\n", (b"T: " + b"x" * 3000 + b"\r\n") * 6), 400, "too long"),
    (b"GET / HTTP/1.1\r\nHost: h\rX: \0\r\n\r\n", 400, "bare CR"),
    (b"GET / HTTP/1.1\r\nHost: h\0X: \r \r\n\r\n", 400, "NUL"),
]


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED)
def test_refusals_do_not_depend_on_the_cuts(data: bytes, status: int, reason: str) -> None:
    whole, bytewise = Dialogue([data]), Dialogue(each_byte(data))
    assert whole.refused is not None
    assert whole.refused.status == status
    assert reason in whole.refused.detail
    assert bytewise.refusal == whole.refusal
    assert bytewise.seen == whole.seen


@pytest.mark.parametrize(
    ("begun", "limit"),
    [(b"GET /" + b"a" * 2000, 100 + 64 + 2), (sized_head(4000), 400 + 4)],
)
def test_a_refusal_comes_with_the_first_byte_too_many(begun: bytes, limit: int) -> None:
    assert Dialogue([begun[: limit - 1]]).refused is None
    assert Dialogue([begun[:limit]]).refused is not None


def test_the_limits_when_nothing_is_set() -> None:
    def read(head_bytes: int) -> tuple[int, str] | None:
        head = b"GET / HTTP/1.1\r\nHost: h\r\nX: "
        return Dialogue([head + b"x" * (head_bytes - len(head)) + b"\r\n\r\n"], Limits()).refusal

    assert read(32 * 1024) is None
    assert read(32 * 1024 + 1) == (431, "the head is longer than 32768 bytes")
    assert Dialogue([b"GET /" + b"a" * 8300], Limits()).refusal == (414, "the request target is too long")


def test_a_head_limit_below_the_one_for_targets_counts() -> None:
    limits = Limits(max_head_bytes=50, max_uri_bytes=8000)
    for data in (b"GET /" + b"a" * 200, b"GET / HTTP/1.1\r\nHost: " + b"h" * 200):
        assert Dialogue([data], limits).refusal == Dialogue(each_byte(data), limits).refusal
        assert Dialogue([data], limits).refused is not None


PARTS = [
    GET,
    POST,
    CHUNKED,
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"GET / HTTP/1.1\r\nHost: h\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Host: h\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"x" * 90,
    b"X: " + b"y" * 200,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=8), st.lists(st.integers(min_value=0)))
@example([b"\r\n", b"\r\n", GET], [2])
@example([LINE, FIELDS, b"x" * (400 - len(LINE + FIELDS)), b"\r\n\r\n"], [402])
def test_the_same_bytes_cut_anywhere_are_the_same_requests_or_the_same_refusal(
    parts: list[bytes], places: list[int]
) -> None:
    data = b"".join(parts)
    whole, pieces = Dialogue([data]), Dialogue(cut(data, places))
    assert pieces.seen == whole.seen
    assert pieces.refusal == whole.refusal
    if whole.refusal is None:
        assert pieces.bodies == whole.bodies
        assert pieces.reader.held_bytes == whole.reader.held_bytes or whole.ended < len(whole.requests)


BODIES = st.lists(st.tuples(st.booleans(), st.lists(st.binary(min_size=1, max_size=40), max_size=4)), max_size=4)


@settings(deadline=None)
@given(BODIES, st.lists(st.integers(min_value=0)))
def test_good_requests_come_out_whole(bodies: list[tuple[bool, list[bytes]]], places: list[int]) -> None:
    data = b""
    for number, (chunked, pieces) in enumerate(bodies):
        data += b"POST /%d HTTP/1.1\r\nHost: h\r\n" % number
        if chunked:
            data += b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(encode_chunk, pieces)) + LAST_CHUNK
        else:
            data += b"Content-Length: %d\r\n\r\n" % sum(map(len, pieces)) + b"".join(pieces)
    dialogue = Dialogue(cut(data, places))
    assert dialogue.refusal is None
    assert dialogue.bodies == [b"".join(pieces) for _, pieces in bodies]
    assert [request.target for request in dialogue.requests] == [b"/%d" % number for number in range(len(bodies))]
    assert dialogue.ended == len(bodies)


def seconds(data: bytes, read_bytes: int) -> float:
    limits = Limits(max_headers=10**6, max_head_bytes=10**7, max_uri_bytes=10**7)
    began = time.process_time()
    Dialogue([data[begin : begin + read_bytes] for begin in range(0, len(data), read_bytes)], limits)
    return time.process_time() - began


@pytest.mark.parametrize(
    ("before", "unit", "read_bytes"),
    [
        (b"GET /", b"a", 1000),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"\r\nX: y", 1000),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"\r", 1000),
        (b"", GET, 3000),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 1000),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", b"x" * 50, 100),
    ],
)
def test_cost_grows_with_length_and_not_with_its_square(before: bytes, unit: bytes, read_bytes: int) -> None:
    small, large = before + unit * (10_000 // len(unit)), before + unit * (100_000 // len(unit))
    # Ten times the input; a quadratic rule would take a hundred times as long.
    assert (
        min(seconds(large, read_bytes) for _ in range(3))
        < 40 * min(seconds(small, read_bytes) for _ in range(3)) + 0.01
    )
