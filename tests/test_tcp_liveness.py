from __future__ import annotations

import socket
import threading
import time

import pytest
from tests.client import Client
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route

from headgate.tcp_liveness import TcpLiveness

EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")

Options = tuple[int, int, int, int, int]


def options(connection: socket.socket) -> Options:
    """Give whether keep-alives are sent, after how long, how far apart and how many (s), and the user timeout (ms)."""
    return (
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    )


@pytest.mark.parametrize(
    ("user_timeout_s", "keepalive_s", "expected"),
    [
        (30.0, 30.0, (1, 30, 10, 3, 30_000)),
        (0.5, 7.2, (1, 8, 3, 3, 500)),
        (0.0001, 0.1, (1, 1, 1, 3, 1)),
        (1e9, 1e9, (1, 32767, 32767, 3, 2**31 - 1)),
    ],
)
def test_what_a_socket_is_told(user_timeout_s: float, keepalive_s: float, expected: Options) -> None:
    with socket.socket() as connection:
        TcpLiveness(user_timeout_s, keepalive_s).watch(connection)
        assert options(connection) == expected


def test_off_is_as_the_system_has_it() -> None:
    with socket.socket() as untouched, socket.socket() as connection:
        TcpLiveness().watch(connection)
        assert options(connection) == options(untouched)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5)
        TcpLiveness().set_user_timeout(connection, 7.0)
        assert options(connection)[4] == 5


def test_an_accepted_connection_has_the_options_of_its_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        TcpLiveness(2.5, 9.0).watch(listening)
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert options(accepted) == (1, 9, 3, 3, 2500)


# In a gateway.

TCP = {"user_timeout_s": 12.0, "keepalive_s": 21.0}


def served(origin: Origin) -> RunningGateway:
    return RunningGateway([route("1", "/*", origin.address)], tcp=TCP)


def client_options(gateway: RunningGateway) -> list[Options]:
    """Give the options of the clients' connections."""
    return gateway.call(lambda: [socket_options(one.transport) for one in gateway.gateway._connections])


def socket_options(transport: object) -> Options:
    return options(transport.get_extra_info("socket"))  # type: ignore[attr-defined]


def upstream_options(gateway: RunningGateway) -> list[Options]:
    """Give the options of the connections that serve an exchange."""

    def look() -> list[Options]:
        exchanges = [one.exchange for one in gateway.gateway._connections]
        clients = [one.dispatch.client for one in exchanges if one is not None]
        return [socket_options(one.transport) for one in clients if one is not None]

    return gateway.call(look)


def test_both_sides_of_a_stream_are_watched() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: a\n\n"], end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        assert client_options(gateway) == [(1, 21, 7, 3, 12_000)]
        assert upstream_options(gateway) == [(1, 21, 7, 3, 12_000)]


def test_a_client_that_blocks_has_the_time_of_its_own_clock() -> None:
    """For the kernel, one that takes nothing acknowledges nothing."""
    gate = Gate()

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        while not gate.is_open:
            await wire.chunk(b"data: " + b"x" * 10_000 + b"\n\n")
        await wire.last_chunk()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: [one[4] for one in client_options(gateway)] == [0], "a client that blocks")
        gate.open()
        client.read_body()
        assert [one[4] for one in client_options(gateway)] == [12_000]


def test_a_client_that_takes_nothing_for_longer_than_the_kernel_waits_is_served_on() -> None:
    """By ``tcp.user_timeout_s`` it would be gone, by ``http.send_timeout_s`` it is not."""
    user_timeout_s = 0.5
    event = b"data: " + b"x" * 10_000 + b"\n\n"

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for _turn in range(2000):
            await wire.chunk(event)
        await wire.last_chunk()

    with (
        Origin() as origin,
        RunningGateway(
            [route("1", "/*", origin.address)], tcp={"user_timeout_s": user_timeout_s}, http={"send_timeout_s": 30.0}
        ) as gateway,
        Client(gateway.port, receive_buffer_bytes=4096) as client,
    ):
        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: [one[4] for one in client_options(gateway)] == [0], "a client that blocks")
        threading.Event().wait(6 * user_timeout_s)
        assert client.read_body() == event * 2000
        record = gateway.record(event="stream_ended")
        assert record["ending"] == "complete"
        assert record["blocked_s"] > 5 * user_timeout_s


def test_a_target_that_takes_an_upload_slowly_has_the_time_of_its_own_clock() -> None:
    """By ``tcp.user_timeout_s`` it would be gone, by ``timeout.send`` it is not."""
    user_timeout_s, size = 0.5, 30_000_000
    gate = Gate()

    async def slow(received: Received, wire: Wire) -> None:
        wire.pause_reading()
        await gate.wait()
        wire.resume_reading()
        await wire.respond(200, b"%d" % len(await received.body()))

    with (
        Origin() as origin,
        RunningGateway([route("1", "/*", origin.address)], tcp={"user_timeout_s": user_timeout_s}) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/up", slow)
        client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sender = threading.Thread(target=client.socket.sendall, args=(bytes(size),))
        sender.start()
        assert [one[4] for one in eventually(lambda: upstream_options(gateway))] == [0]
        began = time.monotonic()
        while time.monotonic() - began < 6 * user_timeout_s:
            assert not gateway.records("request_ended")
            threading.Event().wait(0.05)
        gate.open()
        assert client.read_response().body == b"%d" % size
        sender.join()
        assert gateway.ending() == "complete"


def test_after_its_upload_a_target_is_watched_again() -> None:
    gate = Gate()

    async def echo_later(received: Received, wire: Wire) -> None:
        await received.body()
        await gate.wait()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(b"data: a\n\n")
        await wire.gone()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/later", echo_later)
        client.send(b"POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        origin.wait_for(lambda: bool(origin.requests) and origin.requests[0].body_so_far == b"body")
        assert [one[4] for one in upstream_options(gateway)] == [0]
        gate.open()
        client.read_head()
        client.read_event()
        assert [one[4] for one in upstream_options(gateway)] == [12_000]
