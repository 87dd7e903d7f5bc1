from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.observe.samples import Scrape, scrape_of
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, eventually, route, upstream
from tests.server.dead_ends import closed_port

A, B, C = (b"data: %c\n\n" % letter for letter in b"abc")
NODE = "127.0.0.1"


def served(origin: Origin, **settings: Any) -> RunningGateway:
    return RunningGateway([route("r", "/*", origin.address)], **settings)


def scrape(gateway: RunningGateway) -> Scrape:
    return scrape_of(gateway._counters)


def latency(seen: Scrape, kind: str, part: str, *, route: str = "r", **labels: str) -> float | None:
    node = NODE if route else ""
    return seen(f"apisix_http_latency_{part}", type=kind, route=route, service="", node=node, **labels)


def status(seen: Scrape, code: str, *, route: str = "r", node: str = NODE) -> float | None:
    return seen("apisix_http_status", code=code, route=route, service="", node=node)


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_counted_under_its_route_service_and_node() -> None:
    with Origin() as origin:
        changes = [
            change("services", "s", {"upstream": upstream(origin.address)}),
            route("with-service", "/hello", service_id="s"),
            route("r", "/specific_status", origin.address),
        ]
        with RunningGateway(changes) as gateway:
            for _ in range(3):
                assert get(gateway.port, "/hello").status == 200
            assert get(gateway.port, "/specific_status", (b"X-Test-Upstream-Status", b"418")).status == 418
            gateway.wait_counter("exchanges_ended", 4, ending="complete")
            seen = scrape(gateway)
    labels = {"route": "with-service", "service": "s", "node": NODE}
    assert seen("apisix_http_status", code="200", **labels) == 3
    assert status(seen, "4xx") == 1
    assert seen("apisix_bandwidth", type="egress", **labels) == 3 * len(b"hello world\n")
    for kind in ("request", "upstream", "apisix"):
        assert seen("apisix_http_latency_count", type=kind, **labels) == 3


def test_a_slow_upstream_shows_as_the_upstreams_time() -> None:
    async def slow(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.2)
        await wire.respond(200, b"done")

    with Origin() as origin, served(origin) as gateway:
        origin.on("/slow", slow)
        get(gateway.port, "/slow")
        gateway.wait_counter("exchanges_ended", 1, ending="complete")
        seen = scrape(gateway)
    for kind in ("request", "upstream"):
        assert latency(seen, kind, "bucket", le="100.0") == 0
        assert (latency(seen, kind, "sum") or 0) >= 199
    assert (latency(seen, "apisix", "sum") or 0) < (latency(seen, "upstream", "sum") or 0)


def test_what_no_upstream_answered_has_no_upstream_latency() -> None:
    with RunningGateway() as gateway:
        assert get(gateway.port, "/nowhere").status == 404
        assert request(gateway.port, b"nonsense\r\n\r\n").status == 400
        gateway.wait_counter("exchanges_ended", 2, ending="refused")
        seen = scrape(gateway)
    assert status(seen, "404", route="", node="") == 1
    assert status(seen, "400", route="", node="") == 1
    assert latency(seen, "request", "count", route="") == 1  # what is no request took no time
    assert latency(seen, "upstream", "count", route="") is None


def test_a_node_that_cannot_be_reached_is_named() -> None:
    with closed_port() as address, RunningGateway([route("r", "/*", address)]) as gateway:
        assert get(gateway.port, "/").status == 502
        gateway.wait_counter("exchanges_ended", 1, ending="upstream_unreachable")
        seen = scrape(gateway)
    assert status(seen, "502") == 1
    assert latency(seen, "upstream", "count") == 1


def test_a_client_that_leaves_before_the_head_is_a_499() -> None:
    async def silent(_: Received, wire: Wire) -> None:
        await wire.read()

    with Origin() as origin, served(origin) as gateway:
        origin.on("/silent", silent)
        with Client(gateway.port) as client:
            client.get("/silent")
            origin.request(0)
        gateway.wait_counter("exchanges_ended", 1, ending="client_gone")
        seen = scrape(gateway)
    assert status(seen, "499") == 1
    assert seen.total("headgate_responses_total") == 0


