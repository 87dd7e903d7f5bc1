from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.client import Client, request
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route
from tests.server.dead_ends import blackhole, closed_port

from headgate.server.http1_connection import HELD_BYTES

CHUNKED = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


def served(origin: Origin, **fields: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address, **fields)])


def sized(length: int) -> bytes:
    return b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("chunked", [False, True])
def test_each_piece_arrives_before_the_next_one_is_sent(chunked: bool) -> None:
    pieces = [b"one", b"two", b"three"]
    whole = b"".join(pieces)
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", echo_pieces)
        client.send(CHUNKED if chunked else sized(len(whole)))
        received = origin.request(0)
        client.read_head()
        for number, piece in enumerate(pieces, 1):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            assert client.read_chunk().data == piece  # up and down at the same time
            assert bytes(received.body_so_far) == b"".join(pieces[:number])
        if chunked:
            client.send(b"0\r\nX-Trailer: dropped\r\n\r\n")
        assert client.read_body() == b""
        assert received.get(b"transfer-encoding") == (b"chunked" if chunked else None)
        assert received.get(b"content-length") == (None if chunked else b"%d" % len(whole))
        assert gateway.ending() == "complete"
        assert gateway.counter("upstream_request_bytes") == len(whole)


async def echo_pieces(received: Received, wire: Wire) -> None:
    await wire.head(200, (b"Transfer-Encoding", b"chunked"))
    async for piece in received.pieces():
        await wire.chunk(piece)
    await wire.last_chunk()


