"""The programmable origin does to a connection what it is told, and tells what was done to it."""

from __future__ import annotations

import pytest
from tests.client import Client, get, request
from tests.origin import Framing, Gate, Origin, Received, Wire

EVENTS = [b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_step_is_sent_only_when_the_one_before_is_confirmed(framing: Framing) -> None:
    with Origin() as origin, Client(origin.port) as client:
        stream = origin.events("/events", framing=framing, steps=EVENTS)
        client.get("/events")
        assert client.read_head().get(b"content-type") == b"text/event-stream"
        for number, event in enumerate(EVENTS):
            assert client.read_event().data == event
            assert len(stream.sent_at) == number + 1
            stream.confirm(number)
        assert client.read_body() == b""


@pytest.mark.parametrize(("end", "seen"), [("fin", "fin"), ("rst", "rst")])
def test_a_stream_can_be_cut(end: str, seen: str) -> None:
    with Origin() as origin, Client(origin.port) as client:
        stream = origin.events("/events", steps=EVENTS[:1], end="rst" if end == "rst" else "fin")
        client.get("/events")
        client.read_head()
        client.read_event()
        stream.confirm(0)
        assert client.read_end() == seen


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_the_peers_close_is_recorded_with_its_kind(how: str) -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.events("/events", steps=EVENTS, end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        (client.reset if how == "rst" else client.close)()
        closed = origin.closed(0)
        assert closed.how == how
        assert closed.at >= origin.request(0).at


def test_connections_and_requests_are_counted() -> None:
    with Origin() as origin:
        with Client(origin.port) as client:
            for _ in range(3):
                client.get("/hello")
                assert client.read_response().body == b"hello world\n"
        get(origin.port, "/hello")
        assert origin.connections_opened == 2
        assert origin.requests_by_connection == [3, 1]
        assert [(one.connection, one.number) for one in origin.requests] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_a_handler_sees_the_request_raw_and_its_body_as_it_comes() -> None:
    first_piece = Gate()

    async def count(received: Received, wire: Wire) -> None:
        pieces = 0
        async for _ in received.pieces():
            pieces += 1
            first_piece.open()
        await wire.respond(200, b"%d %s" % (pieces, received.body_so_far))

    with Origin() as origin, Client(origin.port) as client:
        origin.on("/count", count)
        client.send(
            b"POST /count?x=1&x=2 HTTP/1.1\r\nHost: o\r\nX-b:  2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        )
        origin.wait_for(lambda: first_piece.is_open)
        client.send(b"6;ext=1\r\n world\r\n0\r\nTrailer: t\r\n\r\n")
        assert client.read_response().body == b"2 hello world"
        received = origin.request(0)
        assert (received.path, received.query, received.get(b"x-B")) == (b"/count", b"x=1&x=2", b"2")
        assert received.raw.startswith(b"POST /count?x=1&x=2 HTTP/1.1\r\nHost: o\r\nX-b:  2\r\n")


def test_a_body_that_the_handler_leaves_is_passed_over() -> None:
    with Origin() as origin, Client(origin.port) as client:
        for _ in range(2):
            client.send(b"POST /headers?A=b HTTP/1.1\r\nHost: o\r\nContent-Length: 5\r\n\r\nhello")
            assert client.read_response().get(b"a") == b"b"
        assert origin.requests_by_connection == [2]


def test_half_close_leaves_the_other_direction_open() -> None:
    async def half(received: Received, wire: Wire) -> None:
        await wire.head(200)
        wire.half_close()
        await received.body()

    with Origin() as origin, Client(origin.port) as client:
        origin.on("/half", half)
        client.send(b"POST /half HTTP/1.1\r\nHost: o\r\nContent-Length: 4\r\n\r\n")
        client.read_head()
        assert client.read_end() == "fin"
        client.send(b"body")
        origin.wait_for(lambda: origin.requests[0].body_so_far == b"body", "the body")


def test_a_handler_that_does_not_read_pushes_the_peer_back() -> None:
    pushed_back = Gate()

    async def hold(_: Received, wire: Wire) -> None:
        wire.pause_reading()
        await pushed_back.wait()
        wire.resume_reading()
        await wire.respond(200)

    with Origin() as origin, Client(origin.port, timeout_s=0.2) as client:
        origin.on("/hold", hold)
        client.send(b"POST /hold HTTP/1.1\r\nHost: o\r\nContent-Length: 100000000\r\n\r\n")
        origin.request(0)
        with pytest.raises(TimeoutError):
            client.socket.sendall(bytes(100_000_000))
        pushed_back.open()
        client.socket.settimeout(30)
        assert client.read_head().status == 200


def test_a_handlers_error_fails_the_test() -> None:
    async def broken(_: Received, __: Wire) -> None:
        raise ZeroDivisionError

    origin = Origin()
    with origin, Client(origin.port) as client:
        origin.on("/broken", broken)
        client.get("/broken")
        assert client.read_end() == "fin"
        with pytest.raises(ZeroDivisionError):
            origin.stop()


def test_waiting_in_vain_tells_what_there_was() -> None:
    with Origin() as origin:
        get(origin.port, "/hello")
        with pytest.raises(AssertionError, match=r"request 1 did not come.*GET b'/hello'"):
            origin.request(1, timeout_s=0.05)


def test_an_origin_can_come_back_on_its_port() -> None:
    with Origin() as origin:
        get(origin.port, "/hello")
    with pytest.raises(ConnectionRefusedError):
        Client(origin.port)
    with Origin(port=origin.port) as again:
        assert get(again.port, "/hello").status == 200


FIXTURE = [
    ("/hello", b"", 200, b"hello world\n"),
    ("/hello1", b"", 200, b"hello1 world\n"),
    ("/hello_chunked", b"", 200, b"hello world\n"),
    ("/with_header", b"", 200, b"hello\nworld\n!\n"),
    ("/uri?a=b", b"X-Forwarded-For: 1\r\nB: 2\r\nA: 1\r\n", 200, b"uri: /uri\na: 1\nb: 2\nhost: o\n"),
    ("/uri_plugin", b"", 200, b"uri: /uri_plugin\nhost: o\n"),
    ("/old_uri", b"X-Forwarded-For: 1\r\n", 200, b"uri: /old_uri\nhost: o\nx-forwarded-for: 1\n"),
    ("/mysleep?seconds=0.01", b"", 200, b"0.01\n"),
    ("/limit_conn", b"", 200, b"hello world\n"),
    ("/specific_status", b"", 200, b""),
    ("/specific_status", b"X-Test-Upstream-Status: 503\r\n", 503, b"upstream status: 503\n"),
    ("/specific_status", b"X-Test-Upstream-Status: 204\r\n", 204, b""),
    ("/server_error", b"", 500, b"500 Internal Server Error\n"),
    (
        "/plugin_proxy_rewrite?q=1",
        b"",
        200,
        b"uri: /plugin_proxy_rewrite\nhost: o\nscheme: http\n",
    ),
    ("/plugin_proxy_rewrite_args?q=1&a=2&q=3", b"", 200, b"uri: /plugin_proxy_rewrite_args\na: 2\nq: 1,3\n"),
    ("/opentracing", b"", 200, b"opentracing\n"),
    ("/websocket_handshake", b"", 400, b"no handshake\n"),
    ("/nowhere", b"", 404, b"the origin has no handler for /nowhere\n"),
]


@pytest.mark.parametrize(("target", "fields", "status", "body"), FIXTURE)
def test_paths_of_apisix(target: str, fields: bytes, status: int, body: bytes) -> None:
    with Origin() as origin:
        response = request(origin.port, b"GET %s HTTP/1.1\r\nHost: o\r\n%s\r\n" % (target.encode(), fields))
        assert (response.status, response.body) == (status, body)


def test_server_port_is_the_origins_own() -> None:
    with Origin() as one, Origin() as other:
        assert get(one.port, "/server_port").body == str(one.port).encode()
        assert get(other.port, "/server_port/aa").body == str(other.port).encode()


def test_fields_that_the_request_asks_for() -> None:
    with Origin() as origin:
        assert get(origin.port, "/headers?X-A=1&Cache-Control=no-store").get(b"cache-control") == b"no-store"
        assert get(origin.port, "/hello", (b"resp-X-B", b"2")).get(b"X-B") == b"2"
        assert get(origin.port, "/echo", (b"X-C", b"3")).get(b"x-c") == b"3"


@pytest.mark.parametrize("path", ["/hello", "/hello_chunked"])
def test_head_has_no_body_and_keeps_the_connection(path: str) -> None:
    with Origin() as origin, Client(origin.port) as client:
        client.send(b"HEAD %s HTTP/1.1\r\nHost: o\r\n\r\n" % path.encode())
        assert client.read_response().body == b""
        client.get("/hello")
        assert client.read_response().body == b"hello world\n"


def test_connection_close_is_obeyed() -> None:
    with Origin() as origin, Client(origin.port) as client:
        client.get("/hello", (b"Connection", b"close"))
        client.read_response()
        assert client.read_end() == "fin"


def test_websocket_switches_and_gives_back_raw_bytes() -> None:
    handshake = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"upgrade"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),  # RFC 6455 §1.3
    ]
    with Origin() as origin, Client(origin.port) as client:
        client.get("/websocket_handshake", *handshake)
        head = client.read_head()
        assert (head.status, head.get(b"sec-websocket-accept")) == (101, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        assert client.read_until(b"hello").data == b"\x81\x05hello"
        client.send(b"\x00raw\xff")
        assert client.read_until(b"\xff").data == b"\x00raw\xff"
        client.half_close()
        assert client.read_end() == "fin"