def test_bytes_of_bodies_are_counted_both_ways() -> None:
    async def swallow(received: Received, wire: Wire) -> None:
        await received.body()
        await wire.respond(200, b"x" * 30)

    with Origin() as origin, served(origin) as gateway:
        origin.on("/up", swallow)
        assert (
            request(gateway.port, b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n" + b"y" * 70).status
            == 200
        )
        gateway.wait_counter("exchanges_ended", 1, ending="complete")
        seen = scrape(gateway)
    labels = {"route": "r", "service": "", "node": NODE}
    assert seen("apisix_bandwidth", type="ingress", **labels) == 70
    assert seen("apisix_bandwidth", type="egress", **labels) == 30
    assert seen("headgate_downstream_sent_bytes_total") == 30
    assert seen("headgate_upstream_request_bytes_total") == 70


def test_a_tunnel_is_measured_to_its_head_and_its_bytes_counted() -> None:
    async def echo(_: Received, wire: Wire) -> None:
        await wire.head(101, (b"Upgrade", b"websocket"), (b"Connection", b"upgrade"))
        while data := await wire.read():
            await wire.send(data)
        wire.fin()

    upgrade = b"GET /talk HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with Origin() as origin:
        origin.on("/talk", echo)
        changes = [route("r", "/*", origin.address, enable_websocket=True)]
        with RunningGateway(changes) as gateway, Client(gateway.port) as client:
            client.send(upgrade)
            assert client.read_head().status == 101
            eventually(lambda: status(scrape(gateway), "101") == 1, "the head's count")
            assert latency(scrape(gateway), "request", "count") == 1
            client.send(b"twelve bytes")
            client.read_until(b"bytes")
            client.half_close()
            client.read_rest()
            gateway.wait_counter("exchanges_ended", 1, ending="complete")
            seen = scrape(gateway)
    assert (status(seen, "101"), latency(seen, "request", "count")) == (1, 1)
    assert seen("apisix_bandwidth", type="ingress", route="r", service="", node=NODE) == 12
    assert seen("apisix_bandwidth", type="egress", route="r", service="", node=NODE) == 12


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_is_in_every_number_and_its_life_in_no_latency() -> None:
    with Origin() as origin, served(origin, streams={"progress_s": 0.5}) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[A, B, C])
        client.get("/events")
        assert client.read_head().status == 200
        for step, event in enumerate((A, B)):
            assert client.read_event().data == event
            stream.confirm(step)
        assert client.read_event().data == C
        gateway.wait_counter("events", 3)
        progress = gateway.record(event="stream_progress")
        seen = scrape(gateway)
        assert (seen("headgate_streams_opened_total"), seen("headgate_streams_open")) == (1, 1)
        assert seen("headgate_stream_lifetime_seconds_count") == 0
        assert (status(seen, "200"), latency(seen, "request", "count")) == (1, 1)
        assert seen("headgate_events_total") == 3
        stream.confirm(2)
        client.read_body()
        ended = gateway.record(event="stream_ended")
        assert set(gateway.gateway.streams) == set()
        seen = scrape(gateway)
    assert (seen("headgate_streams_open"), seen("headgate_streams_ended_total", ending="complete")) == (0, 1)
    for name in ("open", "first_event", "lifetime"):
        assert seen(f"headgate_stream_{name}_seconds_count") == 1
    assert seen("headgate_stream_event_gap_seconds_count") == 2
    assert (seen("headgate_stream_lifetime_seconds_sum") or 0) >= progress["duration_s"] >= 0.5
    assert seen("headgate_stream_lifetime_seconds_sum") == pytest.approx(ended["duration_s"], abs=0.01)
    assert seen("headgate_stream_first_event_seconds_sum") == pytest.approx(ended["first_event_s"], abs=0.01)
    head_ms = 1000 * (seen("headgate_stream_open_seconds_sum") or 0)
    assert latency(seen, "request", "sum") == pytest.approx(head_ms, abs=5)
    assert head_ms < 1000 * progress["duration_s"]
    assert seen("apisix_bandwidth", type="egress", route="r", service="", node=NODE) == len(A + B + C)


def test_a_stream_that_opens_slowly_shows_in_the_latency() -> None:
    async def slow(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.2)
        await wire.respond(200, A, EVENT_STREAM)

    with Origin() as origin, served(origin) as gateway:
        origin.on("/events", slow)
        get(gateway.port, "/events")
        gateway.record(event="stream_ended")
        seen = scrape(gateway)
    assert latency(seen, "request", "bucket", le="100.0") == 0
    assert seen("headgate_stream_open_seconds_bucket", le="0.1") == 0
    assert seen("headgate_stream_open_seconds_bucket", le="+Inf") == 1


def test_a_stream_without_an_event_has_no_first_one() -> None:
    with Origin() as origin, served(origin) as gateway:
        origin.events("/events", steps=[b": nothing\n\n"]).confirm_all()
        get(gateway.port, "/events")
        gateway.record(event="stream_ended")
        seen = scrape(gateway)
    assert seen("headgate_stream_open_seconds_count") == 1
    assert seen("headgate_stream_first_event_seconds_count") == 0
    assert seen("headgate_stream_event_gap_seconds_count") == 0


