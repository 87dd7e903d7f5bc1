from __future__ import annotations

from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, eventually, route
from tests.server.noting_plugin import CATALOG, NOTES

ANSWERING = ["on_request", "on_route"]


@pytest.fixture(autouse=True)
def _no_notes() -> None:
    NOTES.clear()


def served(origin: Origin, plugins: dict[str, Any], rule: dict[str, Any] | None = None) -> RunningGateway:
    changes = [
        route("1", "/hello*", origin.address, plugins=plugins),
        route("2", "/*", origin.address, plugins=plugins),
    ]
    if rule is not None:
        changes.append(change("global_rules", "1", {"plugins": rule}))
    return RunningGateway(changes, catalog=CATALOG)


def notes_of(label: str, *phases: str) -> list[str]:
    return [f"{label}.{phase}" for phase in phases]


def test_phases_run_in_order_and_global_rules_go_first() -> None:
    plugins = {"noting": {"label": "n"}, "chunks": {"label": "c"}}
    with Origin() as origin, served(origin, plugins, {"noting": {"label": "g"}}) as gateway:
        response = get(gateway.port, "/hello")
        assert response.body == b"hello world\n"
        assert [one for one, _ in response.head.fields if one.startswith(b"X-Seen")] == [
            b"X-Seen-g",
            b"X-Seen-n",
            b"X-Seen-c",
        ]
        assert origin.request(0).get_all(b"x-target") == [origin.address.encode()] * 3
        gateway.record(event="noted", count=3)
        records = gateway.records("noted")
        assert [one["label"] for one in records] == ["g", "n", "c"]
        assert {one["status"] for one in records} == {"200"}
    phases = ["on_upstream_request", "on_response"]
    assert [
        *notes_of("g", *ANSWERING),
        *("n.on_request", "c.on_request", "n.on_route", "c.on_route"),
        *(f"{label}.{phase}" for phase in phases for label in "gnc"),
        "c.on_chunk",
        *("g.on_end", "n.on_end", "c.on_end"),
    ] == NOTES


@pytest.mark.parametrize("phase", ANSWERING)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_plugins_answer_ends_the_request_phases(phase: str, method: bytes) -> None:
    plugins = {"noting": {"label": "n", "answers_in": phase}, "chunks": {"label": "c"}}
    with Origin() as origin, served(origin, plugins) as gateway, Client(gateway.port) as client:
        for _ in range(2):
            client.send(method + b" /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            response = client.read_response()
            assert (response.status, response.get(b"x-answer")) == (418, b"n")
            assert response.get(b"content-length") == b"15"
            assert response.body == (b"short and stout" if method == b"GET" else b"")
            assert b"x-seen-n" in response.head
            assert b"x-seen-c" in response.head
        assert origin.connections_opened == 0
        record = gateway.record(count=2)
        assert (record["ending"], record["bytes"]) == ("refused", len(response.body))
    assert not {"c.on_chunk", "n.on_upstream_request"} & set(NOTES)
    assert NOTES.count("c.on_end") == 2


def test_global_rules_run_where_no_route_matches() -> None:
    with Origin() as origin:
        changes = [
            route("1", "/hello", origin.address, plugins={"noting": {"label": "n"}}),
            change("global_rules", "1", {"plugins": {"noting": {"label": "g"}}}),
        ]
        with RunningGateway(changes, catalog=CATALOG) as gateway:
            response = get(gateway.port, "/nowhere")
            assert (response.status, response.body) == (404, b'{"error_msg":"404 Route Not Found"}\n')
            assert b"x-seen-g" in response.head
            assert gateway.ending() == "refused"
    assert notes_of("g", *ANSWERING, "on_response", "on_end") == NOTES


def test_a_global_rule_answers_before_the_route() -> None:
    with Origin() as origin:
        rule = {"noting": {"label": "g", "answers_in": "on_route"}}
        with served(origin, {"noting": {"label": "n"}}, rule) as gateway:
            assert get(gateway.port, "/hello").get(b"x-answer") == b"g"
    assert "n.on_request" not in NOTES


def test_on_response_sees_the_gateways_own_error_pages() -> None:
    plugins = {"noting": {"label": "n"}}
    with RunningGateway([route("1", "/*", plugins=plugins)], catalog=CATALOG) as gateway:
        response = get(gateway.port, "/")
        assert (response.status, b"x-seen-n" in response.head) == (503, True)


def test_on_upstream_request_starts_anew_for_each_target() -> None:
    async def slam(_: Received, wire: Wire) -> None:
        wire.rst()

    with Origin() as one, Origin() as two:
        one.on("/", slam)
        two.on("/", slam)
        plugins = {"noting": {"label": "n"}}
        with RunningGateway([route("1", "/*", one.address, two.address, plugins=plugins)], catalog=CATALOG) as gateway:
            assert get(gateway.port, "/").status == 502
        for origin in (one, two):
            assert origin.request(0).get_all(b"x-target") == [origin.address.encode()]


def test_on_chunk_may_change_the_length() -> None:
    with Origin() as origin, served(origin, {"chunks": {"drops": "world"}}) as gateway:
        response = get(gateway.port, "/hello")
        assert response.body == b"hello \n"
        assert response.get(b"content-length") is None
        assert response.get(b"transfer-encoding") == b"chunked"
        assert gateway.record()["bytes"] == 7


def test_a_piece_that_on_chunk_drops_whole_is_no_end() -> None:
    with Origin() as origin, served(origin, {"chunks": {"drops": "gone"}}) as gateway, Client(gateway.port) as client:
        stream = origin.events("/plain", steps=[b"gone", b"stays"], fields=[])
        client.get("/plain")
        client.read_head()
        stream.confirm(0)
        assert client.read_chunk().data == b"stays"
        stream.confirm(1)
        assert client.read_body() == b""


def test_on_event_drops_events_and_leaves_the_others_untouched() -> None:
    steps = [b"data: a\n\n", b": secret\ndata: x\n\n", b"data:b\r\n\r\n"]
    with Origin() as origin, served(origin, {"events": {"drops": "secret"}}) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=steps)
        client.get("/events")
        client.read_head()
        assert client.read_event().data == steps[0]
        stream.confirm(0)
        stream.confirm(1)
        assert client.read_event().data == steps[2]
        stream.confirm(2)
        assert client.read_body() == b""
        assert gateway.record(event="stream_ended")["events"] == 2


