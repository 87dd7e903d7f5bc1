"""The echo server over sockets."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.client import Client, Response, get, request
from tests.echo.upstream import Upstream, running
from websockets.sync.client import connect

from headgate.echo.echo import format_rfc3339

HOSTNAME = socket.gethostname().encode()
RFC3339 = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running("echo") as started:
        yield started


def field_names(response: Response) -> set[bytes]:
    return {name for name, _ in response.head.fields}


def test_plain_request_is_written_out(upstream: Upstream) -> None:
    raw = b"PUT /a%20b/?q=1 HTTP/1.1\r\nHost: h:1\r\nx-b: 2\r\nX-A: 1\r\ncontent-length: 4\r\n\r\nbody"
    response = request(upstream.port, raw)
    assert response.status == 200
    assert response.get(b"Content-Type") == b"text/plain"
    assert response.body == (
        b"Request served by " + HOSTNAME + b"\n\n"
        b"PUT /a%20b/?q=1 HTTP/1.1\n\nHost: h:1\nContent-Length: 4\nX-A: 1\nX-B: 2\n\nbody"
    )
    assert field_names(response) == {b"date", b"Content-Type", b"Content-Length"}


def test_chunked_body_is_written_out_without_its_framing(upstream: Upstream) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert request(upstream.port, raw).body.endswith(b"POST / HTTP/1.1\n\nHost: h\n\nabc")


def test_http_1_0_is_answered_up_to_the_close(upstream: Upstream) -> None:
    with Client(upstream.port) as client:
        client.send(b"GET /.sse HTTP/1.0\r\nX-Send-Server-Hostname: false\r\n\r\n")
        head = client.read_head()
        assert b"Transfer-Encoding" not in head
        assert client.read_event().data.startswith(b"event: request\ndata: GET /.sse HTTP/1.0\n")


def test_head_of_a_stream_is_answered_at_once(upstream: Upstream) -> None:
    with Client(upstream.port) as client:
        client.send(b"HEAD /.sse HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.read_head().get(b"Content-Type") == b"text/event-stream"


@pytest.mark.parametrize("path", ["/.sse", "/some/where/.sse", "/.sse/", "/.sse?x=1"])
def test_stream_starts_with_server_and_request_and_goes_on_with_the_time(upstream: Upstream, path: str) -> None:
    with Client(upstream.port) as client:
        client.get(path, (b"accept", b"text/event-stream"), (b"Last-Event-ID", b"7"), host=b"h")
        head = client.read_head()
        assert head.raw.startswith(b"HTTP/1.1 200 OK\r\n")
        assert set(head.fields) >= {
            (b"Content-Type", b"text/event-stream"),
            (b"Cache-Control", b"no-cache"),
            (b"Connection", b"keep-alive"),
            (b"Access-Control-Allow-Origin", b"*"),
        }
        assert client.read_event().data == b"event: server\ndata: " + HOSTNAME + b"\nid: 1\n\n"
        assert client.read_event().data == (
            b"event: request\ndata: GET " + path.encode() + b" HTTP/1.1\ndata: \ndata: Host: h\n"
            b"data: Accept: text/event-stream\ndata: Last-Event-Id: 7\ndata: \nid: 2\n\n"
        )
        for event_id in (3, 4, 5):
            assert re.fullmatch(
                rb"event: time\ndata: " + RFC3339 + rb"\nid: %d\n\n" % event_id, client.read_event().data
            )


def test_first_two_events_wait_for_nothing() -> None:
    with running("echo", interval_s=3600) as upstream, Client(upstream.port) as client:
        client.get("/.sse")
        client.read_head()
        assert client.read_event().data.startswith(b"event: server\n")
        assert client.read_event().data.startswith(b"event: request\n")


def test_time_events_come_at_the_interval() -> None:
    with running("echo", interval_s=0.2) as upstream, Client(upstream.port) as client:
        asked = time.monotonic()
        client.get("/.sse")
        client.read_head()
        arrived = [client.read_event().at for _ in range(5)]
        assert [at - asked >= due for at, due in zip(arrived[2:], (0.2, 0.4, 0.6), strict=True)] == [True] * 3
        assert arrived[-1] - asked < 3


@pytest.mark.parametrize(
    ("environment", "asked", "sends"),
    [
        (None, None, True),
        ("false", None, False),
        ("FALSE", None, False),
        ("no", None, True),
        ("false", b"true", True),
        (None, b"False", False),
        ("false", b"", False),
    ],
)
def test_host_name_can_be_left_out(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, environment: str | None, asked: bytes | None, sends: bool
) -> None:
    if environment is not None:
        monkeypatch.setenv("SEND_SERVER_HOSTNAME", environment)
    fields = [] if asked is None else [(b"X-Send-Server-Hostname", asked)]
    assert get(upstream.port, "/", *fields).body.startswith(b"Request served by" if sends else b"GET / HTTP/1.1")
    with Client(upstream.port) as client:
        client.get("/.sse", *fields)
        client.read_head()
        first = client.read_event().data
        assert first.startswith(b"event: server\n" if sends else b"event: request\n")
        assert first.endswith(b"id: 1\n\n")


def test_environment_adds_response_fields(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEND_HEADER_X_ONE", "1")
    monkeypatch.setenv("SEND_HEADER_CACHE_CONTROL", "public")
    monkeypatch.setenv("SEND_HEADER_X_SPLIT", "a\r\nX-Injected: b")
    monkeypatch.setenv("SEND_HEADER_BAD NAME", "1")
    response = get(upstream.port, "/")
    assert response.get(b"X-One") == b"1"
    assert response.get(b"Cache-Control") == b"public"
    assert response.get(b"X-Split") == b"a X-Injected: b"
    with Client(upstream.port) as client:
        client.get("/.sse")
        head = client.read_head()
    assert head.get(b"X-One") == b"1"
    assert head.get_all(b"Cache-Control") == [b"no-cache"]


@pytest.mark.parametrize(
    ("path", "root", "shown"),
    [("/.ws", "", b'"/"'), ("/a/b/.ws", "", b'"/a/b"'), ("/.ws", "/root/", b'"/root"'), ("/a/.ws", "r", b'"/r/a"')],
)
def test_page_connects_to_its_own_directory(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, path: str, root: str, shown: bytes
) -> None:
    monkeypatch.setenv("WEBSOCKET_ROOT", root)
    response = get(upstream.port, path)
    assert response.get(b"Content-Type") == b"text/html; charset=utf-8"
    assert b"data-path=" + shown in response.body


@pytest.mark.parametrize("path", ["/", "/.ws", "/.sse", "/x"])
def test_websocket_is_echoed_on_every_path(upstream: Upstream, path: str) -> None:
    with connect(f"ws://127.0.0.1:{upstream.port}{path}") as websocket:
        assert websocket.response is not None
        assert "Server" not in websocket.response.headers
        assert websocket.recv() == f"Request served by {HOSTNAME.decode()}"
        for message in ("text é", b"\x00\xff", ""):
            websocket.send(message)
            assert websocket.recv() == message


def test_websocket_without_the_host_name_starts_with_an_empty_message(upstream: Upstream) -> None:
    with connect(f"ws://127.0.0.1:{upstream.port}/", additional_headers={"X-Send-Server-Hostname": "false"}) as one:
        assert one.recv() == ""


def test_connection_is_kept_and_used_again(upstream: Upstream) -> None:
    with Client(upstream.port) as client:
        for path in ("/first", "/second"):
            client.get(path)
            assert f"GET {path} HTTP/1.1".encode() in client.read_response().body


def test_requests_and_events_are_printed() -> None:
    with running("echo") as upstream:
        with Client(upstream.port) as client:
            client.get("/.sse?a")
            client.read_head()
            client.read_event()
        assert re.fullmatch(r"127\.0\.0\.1:\d+ \| GET /\.sse\?a", upstream.wait_for_line("GET"))
        assert upstream.wait_for_line("sse | event").endswith(" | sse | event: server")
        assert upstream.wait_for_line("sse | id").endswith(" | sse | id: 1")
        with connect(f"ws://127.0.0.1:{upstream.port}/w") as websocket:
            for message in ("hi", b"abc"):
                websocket.recv()
                websocket.send(message)
            websocket.recv()
        assert upstream.wait_for_line("GET /w").endswith(" | GET /w")
        assert upstream.wait_for_line("txt").endswith(" | txt | hi")
        assert upstream.wait_for_line("bin").endswith(" | bin | 3 byte(s)")


def test_headers_and_body_are_printed_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_HTTP_HEADERS", "1")
    monkeypatch.setenv("LOG_HTTP_BODY", "1")
    with running("echo") as upstream:
        request(upstream.port, b"POST /p HTTP/1.1\r\nHost: h\r\ncontent-length: 2\r\n\r\nhi")
        assert upstream.wait_for_line("/p").startswith("--------  127.0.0.1:")
        assert upstream.wait_for_line("Headers") == "Headers\nContent-Length: 2"
        assert upstream.wait_for_line("00000000").endswith("|hi|")


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (UTC, "2026-01-02T03:04:05Z"),
        (timezone(timedelta(hours=5, minutes=30)), "2026-01-02T03:04:05+05:30"),
        (timezone(timedelta(hours=-8)), "2026-01-02T03:04:05-08:00"),
    ],
)
def test_time_is_rfc_3339(zone: timezone, text: str) -> None:
    assert format_rfc3339(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=zone)) == text
