from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, eventually, route, upstream
from tests.server.policy_plugin import catalog_with, governed

from headgate.config.change import Change
from headgate.server.gateway import SPREAD
from headgate.stream.ending import Ending
from headgate.stream.policy import OnRouteRemoved, StreamPolicy

A = b"data: a\n\n"
B = b"data: b\n\n"


def served(origin: Origin, **settings: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)], **settings)


# Configuration.


def test_a_running_stream_keeps_its_plan() -> None:
    with Origin() as old, Origin() as new:
        stream = old.events("/events", steps=[A, B])
        new.events("/events", steps=[b"data: new\n\n"]).confirm_all()
        with RunningGateway([route("1", "/*", old.address)]) as gateway, Client(gateway.port) as client:
            client.get("/events")
            client.read_head()
            assert client.read_event().data == A
            gateway.apply(route("1", "/*", new.address))
            assert get(gateway.port, "/events").body == b"data: new\n\n"
            gateway.apply(change("routes", "1", None))
            assert get(gateway.port, "/events").status == 404
            stream.confirm(0)
            assert client.read_event().data == B
            stream.confirm(1)
            assert client.read_body() == b""
            client.get("/events")
            assert client.read_response().status == 404
            record = gateway.record(event="stream_ended", count=2)
            assert (record["route"], record["upstream"], record["ending"]) == ("1", old.address, "complete")


def test_the_next_request_sees_a_changed_upstream() -> None:
    with Origin() as one, Origin() as two:
        changes = [change("upstreams", "u", upstream(one.address)), route("1", "/*", upstream_id="u")]
        with RunningGateway(changes) as gateway, Client(gateway.port) as client:
            for origin in (one, two, one):
                gateway.apply(change("upstreams", "u", upstream(origin.address)))
                client.get("/server_port")
                assert client.read_response().body == str(origin.port).encode()
            gateway.apply(change("upstreams", "u", None))
            client.get("/server_port")
            assert client.read_response().status == 503


def test_a_change_that_is_not_valid_changes_nothing() -> None:
    with Origin() as origin, served(origin) as gateway:
        with pytest.raises(ValueError, match="uri"):
            gateway.apply(route("2", "/hello", origin.address, status=0), change("routes", "3", {"uri": 1}))
        assert get(gateway.port, "/hello").status == 200
        assert set(gateway.gateway.generation.entries) == {"all"}


def test_a_route_that_dangles_is_503_until_its_service_is_there() -> None:
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address, service_id="s")]) as gateway:
        assert get(gateway.port, "/hello").status == 503
        gateway.apply(change("services", "s", {"hosts": ["a.test"]}))
        assert get(gateway.port, "/hello").status == 404
        assert get(gateway.port, "/hello", host=b"a.test").status == 200
        gateway.apply(change("services", "s", {"hosts": ["b.test"]}))
        assert get(gateway.port, "/hello", host=b"a.test").status == 404
        assert get(gateway.port, "/hello", host=b"B.test:80").status == 200
        gateway.apply(change("services", "s", None))
        assert get(gateway.port, "/hello").status == 503


# Streams of routes that are gone.


def switched_off(origin: Origin) -> Change:
    return route("all", "/*", origin.address, plugins={"policy": {}}, status=0)


@pytest.mark.parametrize("how", ["deleted", "switched off"])
@pytest.mark.parametrize("wanted", list(OnRouteRemoved))
def test_a_route_that_goes_takes_its_streams_along_as_it_wants(wanted: OnRouteRemoved, how: str) -> None:
    policy = StreamPolicy(on_route_removed=wanted)
    drain = {"window_s": 25.0}
    with (
        Origin() as origin,
        governed(policy, origin, settings={"drain": drain}) as gateway,
        Client(gateway.port) as client,
    ):
        stream = origin.events("/events", steps=[A, b"data: half", b" done\n\n", B])
        client.get("/events")
        client.read_head()
        assert client.read_event().data == A
        stream.confirm(0)
        assert client.read_chunk().data == b"data: half"
        gateway.apply(change("routes", "all", None) if how == "deleted" else switched_off(origin))
        assert get(gateway.port, "/events").status == 404
        match wanted:
            case OnRouteRemoved.CLOSE:
                assert client.read_rest() == b""
                assert client.ended == "fin"
            case OnRouteRemoved.DRAIN:
                due = lambda: [one.relay.due_ending for one in gateway.gateway.streams.values() if one.relay]  # noqa: E731
                eventually(lambda: gateway.call(due) == ["route_removed"], "the order to end")
                stream.confirm(1)
                rest = client.read_rest()
                assert b" done\n\n" in rest
                assert b"retry: " in rest
                assert B not in rest
            case OnRouteRemoved.KEEP:
                stream.confirm_all()
                assert client.read_body() == b" done\n\n" + B
        record = gateway.record(event="stream_ended")
        assert record["ending"] == ("complete" if wanted is OnRouteRemoved.KEEP else "route_removed")
        assert record["route"] == "all"


