"""What becomes of requests and of connections that are kept open, when the gateway stops."""

from __future__ import annotations

from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route
from tests.server.stopping import LONG_S, stopping


def served(origin: Origin, **settings: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)], **settings)


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


# Nothing to wait for.


def test_with_nothing_open_it_takes_no_time() -> None:
    with Origin() as origin, served(origin) as gateway:
        get(gateway.port, "/hello")
        gateway.wait_counter("connections_open", 0)
        assert gateway.stop(window_s=LONG_S, idle_s=LONG_S) < 2


def test_idle_connections_are_closed_at_once() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as used, Client(gateway.port) as fresh:
        used.get("/hello")
        used.read_response()
        gateway.wait_counter("connections_open", 2)
        assert gateway.stop(window_s=LONG_S) < 2
        assert (used.read_end(), fresh.read_end()) == ("fin", "fin")


def test_a_client_that_comes_after_the_stop_is_not_accepted() -> None:
    with Origin() as origin, served(origin) as gateway:
        gateway.stop(window_s=LONG_S)
        with Client(gateway.port) as late:  # the kernel's queue takes it
            late.get("/hello")
        assert gateway.counter("connections_accepted") == 0
        assert gateway.records() == []


# Requests.


def test_requests_under_way_are_answered_and_the_connection_closed() -> None:
    with Origin() as origin, served(origin) as gateway:
        assert get(gateway.port, "/hello").status == 200
        gateway.wait_counter("connections_open", 0)
        with Client(gateway.port) as client:
            client.get("/mysleep?seconds=0.4")
            origin.request(1)
            took = gateway.stop(window_s=LONG_S)
            response = client.read_response()
            assert (response.status, response.get(b"connection")) == (200, b"close")
            assert client.read_end() == "fin"
        assert took < 5
        assert gateway.ending(count=2) == "complete"


def test_what_has_no_response_at_the_end_is_503() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        client.get("/never")
        origin.request(0)
        assert 0.35 < gateway.stop(window_s=0.4) < 5
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (503, b"close")
        assert gateway.ending() == "drain"
        assert origin.closed(0)


def test_an_upload_under_way_goes_on() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        origin.wait_for(lambda: bool(origin.requests) and origin.requests[0].body_so_far == b"half")
        with stopping(gateway, window_s=LONG_S):
            client.send(b"done")
            response = client.read_response()
            assert (response.body, response.get(b"connection")) == (b"halfdone", b"close")
        assert gateway.ending() == "complete"


def test_a_request_whose_head_is_on_its_way_is_answered() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHo")
        eventually(
            lambda: gateway.call(lambda: any(one._in_head for one in gateway.gateway._connections)), "half a head"
        )
        with stopping(gateway, window_s=LONG_S):
            client.send(b"st: a\r\n\r\n")
            response = client.read_response()
            assert (response.status, response.get(b"connection")) == (200, b"close")
            assert client.read_end() == "fin"


def test_a_head_that_never_comes_does_not_hold_it_up() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHo")
        eventually(
            lambda: gateway.call(lambda: any(one._in_head for one in gateway.gateway._connections)), "half a head"
        )
        assert gateway.stop(window_s=0.3) < 5
        assert not client.read_rest()


# Connections that are kept open.


def test_the_next_request_on_an_idle_connection_is_answered_meanwhile() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as used, Client(gateway.port) as fresh:
        used.get("/hello")
        assert used.read_response().get(b"connection") is None
        gateway.wait_counter("connections_open", 2)
        with stopping(gateway, window_s=LONG_S, idle_s=LONG_S):
            for client in (used, fresh):
                client.get("/hello")
                response = client.read_response()
                assert (response.status, response.get(b"connection")) == (200, b"close")
                assert client.read_end() == "fin"


def test_idle_connections_are_closed_after_their_time() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.get("/hello")
        client.read_response()
        assert 0.35 < gateway.stop(window_s=LONG_S, idle_s=0.4) < 5
        assert client.read_end() == "fin"


def test_idle_connections_are_closed_with_the_window_at_the_latest() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.get("/hello")
        client.read_response()
        assert 0.35 < gateway.stop(window_s=0.4, idle_s=LONG_S) < 5
        assert client.read_end() == "fin"


@pytest.mark.parametrize("idle_s", [0.0, LONG_S])
def test_a_connection_whose_response_began_before(idle_s: float) -> None:
    """It was not said that it closes; where idle connections are kept, it takes one more request."""
    gate = Gate()

    async def halves(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"8"))
        await wire.send(b"half")
        await gate.wait()
        await wire.send(b"done")

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/halves", halves)
        client.get("/halves")
        assert client.read_head().get(b"connection") is None
        client.read_until(b"half")
        with stopping(gateway, window_s=LONG_S, idle_s=idle_s):
            eventually(lambda: gateway.gateway.keeps_idle is bool(idle_s), "the state of idle connections")
            gate.open()
            client.read_until(b"done")
            if idle_s:
                client.get("/hello")
                assert client.read_until(b"hello world\n").data.count(b"Connection: close\r\n") == 1
            assert client.read_end() == "fin"


def test_pipelined_requests() -> None:
    """The one under way is answered and says that the connection closes; the others are the client's to send again."""
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(
            b"GET /mysleep?seconds=0.4 HTTP/1.1\r\nHost: a\r\n\r\n" + 3 * b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        origin.request(0)
        with stopping(gateway, window_s=LONG_S, idle_s=LONG_S):
            assert client.read_response().get(b"connection") == b"close"
            assert client.read_rest() == b""
            client.close()
        assert len(origin.requests) == 1


def test_a_tunnel_has_the_window() -> None:
    async def echo(_: Received, wire: Wire) -> None:
        await wire.head(101, (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))
        while data := await wire.read():
            await wire.send(data)

    talk = b"GET /talk HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with (
        Origin() as origin,
        RunningGateway([route("1", "/*", origin.address, enable_websocket=True)]) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/talk", echo)
        client.send(talk)
        assert client.read_head().status == 101
        with stopping(gateway, window_s=1.0):
            client.send(b"ping")
            assert client.read_until(b"ping")
        assert client.read_rest() == b""
        assert gateway.ending() == "drain"