def test_on_event_sees_events_only() -> None:
    with Origin() as origin, served(origin, {"events": {}}) as gateway:
        assert get(gateway.port, "/hello").get(b"content-length") == b"12"
    assert "p.on_event" not in NOTES


# A plugin that raises.


@pytest.mark.parametrize("phase", [*ANSWERING, "on_upstream_request", "on_response"])
def test_a_plugin_that_raises_before_the_response_makes_it_a_500(phase: str) -> None:
    with Origin() as origin, served(origin, {"noting": {"label": "n", "raises_in": phase}}) as gateway:
        with Client(gateway.port) as client:
            for _ in range(2):
                client.get("/hello")
                response = client.read_response()
                assert response.status == 500
                assert b"<h1>500 Internal Server Error</h1>" in response.body
        assert gateway.ending(count=2) == "gateway_error"
        eventually(
            lambda: gateway.call(lambda: not gateway.gateway.pools.usage.open), "close of the upstream connection"
        )
    assert NOTES.count("n.on_end") == 2


def test_a_plugin_that_raises_on_a_404() -> None:
    rule = {"noting": {"label": "g", "raises_in": "on_response"}}
    with RunningGateway([change("global_rules", "1", {"plugins": rule})], catalog=CATALOG) as gateway:
        assert get(gateway.port, "/").status == 500


@pytest.mark.parametrize(
    ("name", "phase", "path", "event"),
    [("chunks", "on_chunk", "/hello", "request_ended"), ("events", "on_event", "/events", "stream_ended")],
)
def test_a_plugin_that_raises_in_the_body_breaks_it_off(name: str, phase: str, path: str, event: str) -> None:
    with Origin() as origin, served(origin, {name: {"raises_in": phase}}) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: a\n\n"])
        client.get(path)
        assert client.read_head().status == 200
        assert b"0\r\n\r\n" not in client.read_rest()
        assert gateway.ending(event=event) == "gateway_error"
        assert origin.closed(0)


def test_a_plugin_that_raises_at_the_end_disturbs_nobody() -> None:
    plugins = {"noting": {"label": "n", "raises_in": "on_end"}, "chunks": {"label": "c"}}
    with Origin() as origin, served(origin, plugins) as gateway, Client(gateway.port) as client:
        for path in ("/hello", "/hello"):
            client.get(path)
            assert client.read_response().status == 200
        assert gateway.ending(count=2) == "complete"
    assert NOTES.count("c.on_end") == 2


# The built-in plugins over the wire.


def test_the_sse_plugins_headers_are_on_every_response_of_the_route() -> None:
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address, plugins={"sse": {}})]) as gateway:
        for path, status in (("/hello", 200), ("/server_error", 500)):
            response = get(gateway.port, path)
            assert response.status == status
            assert response.get(b"content-type") == b"text/event-stream; charset=utf-8"
            assert response.get(b"x-accel-buffering") == b"no"
            assert response.get(b"cache-control") == b"no-cache"
            assert response.get(b"connection") == b"keep-alive"
        closing = request(gateway.port, b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert closing.get(b"connection") == b"close"


@pytest.mark.parametrize(("sent", "asked"), [(b"GET", "HEAD"), (b"HEAD", "GET")])
def test_a_method_that_a_plugin_changes_leaves_the_clients_framing_whole(sent: bytes, asked: str) -> None:
    plugins = {"proxy-rewrite": {"method": asked}}
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address, plugins=plugins)]) as gateway:
        with Client(gateway.port) as client:
            for _ in range(2):
                client.send(sent + b" /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                response = client.read_response()
                assert (response.status, response.body) == (200, b"")
        assert {one.method.decode() for one in origin.requests} == {asked}


def test_head_that_a_plugin_makes_get_ends_with_the_head() -> None:
    with Origin() as origin:
        origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"], end="hold")
        plugins = {"proxy-rewrite": {"method": "GET"}}
        changes = [route("1", "/*", origin.address, plugins=plugins)]
        with RunningGateway(changes) as gateway, Client(gateway.port) as client:
            for number in range(2):
                client.send(b"HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n")
                response = client.read_response()
                assert (response.status, response.get(b"content-type")) == (200, b"text/event-stream")
                assert origin.closed(number)
                record = gateway.record(count=number + 1)
                assert (record["ending"], record["bytes"], "events" in record) == ("complete", 0, False)
            assert gateway.counter("streams_opened") == 0


@pytest.mark.parametrize("path", ["/hello", "/events"])
def test_a_connection_closes_where_a_plugin_says_so(path: str) -> None:
    plugins = {"sse": {"connection_header": "close"}}
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address, plugins=plugins)]) as gateway:
        stream = origin.events("/events", steps=[b"data: a\n\n"])
        stream.confirm(0)
        with Client(gateway.port) as client:
            client.get(path)
            assert client.read_response().head.get_all(b"connection") == [b"close"]
            assert client.read_end() == "fin"
