from __future__ import annotations

import pytest
from tests.client import Client, get, request
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route, upstream
from tests.server.dead_ends import blackhole, closed_port
from tests.server.peeking import peeking
from tests.server.policy_plugin import governed

from headgate.server.exchange import Exchange
from headgate.stream.ending import Ending
from headgate.stream.policy import StreamPolicy


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


async def read_and_slam(received: Received, wire: Wire) -> None:
    await received.body()
    wire.rst()


def exchange_of(gateway: RunningGateway) -> Exchange:
    """Give the one exchange that is under way."""

    def look() -> Exchange | None:
        exchanges = [one.exchange for one in gateway.gateway._connections]
        return next((one for one in exchanges if one is not None), None)

    return eventually(lambda: gateway.call(look))


def test_the_client_is_known_while_it_has_the_request_and_no_longer() -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[b"data: a\n\n"])
        client.get("/")
        client.read_head()
        exchange = exchange_of(gateway)
        assert exchange.dispatch.client is not None
        assert exchange.dispatch.began_at >= exchange.started
        stream.confirm(0)
        client.read_body()
        gateway.record(event="stream_ended")
        assert exchange.dispatch.client is None


@pytest.mark.parametrize("ending", [Ending.KILLED, Ending.DRAIN])
def test_an_exchange_that_is_ended_while_a_target_is_reached_leaves_nothing_behind(ending: Ending) -> None:
    with blackhole() as silent, governed(StreamPolicy(), silent) as gateway, Client(gateway.port) as client:
        client.get("/")
        exchange = exchange_of(gateway)
        eventually(lambda: gateway.call(lambda: gateway.gateway.pools.connecting) == 1, "a connection being made")
        gateway.call(lambda: exchange.stop(ending))
        assert client.read_response().status == 503
        assert gateway.ending() == ending
        eventually(lambda: gateway.call(lambda: gateway.gateway.pools.connecting) == 0, "nothing being connected")
        assert gateway.call(lambda: gateway.gateway.pools.usage.open) == 0


def test_each_target_is_sent_what_plugins_make_of_the_request_for_it() -> None:
    """What one target was told is not what the next one is told besides."""
    with Origin() as one, Origin() as two:
        one.on("/", read_and_slam)
        with governed(StreamPolicy(), one, two, plugins={"noting": {}}) as gateway:
            get(gateway.port, "/")
            for origin in (one, two):
                assert origin.request(0).get_all(b"x-target") == [origin.address.encode()]


@pytest.mark.parametrize(
    ("method", "status", "tries"), [(b"GET", 404, 2), (b"PUT", 404, 2), (b"DELETE", 404, 2), (b"POST", 502, 1)]
)
def test_a_body_that_was_kept_may_go_to_another_target_if_the_method_allows_it(
    method: bytes, status: int, tries: int
) -> None:
    raw = method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    with Origin() as one, Origin() as two, governed(peeking(), one, two) as gateway:
        one.on("/", read_and_slam)
        assert request(gateway.port, raw).status == status
        assert len(one.requests) + len(two.requests) == tries
        if tries == 2:
            two.wait_for(lambda: bytes(two.requests[0].body_so_far) == b"body")


def test_a_stale_connection_is_replaced_under_a_body_that_was_kept() -> None:
    async def flaky(received: Received, wire: Wire) -> None:
        if wire.requests > 1:
            wire.rst()
        else:
            await wire.respond(200, await received.body())

    raw = b"PUT /flaky HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/flaky", flaky)
        for _ in range(3):
            client.send(raw)
            assert client.read_response().body == b"body"
        assert origin.requests_by_connection == [2, 2, 1]
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/flaky", flaky)
        for status in (200, 502):  # it was not kept, and is gone
            client.send(raw)
            assert client.read_response().status == status


def test_a_stale_connection_whose_target_is_gone_leads_to_the_next_one() -> None:
    gate = Gate()

    async def once(_: Received, wire: Wire) -> None:
        await wire.respond(200, b"once")
        await gate.wait()
        wire.rst()

    with Origin() as two, Origin() as one:
        one.on("/", once)
        two.on("/", lambda _, wire: wire.respond(200, b"twice"))
        with governed(StreamPolicy(), one, two) as gateway:
            assert get(gateway.port, "/").body == b"once"
            gate.open()
            one.stop()
            assert get(gateway.port, "/").body == b"twice"


def test_the_records_target_is_the_last_one_tried() -> None:
    with closed_port() as one, closed_port() as two, governed(StreamPolicy(), one, two) as gateway:
        assert get(gateway.port, "/").status == 502
        assert gateway.record()["upstream"] == two


def test_a_target_that_is_listed_twice_is_asked_once() -> None:
    with Origin() as origin:
        origin.on("/", read_and_slam)
        node = {"host": "127.0.0.1", "port": origin.port, "weight": 1}
        with RunningGateway([route("1", "/*", upstream={"nodes": [node, {**node, "weight": 2}]})]) as gateway:
            assert get(gateway.port, "/").status == 502
        assert len(origin.requests) == 1


def test_without_an_upstream_nothing_is_dispatched() -> None:
    with RunningGateway([route("1", "/*", upstream=upstream())]) as gateway:
        assert get(gateway.port, "/").status == 503
        assert gateway.record()["error"] == "no_targets"
    with RunningGateway([route("1", "/*", plugins={"proxy-buffering": {}})]) as gateway:
        assert get(gateway.port, "/").status == 503
        assert gateway.record()["error"] == "no_upstream"


def test_a_request_that_was_answered_was_never_dispatched() -> None:
    with governed(StreamPolicy(), plugins={"refusing": {"status": 403}}) as gateway, Client(gateway.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        assert client.read_response().status == 403
        record = gateway.record()
        assert (record["upstream"], record["ending"]) == (None, "refused")
        assert gateway.call(lambda: gateway.gateway.pools.usage.opened) == 0


def test_the_next_target_is_tried_in_time_only() -> None:
    """``retry_timeout`` counts from the request, whatever the tries before took."""
    with Origin() as slow, Origin() as other:
        slow.on("/", never)
        nodes = [
            {"host": "127.0.0.1", "port": one.port, "weight": 1, "priority": -turn}
            for turn, one in enumerate((slow, other))
        ]
        timeout = {"connect": 5, "send": 5, "read": 0.4}
        for retry_timeout, status in ((0.2, 504), (20, 404)):
            where = {"nodes": nodes, "retry_timeout": retry_timeout, "timeout": timeout}
            with RunningGateway([route("1", "/*", upstream=where)]) as gateway:
                assert get(gateway.port, "/").status == status
