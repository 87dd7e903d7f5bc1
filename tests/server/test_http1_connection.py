from __future__ import annotations

import time
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route

from headgate.server.http1_connection import HELD_BYTES, LINGER_BYTES, WRITE_BUFFER_BYTES

HOST = b"Host: a\r\n"


def served(origin: Origin, **settings: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)], **settings)


async def big(received: Received, wire: Wire) -> None:
    """Answer with as many bytes as the query says."""
    length = int(received.query)
    await wire.head(200, (b"Content-Length", b"%d" % length))
    for start in range(0, length, 65536):
        await wire.send(bytes(min(65536, length - start)))


async def whole(received: Received, wire: Wire) -> None:
    """The same, in one write."""
    await wire.respond(200, bytes(int(received.query)))


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


# Keep-alive and pipelining.


def test_one_connection_carries_many_requests() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for _ in range(3):
            client.get("/hello")
            assert client.read_response().body == b"hello world\n"
        gateway.wait_counter("requests", 3)
        assert gateway.counter("connections_accepted") == 1
        assert origin.connections_opened == 1


def test_pipelined_requests_are_answered_in_order() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(
            b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n"
            b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\none"
            b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\r\n"
            b"GET /hello1 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        )
        bodies = [client.read_response().body for _ in range(4)]
        assert bodies == [b"hello world\n", b"one", b"two", b"hello1 world\n"]
        assert client.read_end() == "fin"
        assert [one.target for one in origin.requests] == [b"/hello", b"/echo", b"/echo", b"/hello1"]


def test_a_pipelined_request_waits_for_the_response_before() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[b"data: a\n\n"])
        client.get("/events")
        client.get("/hello")
        client.read_head()
        client.read_event()
        assert len(origin.requests) == 1
        stream.confirm(0)
        assert client.read_body() == b""
        assert client.read_response().body == b"hello world\n"


def test_many_pipelined_requests_are_held_within_bounds_and_all_answered() -> None:
    requests = 2 * HELD_BYTES // 400
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[b"data: a\n\n"])
        client.get("/events")
        client.read_head()
        one = b"BREW /x HTTP/1.1\r\n" + HOST + b"X: " + bytes(400).hex().encode() + b"\r\n\r\n"
        client.send(one * requests)
        stream.confirm(0)
        client.read_body()
        for _ in range(requests):
            assert client.read_response().status == 404


def test_no_request_is_begun_while_the_client_takes_no_responses() -> None:
    size = 3_000_000
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/big", big)
        for _ in range(5):
            client.get(f"/big?{size}")
        origin.request(0)
        eventually(lambda: gateway.call(blocked(gateway)), "blocked")
        assert gateway.call(unsent(gateway)) < WRITE_BUFFER_BYTES + 2 * 262144
        assert len(origin.requests) <= 2
        for _ in range(5):
            assert len(client.read_response().body) == size
        gateway.record(count=5)


def test_small_responses_that_nobody_takes_do_not_pile_up() -> None:
    size, requests = 30_000, 1000
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/whole", whole)
        for _ in range(requests):
            client.get(f"/whole?{size}")
        eventually(lambda: gateway.call(blocked(gateway)), "blocked")
        seen: list[int] = []

        def stands() -> bool:
            seen.append(len(origin.requests))
            return len(seen) > 40 and seen[-40] == seen[-1]

        eventually(stands, "a stand")
        assert seen[-1] < requests
        assert gateway.call(unsent(gateway)) < WRITE_BUFFER_BYTES + 2 * size
        for _ in range(requests):
            assert len(client.read_response().body) == size


def blocked(gateway: RunningGateway) -> Any:
    return lambda: any(one.is_blocked for one in gateway.gateway._connections)


def unsent(gateway: RunningGateway) -> Any:
    return lambda: sum(one.transport.get_write_buffer_size() for one in gateway.gateway._connections)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", None, True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"close", False),
        (b"1.1", b"x, Close", False),
        (b"1.0", None, False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"close", False),
    ],
)
def test_the_client_chooses_whether_the_connection_is_kept(
    version: bytes, connection: bytes | None, kept: bool
) -> None:
    field = b"" if connection is None else b"Connection: " + connection + b"\r\n"
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for _ in range(2 if kept else 1):
            client.send(b"GET /hello HTTP/" + version + b"\r\n" + HOST + field + b"\r\n")
            response = client.read_response()
            assert response.body == b"hello world\n"
            assert response.get(b"content-length") == b"12"
            expected = (b"keep-alive" if version == b"1.0" else None) if kept else b"close"
            assert response.get(b"connection") == expected
        if not kept:
            assert client.read_end() == "fin"


