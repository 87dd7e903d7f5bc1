"""Header lines that have been read before: what is made of them is what the strict parser makes of any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire import request_head
from headgate.wire.request import Peer, Request
from headgate.wire.request_head import KNOWN_BLOCK_BYTES, KNOWN_BLOCKS, BadRequest, Limits, parse

PEER = Peer("192.0.2.1", 50000, "192.0.2.2", 9080)
LIMITS = Limits()
HEAD = b"GET / HTTP/1.1\r\nHost: a.example"
LINES = [
    b"GET / HTTP/1.1",
    b"GET /a/../b//c%20d?x=%zz HTTP/1.1",
    b"GET /%zz HTTP/1.1",
    b"GET /../.. HTTP/1.1",
    b"GET /%00 HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET / HTTP/1.2",
    b"GET / HTTP/2.0",
    b"GET http://b.example:81/x HTTP/1.1",
    b"GET http:///x HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET * HTTP/1.1",
    b"CONNECT / HTTP/1.1",
    b"CONNECT a.example:443 HTTP/1.1",
    b"POST /" + b"x" * 60 + b" HTTP/1.1",
    b"GET /\0 HTTP/1.1",
    b"GET /\n HTTP/1.1",
    b"GET /\x80#a HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"",
]
FIELDS = [
    b"Host: a.example",
    b"Host: a.example:80",
    b"Host: ",
    b"Content-Length: 5",
    b"Content-Length: +5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Connection: close, X-A",
    b"Connection: keep-alive",
    b"X-A: 1",
    b"x-a : 1",
    b" folded",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Accept: text/event-stream",
    b"Accept: text/event-stream;q=0",
    b"X: a\0b",
    b"X: a\rb",
    b"X: \xff",
]
SMALL = Limits(max_headers=4, max_head_bytes=1000, max_uri_bytes=40)


def outcome(read: Callable[[bytes, Peer, Limits], Request], raw: bytes, limits: Limits) -> object:
    """Give all that a request says, asked for in every way, or how it is refused."""
    try:
        request = read(raw, PEER, limits)
    except BadRequest as error:
        return error.status, error.detail
    asked = (request.end_to_end, request.takes_events, request.has_body, request.headers.fields)
    return request_fields(request), asked


def request_fields(request: Request) -> dict[str, object]:
    names = [field.name for field in dataclasses.fields(request)]
    left_out = {"headers", "known_end_to_end", "known_to_take_events"}
    return {name: getattr(request, name) for name in names if name not in left_out}


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(LINES), st.lists(st.sampled_from(FIELDS), max_size=5)), max_size=6))
def test_what_came_before_changes_nothing(heads: list[tuple[bytes, list[bytes]]]) -> None:
    request_head._known.clear()
    for line, fields in heads:
        for other in (line, LINES[0], line):
            raw = b"\r\n".join([other, *fields])
            for limits in (LIMITS, SMALL):
                assert outcome(parse, raw, limits) == outcome(request_head.read, raw, limits)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_bytes_at_random_are_read_as_if_nothing_had_come_before(line: bytes, lines: bytes) -> None:
    for raw in (HEAD, line + b"\r\n" + lines, b"GET / HTTP/1.1\r\n" + lines, line + b"\r\nHost: a.example"):
        for _ in range(2):
            assert outcome(parse, raw, LIMITS) == outcome(request_head.read, raw, LIMITS)


def test_a_request_that_is_changed_changes_no_later_one() -> None:
    for _ in range(2):
        request = parse(HEAD + b"\r\nX-Mine: 1", PEER, LIMITS)
        assert len(request.headers) == 2
        assert len(request.end_to_end) == 1
        request.headers.remove(b"x-mine")
        request.headers.add(b"X-Other", b"2")


def test_what_is_remembered_is_bounded() -> None:
    for number in range(KNOWN_BLOCKS + 50):
        parse(HEAD + b"\r\nX-Number: %d" % number, PEER, LIMITS)
    parse(HEAD + b"\r\nX-Long: " + b"x" * KNOWN_BLOCK_BYTES, PEER, LIMITS)
    assert len(request_head._known) == KNOWN_BLOCKS
    assert max(map(len, request_head._known)) <= KNOWN_BLOCK_BYTES