def test_streams_of_a_route_that_goes_end_one_after_another() -> None:
    policy = StreamPolicy(on_route_removed=OnRouteRemoved.DRAIN)
    count, window_s = 4, 1.2
    with Origin() as origin, governed(policy, origin, settings={"drain": {"window_s": window_s}}) as gateway:
        origin.events("/events", steps=[A], end="hold")
        clients = [Client(gateway.port) for _ in range(count)]
        for client in clients:
            client.get("/events")
            client.read_head()
            client.read_event()
        began = time.monotonic()
        gateway.apply(change("routes", "all", None))
        for number, client in enumerate(clients):
            assert b"retry: " in client.read_rest()
            assert time.monotonic() - began >= window_s * SPREAD * number / count - 0.05
            client.close()
        gateway.record(event="stream_ended", count=count)
        assert {one["ending"] for one in gateway.records("stream_ended")} == {"route_removed"}


def test_only_the_streams_of_that_route_end() -> None:
    catalog = catalog_with(policy=StreamPolicy(on_route_removed=OnRouteRemoved.CLOSE))
    with Origin() as origin:
        changes = [route(id_, f"/{id_}", origin.address, plugins={"policy": {}}) for id_ in ("a", "b")]
        streams = {id_: origin.events(f"/{id_}", steps=[A, B]) for id_ in ("a", "b")}
        with (
            RunningGateway(changes, catalog=catalog) as gateway,
            Client(gateway.port) as one,
            Client(gateway.port) as two,
        ):
            for client, id_ in ((one, "a"), (two, "b")):
                client.get(f"/{id_}")
                client.read_head()
                assert client.read_event().data == A
            gateway.apply(change("routes", "a", None))
            assert one.read_rest().startswith(b"d\r\nretry: ")
            streams["b"].confirm_all()
            assert two.read_event().data == B
            assert two.read_body() == b""


@pytest.mark.parametrize("what", ["route", "service", "upstream", "replaced at once", "upstream deleted"])
def test_a_change_is_no_removal(what: str) -> None:
    """Neither of the route, nor of what it refers to, nor where it is deleted and written anew in one step."""
    catalog = catalog_with(policy=StreamPolicy(on_route_removed=OnRouteRemoved.CLOSE))
    with Origin() as origin:
        where = change("upstreams", "u", upstream(origin.address))
        service = change("services", "s", {"plugins": {"policy": {}}, "upstream_id": "u"})
        own = route("all", "/*", service_id="s")
        changes = {
            "route": [route("all", "/other", service_id="s")],
            "service": [change("services", "s", {"plugins": {}, "upstream_id": "u"})],
            "upstream": [change("upstreams", "u", upstream("127.0.0.1:1"))],
            "upstream deleted": [change("upstreams", "u", None)],
            "replaced at once": [change("routes", "all", None), own],
        }
        stream = origin.events("/events", steps=[A, B])
        with RunningGateway([where, service, own], catalog=catalog) as gateway, Client(gateway.port) as client:
            client.get("/events")
            client.read_head()
            assert client.read_event().data == A
            gateway.apply(*changes[what])
            stream.confirm(0)
            assert client.read_event().data == B
            stream.confirm(1)
            assert client.read_body() == b""
            assert gateway.ending(event="stream_ended") == "complete"


def test_a_route_that_is_written_and_deleted_at_once_is_gone() -> None:
    policy = StreamPolicy(on_route_removed=OnRouteRemoved.CLOSE)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        gateway.apply(route("all", "/*", origin.address), change("routes", "all", None))
        assert client.read_rest().startswith(b"d\r\nretry: ")


