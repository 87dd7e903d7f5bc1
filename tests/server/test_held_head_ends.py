"""What may happen while a head is held: the client leaves, headgate stops, a plugin fails."""

from __future__ import annotations

import threading

import pytest
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import eventually
from tests.server.peeking import BAD, CHUNKED, EVENT_STREAM, GOOD, held_bytes, peeking, peeks, streams
from tests.server.policy_plugin import governed

from headgate.stream.policy import OnClientGone

# The client leaves, headgate stops, a plugin fails.


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_leaves_while_the_head_is_held(how: str) -> None:
    with Origin() as origin, Origin() as other, governed(peeking(), origin, other) as gateway:
        origin.events("/*", steps=[b":\n\n"], end="hold")
        for number in range(3):
            with Client(gateway.port) as client:
                client.get("/")
                eventually(lambda: held_bytes(gateway) == [3], "the head held")
                client.reset() if how == "rst" else client.half_close()
                assert origin.closed(number)
        gateway.record(count=3)
        assert {(one["ending"], one["status"]) for one in gateway.records()} == {("client_gone", 0)}
        gateway.wait_counter("connections_open", 0)
        assert gateway.call(lambda: gateway.gateway.pools.usage.open) == 0
        assert gateway.call(lambda: len(gateway.gateway.wheel)) <= 1  # the accounts' own entry
        assert not other.requests
        assert peeks(gateway) == {}


def test_a_client_that_leaves_while_the_next_target_is_being_reached() -> None:
    timeout = {"connect": 30, "send": 5, "read": 5}
    gate = Gate()

    async def complain(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await gate.wait()
        await wire.chunk(BAD)
        await wire.gone()

    async def never(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as bad, Origin() as slow, governed(peeking(), bad, slow, timeout=timeout) as gateway:
        bad.on("/*", complain)
        slow.on("/*", never)
        with Client(gateway.port) as client:
            client.get("/")
            eventually(lambda: held_bytes(gateway) == [0], "the head held")
            gate.open()
            slow.request(0)
            client.reset()
        assert slow.closed(0)
        assert bad.closed(0)
        assert gateway.ending() == "client_gone"


def test_a_client_that_leaves_lets_a_held_stream_finish_if_the_route_says_so() -> None:
    policy = peeking(on_client_gone=OnClientGone.FINISH)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[b":\n\n", *GOOD])
        client.get("/")
        eventually(lambda: held_bytes(gateway) == [3], "the head held")
        client.half_close()
        assert client.read_rest() == b""
        stream.confirm_all()
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["bytes"]) == ("client_gone", 0)
        assert get(gateway.port, "/").status == 200
        assert origin.requests_by_connection == [2]


def test_a_stop_answers_a_held_head() -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[b":\n\n"], end="hold")
        client.get("/")
        eventually(lambda: held_bytes(gateway) == [3], "the head held")
        assert gateway.stop(window_s=0.3) < 3
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (503, b"close")
        assert origin.closed(0)
        assert gateway.ending() == "drain"


def test_a_held_head_that_passes_while_headgate_stops() -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[b":\n\n", *GOOD])
        client.get("/")
        eventually(lambda: held_bytes(gateway) == [3], "the head held")
        stopping = threading.Thread(target=gateway.stop, kwargs={"window_s": 20})
        stopping.start()
        eventually(lambda: gateway.gateway.is_stopping, "the stop")
        stream.confirm_all()
        response = client.read_response()
        assert (response.get(b"connection"), response.body) == (b"close", b":\n\n" + b"".join(GOOD))
        stopping.join()
        assert gateway.ending(event="stream_ended") == "complete"


def test_a_plugin_that_raises_when_the_head_goes_on() -> None:
    plugins = {"noting": {"raises_in": "on_response"}}
    with Origin() as origin, governed(peeking(), origin, plugins=plugins) as gateway, Client(gateway.port) as client:
        streams(origin, *GOOD)
        for count in (1, 2):
            client.get("/")
            assert client.read_response().status == 500
            assert gateway.ending(count=count) == "gateway_error"


def test_a_plugin_that_raises_on_what_was_held() -> None:
    plugins = {"events": {"raises_in": "on_event"}}
    with Origin() as origin, governed(peeking(), origin, plugins=plugins) as gateway, Client(gateway.port) as client:
        streams(origin, *GOOD)
        client.get("/")
        assert client.read_head().status == 200
        assert client.read_rest() == b""
        assert gateway.ending(event="stream_ended") == "gateway_error"


def test_plugins_see_what_was_held() -> None:
    plugins = {"events": {"drops": "good"}}
    with Origin() as origin, governed(peeking(), origin, plugins=plugins) as gateway:
        streams(origin, b":\n\n", *GOOD)
        assert get(gateway.port, "/").body == b":\n\n" + GOOD[1]


def test_an_interim_head_passes_at_once() -> None:
    async def hint(_: Received, wire: Wire) -> None:
        await wire.head(103, (b"Link", b"</a>"))
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await gate.wait()
        await wire.chunk(GOOD[0])
        await wire.last_chunk()

    gate = Gate()
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", hint)
        client.get("/")
        assert client.read_head().status == 103
        gate.open()
        assert client.read_response().body == GOOD[0]


def test_pipelined_requests_keep_their_order() -> None:
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        streams(bad, BAD)
        streams(good, *GOOD)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().body == b"".join(GOOD)
        assert client.read_response().body == b"hello world\n"
