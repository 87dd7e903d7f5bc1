"""Clients that take nothing of a stream, and what is left of connections that are closed."""

from __future__ import annotations

import time

import pytest
from tests.client import Client, get
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route
from tests.server.policy_plugin import governed

from headgate.stream.policy import Close, OnClientGone, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent

EVENT = b"data: " + b"x" * 10_000 + b"\n\n"


async def flood(_: Received, wire: Wire) -> None:
    await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
    while True:
        await wire.chunk(EVENT)


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


def scheduled_connections(gateway: RunningGateway) -> int:
    """Give how many deadlines are kept beside those of the accounts and of idle connections to targets."""

    def look() -> int:
        gateway.gateway.pools.close_idle()
        return len(gateway.gateway.wheel) - (gateway.gateway.accounts.wheel_slot >= 0)

    return gateway.call(look)


@pytest.mark.parametrize("gone", list(OnClientGone))
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_client_that_takes_nothing_of_a_stream_is_given_up(version: bytes, gone: OnClientGone) -> None:
    """It has not left, so nothing runs on for it; nor is it told anything, for it would not take that either."""
    policy = StreamPolicy(
        on_client_gone=gone, keepalive_s=0.1, terminal_event=TerminalEvent.parse("plain"), close=Close.CLEAN
    )
    settings = {"http": {"send_timeout_s": 0.5}}
    with Origin() as origin, governed(policy, origin, settings=settings) as gateway:
        origin.on("/flood", flood)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.send(b"GET /flood HTTP/%b\r\nHost: a\r\n\r\n" % version)
            record = gateway.record(event="stream_ended")
            assert (record["ending"], record["keepalives"]) == ("client_stalled", 0)
            assert record["blocked_s"] >= 0.45
            assert origin.closed(0)
            gateway.wait_counter("connections_open", 0)
            assert b"event: error" not in client.read_rest()
        assert scheduled_connections(gateway) == 0


def test_a_client_that_takes_a_little_now_and_then_is_not_given_up() -> None:
    events = 1500

    async def many(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
        for _turn in range(events):
            await wire.chunk(EVENT)
        await wire.last_chunk()

    settings = {"http": {"send_timeout_s": 1.0}}
    with Origin() as origin, governed(StreamPolicy(), origin, settings=settings) as gateway:
        origin.on("/many", many)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.get("/many")
            client.read_head()
            for _ in range(events):
                assert client.read_event().data == EVENT
            assert client.read_body() == b""
        assert gateway.ending(event="stream_ended") == "complete"


@pytest.mark.parametrize("how", ["fin", "rst", "answered", "refused", "half a head", "stream", "waiting", "tunnel"])
def test_nothing_of_a_connection_is_kept_once_it_is_closed(how: str) -> None:
    """Its deadline might be an hour off, and connections come by the thousand."""
    http = {"keepalive_timeout_s": 3600.0, "head_timeout_s": 3600.0, "send_timeout_s": 3600.0}

    async def switch(_: Received, wire: Wire) -> None:
        await wire.head(101, (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))
        await wire.gone()

    with (
        Origin() as origin,
        RunningGateway([route("1", "/*", origin.address, enable_websocket=True)], http=http) as gateway,
    ):
        origin.on("/never", never)
        origin.on("/switch", switch)
        origin.events("/events", steps=[b"data: a\n\n"], end="hold")
        with Client(gateway.port) as client:
            gateway.wait_counter("connections_open", 1)
            match how:
                case "rst":
                    client.reset()
                case "answered":
                    client.get("/hello", (b"Connection", b"close"))
                    client.read_response()
                case "refused":
                    client.send(b"nonsense\r\n\r\n")
                    client.read_response()
                case "half a head":
                    client.send(b"GET / HT")
                    eventually(
                        lambda: gateway.call(lambda: any(one._in_head for one in gateway.gateway._connections)),
                        "half a head",
                    )
                case "stream":
                    client.get("/events")
                    client.read_head()
                    client.read_event()
                case "waiting":
                    client.get("/never")
                    origin.request(0)
                case "tunnel":
                    client.send(b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                    assert client.read_head().status == 101
        gateway.wait_counter("connections_open", 0)
        eventually(lambda: scheduled_connections(gateway) == 0, "no deadline", within_s=10)
        assert get(gateway.port, "/hello").status == 200


def test_the_wait_for_the_next_request_begins_when_a_response_has_ended() -> None:
    settings = {"http": {"keepalive_timeout_s": 1.0}}
    with (
        Origin() as origin,
        governed(StreamPolicy(), origin, settings=settings) as gateway,
        Client(gateway.port) as client,
    ):
        client.get("/mysleep?seconds=1.5")
        client.read_response()
        client.get("/hello")
        assert client.read_response().status == 200
        ended_at = client.arrivals[-1][0]
        assert client.read_end() == "fin"
        assert time.monotonic() - ended_at >= 0.95
