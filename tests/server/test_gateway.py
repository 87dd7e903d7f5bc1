from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, eventually, route, upstream

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


# Stopping.


def test_stopping_with_nothing_open_takes_no_time() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.get("/hello")
        client.read_response()
        assert gateway.stop(20) < 2
        assert client.read_end() == "fin"


def test_a_client_that_comes_after_the_stop_is_not_accepted() -> None:
    with Origin() as origin, served(origin) as gateway:
        gateway.stop(20)
        with Client(gateway.port) as late:  # the kernel's queue takes it
            late.get("/hello")
        assert gateway.counter("connections_accepted") == 0
        assert gateway.records() == []


def test_stopping_ends_streams_between_two_events_at_once() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        client.get("/events")
        client.read_head()
        client.read_event()
        assert gateway.stop(20) < 2
        assert client.read_rest() == b""
        assert client.ended == "fin"  # without a last chunk
        assert gateway.ending(event="stream_ended") == "drain"
        assert origin.closed(0)


def test_stopping_gives_a_cut_event_time_and_then_ends_it() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: half"], end="hold")
        client.get("/events")
        client.read_head()
        client.read_chunk()
        assert 0.3 < gateway.stop(0.8) < 1.2
        assert client.read_rest() == b""
        assert gateway.ending(event="stream_ended") == "drain"


def test_stopping_lets_requests_end_even_after_connections_have_closed_before() -> None:
    with Origin() as origin, served(origin) as gateway:
        assert get(gateway.port, "/hello").status == 200
        gateway.wait_counter("connections_open", 0)
        client = Client(gateway.port)
        client.get("/mysleep?seconds=0.4")
        origin.request(1)
        took = gateway.stop(20)
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (200, b"close")
        assert client.read_end() == "fin"
        client.close()
        assert took < 5
        assert gateway.ending(count=2) == "complete"


def test_stopping_answers_what_has_no_response_yet_with_503() -> None:
    async def never(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        client.get("/never")
        origin.request(0)
        assert gateway.stop(0.4) < 0.8
        assert client.read_response().status == 503
        assert gateway.ending() == "drain"
        assert origin.closed(0)


def test_stopping_keeps_its_time_with_a_client_that_takes_nothing() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:

        async def flood(_: Received, wire: Wire) -> None:
            await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
            while True:
                await wire.chunk(A * 1000)

        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: gateway.call(lambda: any(one.is_blocked for one in gateway.gateway._connections)), "blocked")
        assert gateway.stop(0.5) < 1.0
        assert gateway.ending(event="stream_ended") == "drain"


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
