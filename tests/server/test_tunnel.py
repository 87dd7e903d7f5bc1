from __future__ import annotations

import ssl
import time
from typing import Any

import pytest
import trustme
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route, upstream

UPGRADE = (
    b"GET /talk HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Server", b"other")]


def served(origin: Origin, **fields: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address, **{"enable_websocket": True, **fields})])


async def echo(_: Received, wire: Wire) -> None:
    await wire.head(101, *SWITCH)
    while data := await wire.read():
        await wire.send(data)
    wire.fin()


def test_bytes_go_both_ways_after_a_101() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(UPGRADE.replace(b"/talk", b"/websocket_handshake"))
        head = client.read_head()
        assert (head.status, head.get(b"upgrade"), head.get(b"connection")) == (101, b"websocket", b"Upgrade")
        assert head.get(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert head.get(b"transfer-encoding") is None
        assert client.read_until(b"hello").data == b"\x81\x05hello"
        for frame in (b"\x00\xff", b"x" * 1_000_000 + b"!"):
            client.send(frame)
            assert client.read_until(frame[-1:]).data == frame
        client.half_close()
        assert client.read_rest() == b""
        assert client.ended == "fin"
        record = gateway.record()
        assert (record["ending"], record["status"], record["bytes"]) == ("complete", 101, 7 + 2 + 1_000_001)
        received = origin.request(0)
        assert (received.get(b"upgrade"), received.get(b"connection")) == (b"websocket", b"Upgrade")
        gateway.wait_counter("connections_open", 0)
        assert gateway.counter("responses", status="1xx") == 1


def test_bytes_that_are_early_on_either_side_arrive() -> None:
    async def eager(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nfrom above")
        await wire.send(b" got " + await wire.read())
        wire.fin()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/talk", eager)
        client.send(UPGRADE + b"from below")
        client.read_head()
        assert client.read_rest() == b"from above got from below"
        client.half_close()
        assert gateway.ending() == "complete"


@pytest.mark.parametrize("first", ["client", "upstream"])
def test_one_side_may_end_while_the_other_goes_on(first: str) -> None:
    async def half(_: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        if first == "client":
            assert await wire.read() == b"last words"
            await wire.gone()
            await wire.send(b"still talking")
            wire.fin()
        else:
            await wire.send(b"still talking")
            wire.half_close()
            said.append(await wire.read())
            await wire.gone()

    said: list[bytes] = []
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/talk", half)
        client.send(UPGRADE)
        client.read_head()
        if first == "client":
            client.send(b"last words")
            client.half_close()
            assert client.read_rest() == b"still talking"
        else:
            assert client.read_rest() == b"still talking"
            client.send(b"last words")
            client.half_close()
            origin.wait_for(lambda: said == [b"last words"])
        assert gateway.ending() == "complete"
        gateway.wait_counter("connections_open", 0)


@pytest.mark.parametrize(("who", "ending"), [("client", "client_gone"), ("upstream", "upstream_reset")])
def test_a_reset_ends_both_sides(who: str, ending: str) -> None:
    gate = Gate()

    async def reset(_: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        await gate.wait()
        wire.rst()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/talk", echo if who == "client" else reset)
        client.send(UPGRADE)
        client.read_head()
        if who == "client":
            client.reset()
            assert origin.closed(0)
        else:
            gate.open()
            assert client.read_rest() == b""
        assert gateway.ending() == ending
        gateway.wait_counter("connections_open", 0)


def test_a_101_is_not_for_plugins_and_keeps_its_fields_for_itself() -> None:
    async def switch(_: Received, wire: Wire) -> None:
        hops = ((b"Connection", b"Upgrade, X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"timeout=5"))
        await wire.head(101, (b"Upgrade", b"WebSocket"), *hops, (b"X-End", b"2"))
        await wire.gone()

    with Origin() as origin, served(origin, plugins={"sse": {}}) as gateway, Client(gateway.port) as client:
        origin.on("/talk", switch)
        client.send(UPGRADE)
        head = client.read_head()
        assert (head.get_all(b"connection"), head.get_all(b"upgrade")) == ([b"Upgrade"], [b"WebSocket"])
        assert head.get(b"x-end") == b"2"
        for name in (b"x-hop", b"keep-alive", b"content-type", b"cache-control", b"x-accel-buffering"):
            assert head.get(name) is None


class Flood:
    """An upstream that says 50 MB after a 101; ``sent`` has the size of every piece that was taken."""

    size = 50_000_000

    def __init__(self) -> None:
        self.sent: list[int] = []

    async def __call__(self, _request: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        for _turn in range(self.size // 50_000):
            await wire.send(bytes(50_000))
            self.sent.append(50_000)
        wire.fin()


def test_a_client_that_leaves_with_bytes_undelivered_is_gone() -> None:
    flood = Flood()
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/talk", flood)
        client.send(UPGRADE)
        client.read_head()
        stop_growing(flood.sent)
        client.close()
        assert gateway.ending() == "client_gone"
        assert origin.closed(0)


@pytest.mark.parametrize("where", ["route", "upstream"])
def test_a_configured_read_timeout_cuts_a_silent_tunnel(where: str) -> None:
    timeout = {"connect": 5, "send": 5, "read": 0.3}
    with Origin() as origin:
        fields = {"timeout": timeout} if where == "route" else {"upstream": upstream(origin.address, timeout=timeout)}
        with served(origin, **fields) as gateway, Client(gateway.port) as client:
            origin.on("/talk", echo)
            client.send(UPGRADE)
            began = last = client.read_head().at
            while last < began + 0.7:  # somebody speaks
                client.send(b"x")
                last = client.read_until(b"x").at
            client.read_rest()
            assert 0.25 < time.monotonic() - last < 5
            assert gateway.ending() == "upstream_stall"
            assert origin.closed(0)


def test_a_client_that_takes_nothing_is_cut() -> None:
    changes, flood = [], Flood()
    with Origin() as origin:
        changes.append(route("all", "/*", origin.address, enable_websocket=True))
        origin.on("/talk", flood)
        with (
            RunningGateway(changes, http={"send_timeout_s": 0.3}) as gateway,
            Client(gateway.port, receive_buffer_bytes=4096) as client,
        ):
            client.send(UPGRADE)
            client.read_head()
            assert gateway.ending() == "client_stalled"
            assert origin.closed(0)
            assert sum(flood.sent) < flood.size


def test_an_upstream_that_takes_nothing_is_cut() -> None:
    async def deaf(_: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        wire.pause_reading()
        await done.wait()

    done = Gate()
    with Origin() as origin:
        origin.on("/talk", deaf)
        changes = [route("all", "/*", origin.address, enable_websocket=True)]
        with RunningGateway(changes, http={"send_timeout_s": 0.3}) as gateway, Client(gateway.port) as client:
            client.send(UPGRADE)
            client.read_head()
            with pytest.raises(ConnectionError):
                client.send(bytes(50_000_000))
            assert gateway.ending() == "upstream_stall"
            done.open()


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def secured(origin: Origin, **settings: Any) -> RunningGateway:
    nodes = upstream(origin.address, scheme="https", tls={"verify": False})
    return RunningGateway([route("all", "/*", upstream=nodes, enable_websocket=True)], **settings)


def test_a_tls_upstream_may_go_on_after_the_clients_fin(tls: ssl.SSLContext) -> None:
    async def slow(_: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        assert await wire.read() == b"last words"
        for gate, piece in ((left, b"1"), (first_read, b"2")):
            await gate.wait()
            await wire.send(piece)
        wire.fin()

    left, first_read = Gate(), Gate()
    with Origin(tls=tls) as origin, secured(origin) as gateway, Client(gateway.port) as client:
        origin.on("/talk", slow)
        client.send(UPGRADE)
        client.read_head()
        client.send(b"last words")
        client.half_close()
        left.open()
        client.read_until(b"1")
        first_read.open()
        assert client.read_rest() == b"2"
        assert client.ended == "fin"
        assert gateway.ending() == "complete"


def test_a_tls_upstream_that_stays_silent_after_the_clients_fin_is_let_go(tls: ssl.SSLContext) -> None:
    with (
        Origin(tls=tls) as origin,
        secured(origin, http={"send_timeout_s": 0.3}) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/talk", echo)
        client.send(UPGRADE)
        client.read_head()
        client.half_close()
        assert gateway.ending() == "client_gone"
        gateway.wait_counter("connections_open", 0)


def test_a_slow_client_slows_the_upstream_down() -> None:
    flood = Flood()
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/talk", flood)
        client.send(UPGRADE)
        client.read_head()
        stop_growing(flood.sent)
        assert sum(flood.sent) < flood.size
        assert len(client.read_rest()) == flood.size


def stop_growing(sent: list[int]) -> None:
    seen: list[int] = []

    def stands() -> bool:
        seen.append(len(sent))
        return len(seen) > 40 and seen[-40] == seen[-1] > 0

    eventually(stands)


def test_without_enable_websocket_the_upgrade_is_not_passed_on() -> None:
    with Origin() as origin, served(origin, enable_websocket=False) as gateway, Client(gateway.port) as client:
        client.send(UPGRADE.replace(b"/talk", b"/websocket_handshake"))
        assert client.read_response().status == 400
        received = origin.request(0)
        assert (received.get(b"upgrade"), received.get(b"connection")) == (None, None)
        assert received.get(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="


def test_an_upgrade_that_connection_does_not_name_is_not_passed_on() -> None:
    with Origin() as origin, served(origin) as gateway:
        get(gateway.port, "/hello", (b"Upgrade", b"websocket"))
        assert origin.request(0).get(b"upgrade") is None


def test_an_upgrade_that_the_upstream_declines_is_an_ordinary_response() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for _ in range(2):
            client.send(UPGRADE.replace(b"/talk", b"/hello"))
            assert client.read_response().body == b"hello world\n"


def test_stopping_ends_a_tunnel() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/talk", echo)
        client.send(UPGRADE)
        client.read_head()
        assert gateway.stop(window_s=0.4) < 0.6
        assert client.read_rest() == b""
        assert gateway.ending() == "drain"
        assert origin.closed(0)


def test_a_change_to_http2_is_not_passed_on() -> None:
    with Origin() as origin, RunningGateway([route("talk", "/*", origin.address, enable_websocket=True)]) as gateway:
        fields = ((b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk"))
        assert get(gateway.port, "/hello", *fields).status == 200
        received = origin.request(0)
        assert [received.get(name) for name in (b"upgrade", b"connection", b"http2-settings")] == [None, None, None]


def test_a_side_that_takes_nothing_has_the_tunnels_own_time() -> None:
    """The kernel's limit on unacknowledged bytes, which would count a closed window too, does not hold for it."""
    settings: dict[str, Any] = {"tcp": {"user_timeout_s": 0.5}, "http": {"send_timeout_s": 60.0}}

    async def pour(_: Received, wire: Wire) -> None:
        await wire.head(101, *SWITCH)
        await wire.send(b"x" * 8_000_000)
        wire.fin()

    with Origin() as origin:
        routes = [route("all", "/*", origin.address, enable_websocket=True)]
        with RunningGateway(routes, **settings) as gateway, Client(gateway.port, receive_buffer_bytes=8192) as client:
            origin.on("/talk", pour)
            client.send(UPGRADE)
            client.read_head()
            time.sleep(2)  # the window is closed for four times as long
            assert len(client.read_rest()) == 8_000_000
