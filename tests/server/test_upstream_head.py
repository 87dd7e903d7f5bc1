from __future__ import annotations

from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Origin
from tests.running_gateway import RunningGateway, route

from headgate.plugins.api import Chain
from headgate.server.plan import Plan
from headgate.server.upstream_head import stream_read_timeout_s
from headgate.upstream.upstream import Timeouts


def served(origin: Origin) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)])


def test_a_request_goes_up_with_its_end_to_end_fields_as_they_were_sent() -> None:
    raw = (
        b"GET /hello HTTP/1.1\r\nhOST: Exa.mple:8080\r\nAccept: text/event-stream\r\nLast-Event-ID: 7\r\n"
        b"cookie: a=1\r\nCookie: b=2\r\nCache-Control: no-cache\r\nOrigin: http://x\r\nAccept-Encoding: gzip\r\n"
        b"X-Odd: \xff caf\xc3\xa9\r\nX-Empty:\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\n"
        b"TE: trailers\r\nTrailer: X\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n"
        b"Upgrade: h2c\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=9.9.9.9\r\n\r\n"
    )
    with Origin() as origin, served(origin) as gateway:
        request(gateway.port, raw)
        received = origin.request(0)
        assert received.version == b"HTTP/1.1"
        assert received.fields == [
            (b"Host", b"Exa.mple:8080"),
            (b"Accept", b"text/event-stream"),
            (b"Last-Event-ID", b"7"),
            (b"cookie", b"a=1"),
            (b"Cookie", b"b=2"),
            (b"Cache-Control", b"no-cache"),
            (b"Origin", b"http://x"),
            (b"Accept-Encoding", b"gzip"),
            (b"X-Odd", b"\xff caf\xc3\xa9"),
            (b"X-Empty", b""),
            (b"X-Real-IP", b"127.0.0.1"),
            (b"X-Forwarded-For", b"9.9.9.9, 127.0.0.1"),
            (b"X-Forwarded-Proto", b"http"),
            (b"X-Forwarded-Host", b"Exa.mple:8080"),
            (b"X-Forwarded-Port", b"8080"),
        ]


@pytest.mark.parametrize(
    "target",
    [
        b"/a%2Fb//c/./d?x=%zz&y=a+b&&z",
        b"/%E2%82%AC/\xe2\x82\xac?q=\xff",
        b"/a/../b;p=1?",
        b"/?a?b=/../c",
        b"//double",
        b"/%7euser/%7Euser",
        b"/back\\slash|pipe\"quote'{}^`<>",
    ],
)
def test_path_and_query_go_up_byte_for_byte(target: bytes) -> None:
    with Origin() as origin, served(origin) as gateway:
        assert request(gateway.port, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").status in {200, 404}
        assert origin.request(0).target == target


@pytest.mark.parametrize(
    ("target", "host", "sent"),
    [
        (b"http://Other.test/hello?x", b"Other.test", b"/hello?x"),
        (b"HTTP://other.test:81", b"other.test:81", b"/"),
        (b"http://other.test?x=1", b"other.test", b"/?x=1"),
    ],
)
def test_an_absolute_form_target_names_the_host(target: bytes, host: bytes, sent: bytes) -> None:
    with Origin() as origin, served(origin) as gateway:
        request(gateway.port, b"GET " + target + b" HTTP/1.1\r\nHost: ignored\r\n\r\n")
        received = origin.request(0)
        assert (received.target, received.get_all(b"host")) == (sent, [host])


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"", (None, None)),
        (b"Content-Length: 0\r\n", (b"0", None)),
        (b"Content-Length: 003\r\n", (b"3", None)),
        (b"Transfer-Encoding: Chunked\r\n", (None, b"chunked")),
    ],
)
def test_the_body_is_framed_as_the_client_framed_it(field: bytes, expected: tuple[bytes | None, bytes | None]) -> None:
    body = b"abc" if b"003" in field else b"0\r\n\r\n" if b"Chunked" in field else b""
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"POST /hello HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n" + body)
        assert client.read_response().status == 200
        received = origin.request(0)
        assert (received.get(b"content-length"), received.get(b"transfer-encoding")) == expected


def test_legacy_forwarded_host_and_trusted_peers() -> None:
    settings: dict[str, Any] = {"x_forwarded_host": "legacy", "trusted_addresses": ["127.0.0.0/8"]}
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address)], **settings) as gateway:
        get(gateway.port, "/hello", host=b"Exa.mple:81")
        get(gateway.port, "/hello", (b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"for=1.2.3.4"))
        first, second = origin.request(0), origin.request(1)
        assert first.get(b"x-forwarded-host") == b"exa.mple"
        assert first.get(b"x-forwarded-port") == str(gateway.port).encode()
        assert (second.get(b"x-forwarded-proto"), second.get(b"forwarded")) == (b"https", b"for=1.2.3.4")


@pytest.mark.parametrize(
    ("configured_s", "own_s", "expected_s"),
    [(None, None, 0.0), (5.0, None, 5.0), (None, 3.0, 3.0), (5.0, 3.0, 3.0), (5.0, 0.0, 0.0)],
)
def test_only_a_configured_read_timeout_counts_for_streams(
    configured_s: float | None, own_s: float | None, expected_s: float
) -> None:
    plan = Plan("1", None, Chain(), None, Timeouts(read_s=configured_s))
    assert stream_read_timeout_s(plan, own_s) == expected_s