def test_http_1_0_gets_a_body_of_unknown_length_until_the_connection_ends() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"GET /hello_chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = client.read_response()
        assert response.body == b"hello world\n"
        assert response.get(b"transfer-encoding") is None
        assert response.get(b"content-length") is None
        assert response.get(b"connection") == b"close"
        assert origin.request(0).get(b"host") == origin.address.encode()


@pytest.mark.parametrize("path", ["/hello", "/hello_chunked", "/nowhere"])
def test_head_has_no_body_and_leaves_the_connection_usable(path: str) -> None:
    with (
        Origin() as origin,
        RunningGateway([route("1", "/hello*", origin.address)]) as gateway,
        Client(gateway.port) as client,
    ):
        for _ in range(2):
            client.send(b"HEAD " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.read_response().body == b""
        client.get("/hello")
        assert client.read_response().body == b"hello world\n"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_leave_the_connection_usable(status: int) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(status, (b"ETag", b'"1"'))

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/bare", answer)
        for _ in range(2):
            client.get("/bare")
            response = client.read_response()
            assert (response.status, response.body, response.get(b"etag")) == (status, b"", b'"1"')
            assert response.get(b"transfer-encoding") is None
            assert response.get(b"content-length") is None
        assert origin.requests_by_connection == [2]


def test_a_304_keeps_the_length_that_the_body_would_have() -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(304, (b"Content-Length", b"1234"))

    with Origin() as origin, served(origin) as gateway:
        origin.on("/bare", answer)
        assert get(gateway.port, "/bare").get(b"content-length") == b"1234"


def test_interim_responses_are_passed_on_but_not_100() -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(100)
        await wire.head(103, (b"Link", b"</a.css>"), (b"Connection", b"x-private"), (b"X-Private", b"1"))
        await wire.respond(200, b"done")

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/early", answer)
        client.get("/early")
        early = client.read_head()
        assert (early.status, early.fields) == (103, ((b"Link", b"</a.css>"),))
        assert client.read_response().body == b"done"
        old = request(gateway.port, b"GET /early HTTP/1.0\r\n\r\n")
        assert old.status == 200


# Framing that is refused.

MALFORMED = [
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 101 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
]


@pytest.mark.parametrize(("raw", "status"), MALFORMED, ids=lambda one: repr(one)[:60])
def test_a_malformed_request_is_answered_and_goes_no_further(raw: bytes, status: int) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.socket.sendall(raw)
        response = client.read_response()
        assert response.status == status
        assert response.get(b"connection") == b"close"
        assert response.get(b"content-type") == b"application/json"
        assert b"error_msg" in response.body
        assert client.read_end() == "fin"
        record = gateway.record()
        assert (record["status"], record["ending"], record["error"]) == (status, "refused", "bad_request")
        assert origin.connections_opened == 0


def test_what_follows_a_malformed_request_is_not_served() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.socket.sendall(b"GET / HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.read_response().status == 400
        assert client.read_end() == "fin"
        assert origin.connections_opened == 0


def test_a_refused_client_that_goes_on_sending_gets_its_answer_and_is_cut_in_the_end() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.socket.sendall(b"nonsense\r\n\r\n")
        assert client.read_response().status == 400
        sent = 0
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever write meets the cut
            while sent < 100 * LINGER_BYTES:
                sent += client.socket.send(bytes(65536))
        assert sent >= LINGER_BYTES


# Time.


def test_a_slow_head_gets_408() -> None:
    with Origin() as origin, served(origin, http={"head_timeout_s": 0.2}) as gateway, Client(gateway.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHo")
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (408, b"close")
        assert client.read_end() == "fin"
        assert origin.connections_opened == 0


def test_a_head_that_comes_byte_by_byte_gets_408_too() -> None:
    head = b"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000
    with Origin() as origin, served(origin, http={"head_timeout_s": 0.2}) as gateway, Client(gateway.port) as client:
        client.socket.settimeout(0.01)
        answer = b""
        for number in range(len(head)):
            client.socket.sendall(head[number : number + 1])
            try:
                answer = client.socket.recv(100)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_slow_second_head_gets_408() -> None:
    with Origin() as origin, served(origin, http={"head_timeout_s": 0.2}) as gateway, Client(gateway.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\nGET /he")
        assert client.read_response().status == 200
        assert client.read_response().status == 408


@pytest.mark.parametrize(
    "before", [b"", b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n"]
)
def test_an_idle_connection_is_closed_without_a_word(before: bytes) -> None:
    settings = {"keepalive_timeout_s": 0.2}
    with Origin() as origin, served(origin, http=settings) as gateway, Client(gateway.port) as client:
        began = time.monotonic()
        if before:
            client.send(before)
            client.read_response()
        assert client.read_end() == "fin"
        assert time.monotonic() - began >= 0.2


def test_the_time_of_an_exchange_is_not_idle_time() -> None:
    settings = {"keepalive_timeout_s": 0.1, "head_timeout_s": 0.1}
    with Origin() as origin, served(origin, http=settings) as gateway, Client(gateway.port) as client:
        client.get("/mysleep?seconds=0.5")
        assert client.read_response().body == b"0.5\n"


def test_a_client_that_takes_nothing_is_given_up() -> None:
    settings = {"send_timeout_s": 0.3}
    with Origin() as origin, served(origin, http=settings) as gateway:
        origin.on("/big", big)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.get("/big?50000000")
            assert gateway.ending() == "client_stalled"
            assert origin.closed(0)
            gateway.wait_counter("connections_open", 0)


def test_a_client_that_takes_nothing_of_the_last_response_is_given_up_too() -> None:
    settings = {"send_timeout_s": 0.3}
    with Origin() as origin, served(origin, http=settings) as gateway:
        origin.on("/big", big)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            for _ in range(40):
                client.get("/big?100000", (b"Connection", b"keep-alive"))
            gateway.wait_counter("connections_open", 1)
            gateway.wait_counter("connections_open", 0)


def test_a_slow_client_gets_every_byte_of_a_response_that_ends_the_connection() -> None:
    size = 4_000_000
    with Origin() as origin, served(origin, http={"send_timeout_s": 2}) as gateway:
        origin.on("/big", big)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.send(b"GET /big?%d HTTP/1.0\r\n\r\n" % size)
            client.read_head()
            assert len(client.read_body()) == size
            assert client.read_end() == "fin"


# The client leaves.


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("phase", ["head", "events", "blocked", "uploading", "upload held", "piped"])
def test_a_client_that_leaves_takes_the_upstream_connection_along(phase: str, how: str) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        gate = bring_to(phase, origin, gateway, client)
        if phase == "blocked":
            eventually(lambda: gateway.call(blocked(gateway)), "blocked")
        leave(client, how)
        event = "stream_ended" if phase in {"events", "piped"} else "request_ended"
        assert gateway.ending(event=event) == "client_gone"
        gate.open()
        assert origin.closed(0)
        gateway.wait_counter("connections_open", 0)
        assert get(gateway.port, "/hello").status == 200
        assert origin.connections_opened == 2, "the connection of the client that left was used again"


def held(gateway: RunningGateway) -> Any:
    return lambda: any(one._watched is not None for one in gateway.gateway._connections)


def leave(client: Client, how: str) -> None:
    if how == "rst":
        client.reset()
    else:
        client.half_close()


def bring_to(phase: str, origin: Origin, gateway: RunningGateway, client: Client) -> Gate:
    """Have an exchange in a phase; give what lets an origin that does not read go on."""
    gate = Gate()

    async def reads_nothing(_: Received, wire: Wire) -> None:
        wire.pause_reading()
        await gate.wait()
        wire.resume_reading()
        await wire.gone()

    match phase:
        case "head":
            origin.on("/never", never)
            client.get("/never")
            origin.request(0)
        case "events" | "piped":
            origin.events("/events", steps=[b"data: a\n\n"], end="hold")
            client.get("/events")
            if phase == "piped":
                client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * (HELD_BYTES // 10))
            client.read_head()
            client.read_event()
        case "blocked":
            origin.on("/big", big)
            client.get("/big?50000000")
            client.read_head()
        case "uploading":
            origin.on("/never", body_and_never)
            client.send(b"POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome")
            request = origin.request(0)
            origin.wait_for(lambda: bytes(request.body_so_far) == b"some")
        case "upload held":
            origin.on("/full", reads_nothing)
            client.send(b"POST /full HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            origin.request(0)
            fill(gateway, client)
    return gate


async def body_and_never(received: Received, _: Wire) -> None:
    await received.body()


def fill(gateway: RunningGateway, client: Client) -> None:
    """Send until the gateway reads no more; the client's own queue stays empty, so that its FIN goes out."""
    while not gateway.call(held(gateway)):
        client.socket.sendall(bytes(65536))