def test_a_stream_that_an_operator_ends() -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        (stream_id,) = gateway.call(lambda: list(gateway.gateway.streams))
        gateway.call(lambda: gateway.gateway.streams[stream_id].stop(Ending.KILLED))
        assert client.read_rest() == b""
        record = gateway.record(event="stream_ended")
        assert (record["id"], record["ending"]) == (stream_id, "killed")
        assert origin.closed(0)
        assert gateway.call(lambda: gateway.gateway.streams) == {}


# Numbers.


def test_counters_tell_what_happened() -> None:
    with Origin() as origin, served(origin) as gateway:
        stream = origin.events("/events", steps=[A, B])
        with Client(gateway.port) as client:
            client.get("/events")
            client.read_head()
            client.read_event()
            assert (gateway.counter("streams_opened"), gateway.counter("streams_open")) == (1, 1)
            gateway.wait_counter("events", 1)  # while the stream runs
            gateway.wait_counter("upstream_connections_open", 1)
            stream.confirm(0)
            stream.confirm(1)
            client.read_body()
            client.get("/nowhere")
            client.read_response()
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            client.read_response()
        assert request(gateway.port, b"nonsense\r\n\r\n").status == 400
        gateway.wait_counter("connections_open", 0)
        gateway.record(count=3)
        expected = {
            ("connections_accepted", None): 2,
            ("requests", None): 4,
            ("responses", "2xx"): 2,
            ("responses", "4xx"): 2,
            ("streams_open", None): 0,
            ("events", None): 2,
            ("downstream_sent_bytes", None): len(A + B) + len(b"the origin has no handler for /nowhere\n") + 4,
            ("upstream_request_bytes", None): 4,
        }
        for (name, status), value in expected.items():
            assert gateway.counter(name, **({} if status is None else {"status": status})) == value, name
        assert gateway.counter("exchanges_ended", ending="complete") == 3
        assert gateway.counter("exchanges_ended", ending="refused") == 1
        assert gateway.counter("streams_ended", ending="complete") == 1
        gateway.wait_counter("upstream_connections_opened", 1)
        gateway.wait_counter("upstream_connections_reused", 2)


def test_the_number_of_open_upstream_connections_is_told_when_no_stream_runs() -> None:
    pool = {"idle_timeout": 2}
    with Origin() as origin:
        where = upstream(origin.address, keepalive_pool=pool)
        with RunningGateway([route("1", "/*", upstream=where)]) as gateway:
            get(gateway.port, "/hello")
            gateway.wait_counter("upstream_connections_open", 1)
            gateway.wait_counter("upstream_connections_open", 0)


def test_ids_are_unique() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        for _ in range(10):
            client.get("/hello")
            client.read_response()
        gateway.record(count=10)
        assert len({one["id"] for one in gateway.records()}) == 10


def test_nothing_is_left_of_many_clients_that_come_and_go() -> None:
    """Each of several threads does a bit of everything, for as long as a system needs to leak by the dozen."""

    def visit(seed: int) -> None:
        for turn in range(8):
            with Client(gateway.port) as client:
                visit_once(client, (seed + turn) % 5)

    async def never(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as origin, served(origin) as gateway:
        origin.events("/events", steps=[A], end="hold").confirm_all()
        origin.on("/never", never)
        get(gateway.port, "/hello")
        gateway.wait_counter("connections_open", 0)
        before = gateway.open_descriptors()
        threads = [threading.Thread(target=visit, args=(seed,)) for seed in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gateway.wait_counter("connections_open", 0)
        eventually(lambda: gateway.call(lambda: not gateway.gateway._tasks), "end of the tasks")
        gateway.call(gateway.gateway.pools.close_idle)
        eventually(lambda: gateway.open_descriptors() <= before, "close of all descriptors", within_s=10)
        opened = gateway.counter("streams_opened")
        assert opened == sum(gateway.counter("streams_ended", ending=one) for one in ("client_gone", "complete"))


def visit_once(client: Client, what: int) -> None:
    match what:
        case 0:
            client.get("/hello")
            client.read_response()
        case 1:
            client.get("/events")
            client.read_head()
            client.reset()
        case 2:
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        case 3:
            client.get("/never")
        case 4:
            client.send(b"GET /he")


def test_a_stream_that_only_waits_has_no_task() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        assert gateway.call(lambda: len(gateway.gateway._tasks)) == 0