def test_trailers_are_dropped_both_ways() -> None:
    async def trail(received: Received, wire: Wire) -> None:
        await received.body()
        await wire.head(200, (b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Sum"))
        await wire.chunk(b"body")
        await wire.last_chunk((b"X-Sum", b"1"))

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", trail)
        client.send(CHUNKED + b"1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n")
        response = client.read_response()
        assert (response.body, response.get(b"trailer"), client.trailers) == (b"body", None, [])
        client.get("/hello")
        assert client.read_response().status == 200


def test_a_large_body_that_comes_at_once_goes_through() -> None:
    body = bytes(range(256)) * (16 * HELD_BYTES // 256)
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for _ in range(2):
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            response = client.read_response()
            assert (response.status, response.body == body) == (200, True)


def test_a_body_that_came_while_the_target_was_looked_for_goes_to_the_next_one() -> None:
    body = bytes(20 * HELD_BYTES)
    with Origin() as origin, closed_port() as closed:
        nodes = [
            {"host": "127.0.0.1", "port": int(closed.partition(":")[2]), "weight": 1, "priority": 1},
            {"host": "127.0.0.1", "port": origin.port, "weight": 1, "priority": 0},
        ]
        with RunningGateway([route("1", "/*", upstream={"nodes": nodes})]) as gateway, Client(gateway.port) as client:
            for _ in range(2):
                client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert client.read_response().body == body


def test_an_upload_that_the_target_does_not_take_stays_with_the_client() -> None:
    gate = Gate()
    size = 60_000_000

    async def slow(received: Received, wire: Wire) -> None:
        wire.pause_reading()
        await gate.wait()
        wire.resume_reading()
        await wire.respond(200, b"%d" % len(await received.body()))

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", slow)
        client.send(sized(size))
        sent = 0
        while not gateway.call(lambda: is_held(gateway)):
            sent += client.socket.send(bytes(min(65536, size - sent)))
        assert sent < size
        before = gateway.counter("upstream_request_bytes")
        assert sent - before < 2_000_000  # what the gateway holds, and the kernel's buffer between
        gate.open()
        while sent < size:
            sent += client.socket.send(bytes(min(65536, size - sent)))
        assert client.read_response().body == b"%d" % size
        client.get("/hello")
        assert client.read_response().status == 200


def is_held(gateway: RunningGateway) -> bool:
    return any(one._watched is not None for one in gateway.gateway._connections)


def test_an_answer_before_the_end_of_the_upload_ends_the_connection() -> None:
    async def refuse(_: Received, wire: Wire) -> None:
        await wire.respond(413, b"too much")
        await wire.gone()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", refuse)
        client.send(sized(1000) + b"some")
        response = client.read_response()
        assert (response.status, response.body) == (413, b"too much")
        assert client.read_end() == "fin"
        assert gateway.ending() == "complete"
        assert origin.closed(0)
        assert request(gateway.port, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        assert origin.connections_opened == 2


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"Content-Length: 4\r\n\r\nbody", True), (b"Content-Length: 4\r\n\r\nbo", False)]
)
def test_a_body_that_nobody_wants_is_dropped_if_all_of_it_is_there(sent: bytes, kept: bool) -> None:
    with RunningGateway() as gateway, Client(gateway.port) as client:
        client.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\n" + sent)
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (404, None if kept else b"close")
        if kept:
            client.get("/nowhere")
            assert client.read_response().status == 404
        else:
            assert client.read_end() == "fin"


# Expect: 100-continue.


def test_100_comes_once_the_target_is_there() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for number in range(2):
            client.send(EXPECTING.replace(b"/up", b"/echo"))
            assert client.read_head().status == 100
            received = origin.request(number)
            assert received.get(b"expect") is None
            client.send(b"body")
            assert client.read_response().body == b"body"


def test_a_client_that_does_not_wait_gets_no_100() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(EXPECTING.replace(b"/up", b"/echo") + b"body")
        assert client.read_head().status == 200
        assert client.read_body() == b"body"


def test_http_1_0_expects_nothing() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(EXPECTING.replace(b"/up", b"/echo").replace(b"1.1", b"1.0") + b"body")
        assert client.read_head().status == 200


@pytest.mark.parametrize("status", [404, 502, 504])
def test_a_refused_expectation_gets_no_100_and_the_connection_closes(status: int) -> None:
    timeout = {"connect": 0.2, "send": 1, "read": 1}
    with closed_port() as closed, blackhole() as silent:
        changes = [route("502", "/502", closed), route("504", "/504", silent, timeout=timeout)]
        with RunningGateway(changes) as gateway, Client(gateway.port) as client:
            client.send(EXPECTING.replace(b"/up", b"/%d" % status))
            response = client.read_head()
            assert (response.status, response.get(b"connection")) == (status, b"close")
            client.read_body()
            assert client.read_end() == "fin"


# A body that turns bad.


@pytest.mark.parametrize(
    "bad",
    [b"zz\r\n", b"3\r\nabcd\r\n", b"3\nabc\n", b"-3\r\n", b"0x3\r\n", b"3 3\r\n", b"0\r\nbad trailer\r\n\r\n", b"\r\n"],
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_chunked_body_that_turns_bad_takes_its_upstream_connection_along(bad: bytes, begun: bool) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        assert request(gateway.port, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        origin.on("/up", begin_and_read if begun else only_read)
        client.send(CHUNKED + b"4\r\ngood\r\n")
        received = origin.request(1)
        origin.wait_for(lambda: bytes(received.body_so_far) == b"good")
        if begun:
            assert client.read_head().status == 200
            assert client.read_chunk().data == b"begun"
        client.send(bad)
        if begun:
            assert client.read_rest() == b""
            assert client.ended == "fin"
        else:
            response = client.read_response()
            assert (response.status, response.get(b"connection")) == (400, b"close")
            assert client.read_end() == "fin"
        assert gateway.ending(count=2) == "refused"
        assert origin.closed(0)
        assert bytes(received.body_so_far) == b"good"
        assert request(gateway.port, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        assert origin.requests_by_connection == [2, 1]


async def begin_and_read(received: Received, wire: Wire) -> None:
    await wire.head(200, (b"Transfer-Encoding", b"chunked"))
    await wire.chunk(b"begun")
    await received.body()


async def only_read(received: Received, _: Wire) -> None:
    await received.body()


def test_a_body_that_is_bad_from_the_start_gets_400() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(CHUNKED + b"zz\r\n")
        assert client.read_response().status == 400
        assert client.read_end() == "fin"
        assert gateway.ending() == "refused"
        eventually(
            lambda: gateway.call(lambda: not gateway.gateway.pools.usage.open), "close of the upstream connection"
        )


def test_a_form_that_turns_bad_gets_400() -> None:
    with (
        Origin() as origin,
        served(origin, vars=[["post_arg.a", "==", "1"]]) as gateway,
        Client(gateway.port) as client,
    ):
        client.send(CHUNKED + b"3\r\na=1\r\nzz\r\n")
        assert client.read_response().status == 400
        assert client.read_end() == "fin"
        assert gateway.ending() == "refused"
        assert origin.connections_opened == 0


# A body that does not come.

TIMEOUT_S = 0.3


def impatient(origin: Origin, **fields: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address, **fields)], http={"body_timeout_s": TIMEOUT_S})


@pytest.mark.parametrize("head", [sized(4), CHUNKED, EXPECTING], ids=["sized", "chunked", "expecting"])
@pytest.mark.parametrize("some", [b"", b"2\r\n"])
def test_a_body_that_stops_coming_gets_408_and_its_upstream_connection_closes(head: bytes, some: bytes) -> None:
    with Origin() as origin, impatient(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", only_read)
        began = time.monotonic()
        client.send(head + some)
        if head is EXPECTING and not some:
            assert client.read_head().status == 100
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (408, b"close")
        assert time.monotonic() - began >= TIMEOUT_S
        assert client.read_end() == "fin"
        assert gateway.ending() == "client_stalled"
        assert origin.closed(0)


def test_a_form_that_stops_coming_gets_408() -> None:
    with (
        Origin() as origin,
        impatient(origin, vars=[["post_arg.a", "==", "1"]]) as gateway,
        Client(gateway.port) as client,
    ):
        client.send(CHUNKED + b"3\r\na=1\r\n")
        assert client.read_response().status == 408
        assert client.read_end() == "fin"
        assert gateway.ending() == "client_stalled"
        assert origin.connections_opened == 0


def test_a_body_that_stops_coming_leaves_a_response_that_has_begun_alone() -> None:
    gate = Gate()

    async def begin_and_go_on(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"begun")
        await gate.wait()
        await wire.chunk(b"more")
        await wire.last_chunk()

    with Origin() as origin, impatient(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", begin_and_go_on)
        client.send(CHUNKED + b"4\r\ngood\r\n")
        assert client.read_head().status == 200
        assert client.read_chunk().data == b"begun"
        threading.Event().wait(TIMEOUT_S * 3)  # the clock is what is tested
        gate.open()
        assert client.read_chunk().data == b"more"
        assert client.read_body() == b""
        assert gateway.ending() == "complete"


def test_the_time_for_a_body_is_of_one_gap_and_not_of_the_whole() -> None:
    pieces = 8
    with Origin() as origin, impatient(origin) as gateway, Client(gateway.port) as client:
        client.send(sized(pieces).replace(b"/up", b"/echo"))
        client.send(b"x")
        received = origin.request(0)
        for number in range(1, pieces + 1):
            origin.wait_for(lambda expected=number: len(received.body_so_far) == expected)  # type: ignore[misc]  # mypy: a lambda's default
            threading.Event().wait(TIMEOUT_S / 4)  # the pace is what is tested
            client.send(b"x" if number < pieces else b"")
        assert client.read_response().body == b"x" * pieces
        assert gateway.ending() == "complete"


@pytest.mark.parametrize("then", ["the target reads", "another request"])
def test_the_time_for_a_body_rests_while_it_is_not_wanted(then: str) -> None:
    gate = Gate()
    size = 30_000_000

    async def slow(received: Received, wire: Wire) -> None:
        if then == "the target reads":
            wire.pause_reading()
            await gate.wait()
            wire.resume_reading()
            await wire.respond(200, b"%d" % len(await received.body()))
        else:  # the body is whole: what is slow now is the answer
            await received.body()
            await gate.wait()
            await wire.respond(200, b"%d" % size)

    with Origin() as origin, impatient(origin) as gateway, Client(gateway.port) as client:
        origin.on("/up", slow)
        client.send(sized(size))
        sender = threading.Thread(target=client.socket.sendall, args=(bytes(size),))
        sender.start()
        received = origin.request(0)
        if then == "the target reads":
            eventually(lambda: gateway.call(lambda: is_held(gateway)), "a target that takes no more")
        else:
            origin.wait_for(lambda: len(received.body_so_far) == size)
        threading.Event().wait(3 * TIMEOUT_S)  # nothing happens: that is what is tested
        gate.open()
        assert client.read_response().body == b"%d" % size
        sender.join()
        assert gateway.ending() == "complete"
