from __future__ import annotations

import contextlib
import time

import pytest

from headgate.wire.request import Peer, Request
from headgate.wire.request_head import BadRequest, Limits, parse

PEER = Peer("192.0.2.1", 50000, "192.0.2.2", 9080)
LIMITS = Limits()


def head(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a.example") -> bytes:
    return b"\r\n".join([line, *([] if host is None else [host]), *fields])


def read(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a.example") -> Request:
    return parse(head(*fields, line=line, host=host), PEER, LIMITS)


def refusal(raw: bytes, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(BadRequest) as refused:
        parse(raw, PEER, limits)
    return refused.value.status, refused.value.detail


def test_everything_of_a_head() -> None:
    request = read(
        b"X-b:\t 1 \t",
        b"x-B: \xff\x80",
        b"Empty:",
        line=b'PROPFIND /a/%2e/b%20c?x=%zz&y="<>` HTTP/1.1',
        host=b"HOST: A.Example:8080",
    )
    assert request.method == b"PROPFIND"
    assert request.target == b'/a/%2e/b%20c?x=%zz&y="<>`'
    assert request.path == b"/a/b c"
    assert request.query == b'x=%zz&y="<>`'
    assert request.minor_version == 1
    assert [(name, value) for _, name, value in request.headers] == [
        (b"HOST", b"A.Example:8080"),
        (b"X-b", b"1"),
        (b"x-B", b"\xff\x80"),
        (b"Empty", b""),
    ]
    assert (request.authority, request.host) == (b"A.Example:8080", b"a.example")
    assert request.peer is PEER
    assert not request.has_body


@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        (b"GET / HTTP/1.1", b"/", None),
        (b"GET /? HTTP/1.1", b"/", b""),
        (b"GET /?a?b HTTP/1.1", b"/", b"a?b"),
        (b"GET //a HTTP/1.1", b"/a", None),
        (b"GET /%3f?x HTTP/1.1", b"/?", b"x"),
        (b"OPTIONS * HTTP/1.1", b"*", None),
        (b"get / HTTP/1.1", b"/", None),
        (b"GET /\xff\x80 HTTP/1.1", b"/\xff\x80", None),
    ],
)
def test_target_forms(line: bytes, path: bytes, query: bytes | None) -> None:
    request = read(line=line)
    assert (request.path, request.query) == (path, query)
    assert request.target == line.split(b" ")[1]


@pytest.mark.parametrize(
    ("target", "origin_form", "path", "authority", "host"),
    [
        (b"http://B.example:81/x?y", b"/x?y", b"/x", b"B.example:81", b"b.example"),
        (b"http://b.example", b"/", b"/", b"b.example", b"b.example"),
        (b"https://b.example?y", b"/?y", b"/", b"b.example", b"b.example"),
        (b"HTTP://[::1]:8/x", b"/x", b"/x", b"[::1]:8", b"[::1]"),
    ],
)
def test_the_authority_of_an_absolute_form_replaces_the_host(
    target: bytes, origin_form: bytes, path: bytes, authority: bytes, host: bytes
) -> None:
    # RFC 9112 §3.2.2: the target counts, and the Host that goes on is made of it.
    request = read(b"X: 1", line=b"GET " + target + b" HTTP/1.1")
    assert (request.target, request.path, request.authority, request.host) == (origin_form, path, authority, host)
    assert request.headers.get_all(b"host") == [authority]


def test_http_1_0_needs_no_host() -> None:
    request = read(line=b"GET / HTTP/1.0", host=None)
    assert (request.minor_version, request.authority, request.host) == (0, b"", b"")


REFUSED = [
    # the request line
    (head(line=b""), 400, "request line"),
    (head(line=b"GET"), 400, "request line"),
    (head(line=b"GET /"), 400, "request line"),  # HTTP/0.9
    (head(line=b"GET  / HTTP/1.1"), 400, "request line"),
    (head(line=b"GET /  HTTP/1.1"), 400, "request line"),
    (head(line=b"GET / HTTP/1.1 "), 400, "request line"),
    (head(line=b" GET / HTTP/1.1"), 400, "request line"),
    (head(line=b"GET\t/ HTTP/1.1"), 400, "request line"),
    (head(line=b"GET /a b HTTP/1.1"), 400, "request line"),
    (head(line=b"GET /\x01 HTTP/1.1"), 400, "request line"),
    (head(line=b"GET /\x7f HTTP/1.1"), 400, "request line"),
    (head(line=b"GET /a#b HTTP/1.1"), 400, "request line"),
    (head(line=b"G(T / HTTP/1.1"), 400, "request line"),
    (head(line=b"G\xcbT / HTTP/1.1"), 400, "request line"),
    (head(line=b"GET / http/1.1"), 400, "request line"),
    (head(line=b"GET / HTTP/1"), 400, "request line"),
    (head(line=b"GET / HTTP/1.10"), 400, "request line"),
    (head(line=b"GET / HTTP/01.1"), 400, "request line"),
    (head(line=b"GET / HTTPS/1.1"), 400, "request line"),
    (head(line=b"GET / HTTP/\xd9\xa1.1"), 400, "request line"),
    (head(line=b"HTTP/1.1 200 OK"), 400, "request line"),
    # versions
    (head(line=b"GET / HTTP/1.2"), 505, "HTTP/1.0 and HTTP/1.1"),
    (head(line=b"GET / HTTP/2.0"), 505, "HTTP/1.0 and HTTP/1.1"),
    (head(line=b"GET / HTTP/0.9"), 505, "HTTP/1.0 and HTTP/1.1"),
    (b"PRI * HTTP/2.0", 505, "HTTP/1.0 and HTTP/1.1"),
    # targets
    (head(line=b"CONNECT a.example:443 HTTP/1.1"), 501, "CONNECT"),
    (head(line=b"CONNECT / HTTP/1.1"), 501, "CONNECT"),
    (head(line=b"CONNECT http://a.example/ HTTP/1.1"), 501, "CONNECT"),
    (head(line=b"GET * HTTP/1.1"), 400, "OPTIONS"),
    (head(line=b"OPTIONS *a HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET a.example:443 HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET a HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET ?a HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET \\a HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET ftp://a.example/ HTTP/1.1"), 400, "start with /"),
    (head(line=b"GET /%zz HTTP/1.1"), 400, "percent-escape"),
    (head(line=b"GET /%00 HTTP/1.1"), 400, "NUL"),
    (head(line=b"GET /a/%2e%2e/../b HTTP/1.1"), 400, "root"),
    (head(line=b"GET http://a.example/.. HTTP/1.1"), 400, "root"),
    (head(line=b"GET http:/// HTTP/1.1"), 400, "host"),
    (head(line=b"GET http://?a HTTP/1.1"), 400, "host"),
    (head(line=b"GET http://user@a.example/ HTTP/1.1"), 400, "host"),
    (head(line=b"GET http://user:pw@a.example:80/ HTTP/1.1"), 400, "host"),
    (head(line=b"GET http://a.example:99999/ HTTP/1.1"), 400, "host"),
    (head(line=b"GET http://a.example\\@b.example/ HTTP/1.1"), 400, "host"),
    # Host (RFC 9112 §3.2)
    (head(host=None), 400, "no Host"),
    (head(line=b"GET http://a.example/ HTTP/1.1", host=None), 400, "no Host"),
    (head(b"Host: a.example"), 400, "more than one Host"),
    (head(b"host: b.example"), 400, "more than one Host"),
    (head(b"Host: b.example", line=b"GET / HTTP/1.0"), 400, "more than one Host"),
    (head(b"Host: a.example", line=b"GET http://a.example/ HTTP/1.1"), 400, "more than one Host"),
    (head(host=b"Host:"), 400, "Host is empty"),
    (head(host=b"Host: \t"), 400, "Host is empty"),
    (head(line=b"GET / HTTP/1.0", host=b"Host:"), 400, "Host is empty"),
    (head(host=b"Host: a b"), 400, "host"),
    (head(host=b"Host: a.example/b"), 400, "host"),
    (head(host=b"Host: user@a.example"), 400, "host"),
    (head(host=b"Host: a.example:x"), 400, "host"),
    (head(host=b"Host: ."), 400, "host"),
    (head(line=b"GET http://a.example/ HTTP/1.1", host=b"Host: b b"), 400, "host"),
    # fields (RFC 9112 §5)
    (head(b"X : 1"), 400, "followed by a space"),
    (head(b"X\t: 1"), 400, "followed by a space"),
    (head(b"Content-Length : 5"), 400, "followed by a space"),
    (head(b"Transfer-Encoding\t: chunked"), 400, "followed by a space"),
    (head(b" X: 1"), 400, "folded"),
    (head(b"X: 1", b" 2"), 400, "folded"),
    (head(b"X: 1", b"\t2"), 400, "folded"),
    (head(b"X:", b" "), 400, "folded"),
    (head(b" folded", host=None), 400, "folded"),
    (head(b"X"), 400, "no colon"),
    (head(b""), 400, "no colon"),
    (head(b": 1"), 400, "name is malformed"),
    (head(b"X Y: 1"), 400, "name is malformed"),
    (head(b"X\x0b: 1"), 400, "name is malformed"),
    (head(b"(X): 1"), 400, "name is malformed"),
    (head(b"X\xa0: 1"), 400, "name is malformed"),
    (head(b"X: a\x01"), 400, "control character"),
    (head(b"X: a\x0bb"), 400, "control character"),
    (head(b"X: a\x7f"), 400, "control character"),
    # line ends
    (head(b"X: a\nY: b"), 400, "bare CR or LF"),
    (head(b"X: a\rY: b"), 400, "bare CR or LF"),
    (head(b"X: a\r"), 400, "bare CR or LF"),
    (head(b"\rX: a"), 400, "bare CR or LF"),
    (head(b"X: a\r\r\nY: b"), 400, "bare CR or LF"),
    (head(line=b"GET / HTTP/1.1\nX: a"), 400, "bare CR or LF"),
    (head(line=b"GET /\r HTTP/1.1"), 400, "bare CR or LF"),
    (b"GET / HTTP/1.1\nHost: a.example\n", 400, "bare CR or LF"),
    (head(b"X: a\0"), 400, "NUL"),
    (head(b"X\0: a"), 400, "NUL"),
    (head(line=b"GET /\0 HTTP/1.1"), 400, "NUL"),
    # body framing (RFC 9112 §6)
    (head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "both"),
    (head(b"Transfer-Encoding: chunked", b"Content-Length: 0"), 400, "both"),
    (head(b"transfer-encoding: CHUNKED", b"content-length: x"), 400, "both"),
    (head(b"Content-Length: 5", b"Content-Length: 5"), 400, "more than one Content-Length"),
    (head(b"Content-Length: 5", b"content-length: 6"), 400, "more than one Content-Length"),
    (head(b"Content-Length: 5, 5"), 400, "not a number"),
    (head(b"Content-Length:"), 400, "not a number"),
    (head(b"Content-Length: +5"), 400, "not a number"),
    (head(b"Content-Length: -5"), 400, "not a number"),
    (head(b"Content-Length: 5.0"), 400, "not a number"),
    (head(b"Content-Length: 0x5"), 400, "not a number"),
    (head(b"Content-Length: 5 5"), 400, "not a number"),
    (head(b"Content-Length: 5_0"), 400, "not a number"),
    (head(b"Content-Length: \xb2"), 400, "not a number"),
    (head(b"Content-Length: \xd9\xa5"), 400, "not a number"),
    (head(b"Content-Length: " + b"9" * 19), 400, "not a number"),
    (head(b"Content-Length: " + b"0" * 5000 + b"5"), 400, "not a number"),
    (head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400, "HTTP/1.0"),
    (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "more than one Transfer-Encoding"),
    (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400, "more than one Transfer-Encoding"),
    (head(b"Transfer-Encoding: gzip"), 501, "chunked"),
    (head(b"Transfer-Encoding: gzip, chunked"), 501, "chunked"),
    (head(b"Transfer-Encoding: chunked, chunked"), 501, "chunked"),
    (head(b"Transfer-Encoding: chunked, identity"), 501, "chunked"),
    (head(b"Transfer-Encoding: identity"), 501, "chunked"),
    (head(b"Transfer-Encoding: xchunked"), 501, "chunked"),
    (head(b"Transfer-Encoding: chunked;q=1"), 501, "chunked"),
    (head(b'Transfer-Encoding: "chunked"'), 501, "chunked"),
    (head(b"Transfer-Encoding: chun ked"), 501, "chunked"),
    (head(b"Transfer-Encoding:"), 501, "chunked"),
    # expectations (RFC 9110 §10.1.1)
    (head(b"Expect: 200-ok"), 417, "100-continue"),
    (head(b"Expect:"), 417, "100-continue"),
    (head(b"Expect: 100-continue", b"Expect: x"), 417, "100-continue"),
    (head(b"Expect: 100-continue, x"), 417, "100-continue"),
]


@pytest.mark.parametrize(("raw", "status", "reason"), REFUSED)
def test_what_two_parsers_could_read_differently_is_refused(raw: bytes, status: int, reason: str) -> None:
    answer, detail = refusal(raw)
    assert answer == status
    assert reason in detail


def test_limits_are_kept_to_the_byte() -> None:
    limits = Limits(max_headers=3, max_uri_bytes=10)
    assert len(parse(head(b"A: 1", b"B: 2"), PEER, limits).headers) == 3
    assert refusal(head(b"A: 1", b"B: 2", b"C: 3"), limits) == (431, "more than 3 header fields")
    assert parse(head(line=b"GET /" + b"a" * 9 + b" HTTP/1.1"), PEER, limits).target == b"/aaaaaaaaa"
    assert refusal(head(line=b"GET /" + b"a" * 10 + b" HTTP/1.1"), limits)[0] == 414
    assert refusal(head(line=b"GET http://a.a/a HTTP/1.1"), limits)[0] == 414


def test_the_limits_when_nothing_is_set() -> None:
    assert len(read(*[b"A: 1"] * 99).headers) == 100
    assert refusal(head(*[b"A: 1"] * 100))[0] == 431
    assert len(read(line=b"GET /" + b"a" * 8191 + b" HTTP/1.1").target) == 8192
    assert refusal(head(line=b"GET /" + b"a" * 8192 + b" HTTP/1.1"))[0] == 414
    assert refusal(head(line=b"GET /" + b" " * 8192 + b" HTTP/1.1"))[0] == 414


@pytest.mark.parametrize(
    ("field", "content_length", "chunked", "has_body"),
    [
        (b"X: 1", None, False, False),
        (b"Content-Length: 0", 0, False, False),
        (b"Content-Length: 5", 5, False, True),
        (b"Content-Length:\t005 ", 5, False, True),
        (b"Content-Length: " + b"9" * 18, 10**18 - 1, False, True),
        (b"Transfer-Encoding: chunked", None, True, True),
        (b"TRANSFER-encoding:\tChunked ", None, True, True),
    ],
)
def test_body_framing(field: bytes, content_length: int | None, chunked: bool, has_body: bool) -> None:
    request = read(field, line=b"POST / HTTP/1.1")
    assert (request.content_length, request.chunked, request.has_body) == (content_length, chunked, has_body)


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: Upgrade, CLOSE"], False),
        (b"1.1", [b"Connection: upgrade", b"Connection: close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: close"], False),
        (b"1.0", [b"Connection: close, keep-alive"], False),  # RFC 9112 §9.3: close wins
    ],
)
def test_whether_the_connection_stays(version: bytes, fields: list[bytes], keep_alive: bool) -> None:
    assert read(*fields, line=b"GET / HTTP/" + version).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        (b"POST / HTTP/1.1", [b"Expect: 100-Continue"], True),
        (b"POST / HTTP/1.1", [], False),
        (b"POST / HTTP/1.0", [b"Expect: 100-continue"], False),
        (b"POST / HTTP/1.0", [b"Expect: x"], False),  # RFC 9110 §10.1.1: HTTP/1.0 has no expectations
    ],
)
def test_expectations(line: bytes, fields: list[bytes], expected: bool) -> None:
    assert read(*fields, line=line).expect_continue is expected


def seconds(raw: bytes, limits: Limits) -> float:
    began = time.process_time()
    with contextlib.suppress(BadRequest):  # the cost of a refusal counts as well
        parse(raw, PEER, limits)
    return time.process_time() - began


@pytest.mark.parametrize(
    "unit", [b"a", b" ", b"\t:", b"a ", b"X: \t", b"\r\nX: " + b" " * 20 + b"a", b"\r\n ", b"/..", b"http://", b"\r"]
)
@pytest.mark.parametrize("before", [b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_cost_grows_with_length_and_not_with_its_square(unit: bytes, before: bytes) -> None:
    limits = Limits(max_headers=10**6, max_head_bytes=10**7, max_uri_bytes=10**7)
    small, large = before + unit * 5_000, before + unit * 50_000
    # Ten times the input; a quadratic rule would take a hundred times as long.
    assert min(seconds(large, limits) for _ in range(3)) < 40 * min(seconds(small, limits) for _ in range(3)) + 0.01