@pytest.mark.parametrize(
    ("reason", "status", "fields"),
    [
        ("encoded", 200, [(b"Content-Encoding", b"br"), EVENT_STREAM]),
        ("sized", 200, [(b"Content-Length", b"9"), EVENT_STREAM]),
        ("type", 200, [(b"Content-Type", b"application/x-ndjson")]),
        ("status", 404, [EVENT_STREAM]),
    ],
)
def test_streams_that_stay_untouched_are_counted_by_why(
    reason: str, status: int, fields: list[tuple[bytes, bytes]]
) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(status, *fields, (b"Connection", b"close"))
        await wire.send(b"x" * 9)
        wire.fin()

    with Origin() as origin, served(origin) as gateway:
        origin.on("/events", answer)
        get(gateway.port, "/events")
        record = gateway.record(event="stream_ended")
        assert gateway.counter("streams_untouched", reason=reason) == 1
    assert record["untouched"] == reason


def test_keep_alives_are_counted_while_the_stream_runs() -> None:
    with (
        Origin() as origin,
        served(origin, streams={"keepalive_s": 0.2}) as gateway,
        Client(gateway.port) as client,
    ):
        stream = origin.events("/events", steps=[A])
        client.get("/events")
        client.read_head()
        assert client.read_event().data == A
        for _ in range(2):
            assert client.read_event().data == b":\n\n"
        eventually(lambda: gateway.counter("keepalives") >= 2, "keep-alives")
        stream.confirm_all()
        client.read_body()
        record = gateway.record(event="stream_ended")
        assert gateway.counter("keepalives") == record["keepalives"] >= 2
        assert gateway.counter("events") == record["events"] == 1


def test_a_client_that_takes_nothing_is_waited_for_and_that_is_counted() -> None:
    done = Gate()

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Connection", b"close"))
        while not done.is_open:
            await wire.send(b"data: " + b"x" * 65536 + b"\n\n")
        wire.fin()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: gateway.counter("stream_client_blocked_seconds") > 100_000, "blocked time")  # microseconds
        done.open()
        client.read_body()
        record = gateway.record(event="stream_ended")
        assert gateway.counter("stream_client_blocked_seconds") == pytest.approx(record["blocked_s"] * 1e6, abs=2)
    assert record["blocked_s"] >= 0.1


def with_events(gateway: RunningGateway, events: int) -> dict[str, Any] | None:
    """Give the first record of progress with so many events."""
    return next((one for one in gateway.records("stream_progress") if one["events"] == events), None)


def test_progress_is_told_only_where_it_is_asked_for() -> None:
    with Origin() as origin, served(origin, streams={"progress_s": 0.1}) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[A, B])
        client.get("/events?token=hush")
        client.read_head()
        client.read_event()
        first = eventually(lambda: with_events(gateway, 1))
        stream.confirm(0)
        client.read_event()
        second = eventually(lambda: with_events(gateway, 2))
        stream.confirm(1)
        client.read_body()
        ended = gateway.record(event="stream_ended")
        assert scrape(gateway)("headgate_stream_first_event_seconds_count") == 1  # though its counts were added twice
    assert set(ended) == {*first, "ending"}
    assert (first["id"], first["route"], first["upstream"]) == (ended["id"], "r", origin.address)
    assert first["target"] == "/events?token=***"
    assert (first["bytes"], second["bytes"], ended["bytes"]) == (len(A), len(A + B), len(A + B))
    assert first["duration_s"] < second["duration_s"] < ended["duration_s"]


def test_no_progress_is_told_by_default() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[A])
        client.get("/events")
        client.read_head()
        gateway.wait_counter("events", 1)  # added by the look that would also write
        stream.confirm_all()
        client.read_body()
        gateway.record(event="stream_ended")
        assert gateway.records("stream_progress") == []


def test_streams_of_a_gateway_that_stops_are_draining() -> None:
    half = Gate()

    async def half_an_event(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(A + b"data: ")
        await half.wait()
        await wire.chunk(b"b\n\n")
        await wire.read()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/events", half_an_event)
        client.get("/events")
        client.read_head()
        client.read_event()
        assert gateway.counter("streams_draining") == 0
        stopping = threading.Thread(target=lambda: gateway.stop(window_s=30))
        stopping.start()
        gateway.wait_counter("streams_draining", 1)
        assert gateway.counter("streams_open") == 1
        half.open()
        stopping.join()
        assert (gateway.counter("streams_draining"), gateway.counter("streams_open")) == (0, 0)
        seen = scrape(gateway)
        assert seen("headgate_streams_ended_total", ending="drain") == 1
        assert seen("headgate_stream_event_gap_seconds_count") == 1  # told, though no second was left for it


def test_what_others_report_is_counted() -> None:
    with RunningGateway() as gateway:
        accounts = gateway.gateway.accounts
        for outcome in ("passed", "next_upstream", "answered", "timeout", "too_large"):
            gateway.call(lambda outcome=outcome: accounts.peeked(outcome))  # type: ignore[misc]
            assert gateway.counter("peeks", outcome=outcome) == 1
        gateway.call(accounts.refused_by_event)
        gateway.call(lambda: accounts.tail_lost(7))
        assert (gateway.counter("refusals_as_events"), gateway.counter("tail_events_lost")) == (1, 7)
