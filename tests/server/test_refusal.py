from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.client import Client, Response, get, request
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, route, upstream
from tests.server.dead_ends import blackhole, closed_port
from tests.server.policy_plugin import catalog_with, governed

from headgate.plugins.api import Answer
from headgate.server.refusal import MAX_RETRY_S, as_event, of
from headgate.stream.policy import OnClientGone, Refusals, StreamPolicy
from headgate.wire.headers import Headers
from headgate.wire.request import ResponseHead
from headgate.wire.sse import EventCutter

STATUSES = (400, 401, 403, 404, 429, 500, 502, 503, 504)
LATER = {429, 502, 503, 504}
BROWSER = ((b"Accept", b"text/event-stream"), (b"Sec-Fetch-Mode", b"cors"))
RETRY_S = 2.0

Fields = tuple[tuple[bytes, bytes], ...]


def policy(refusals: str, **fields: Any) -> StreamPolicy:
    return StreamPolicy(refusals=Refusals(refusals), retry_s=RETRY_S, **fields)


async def refuse(received: Received, wire: Wire) -> None:
    """Answer with the status that is the path."""
    fields = [(b"Content-Type", b"text/plain"), (b"Retry-After", b"40"), (b"Set-Cookie", b"a=1")]
    await wire.respond(int(received.path[1:]), b"own words", *fields)


def said(response: Response, *, retry_s: float = RETRY_S) -> int:
    """Check that a response is a refusal by event, and give the status that the event tells."""
    assert (response.status, response.get(b"content-type")) == (200, b"text/event-stream")
    assert response.get(b"cache-control") == b"no-cache, no-transform"
    assert response.get(b"x-accel-buffering") == b"no"
    (event,) = EventCutter().feed(response.body)
    assert (event.type, event.id) == (b"refused", None)
    assert event.retry_ms is not None
    assert retry_s * 1000 <= event.retry_ms <= 2 * retry_s * 1000
    told = json.loads(event.data)
    assert set(told) == {"status", "reason"}
    status: int = told["status"]
    return status


# Which answers are told by an event, whoever made them.


@pytest.mark.parametrize("asked_by", [BROWSER, ((b"Accept", b"*/*"),)], ids=["browser", "other"])
@pytest.mark.parametrize("refusals", ["status", "sse", "auto"])
@pytest.mark.parametrize("made_by", ["plugin", "upstream"])
def test_only_later_is_told_by_an_event(made_by: str, refusals: str, asked_by: Fields) -> None:
    is_told = refusals == "sse" or (refusals == "auto" and asked_by is BROWSER)
    with Origin() as origin:
        changes = []
        for status in STATUSES:
            refusing = {"refusing": {"status": status}} if made_by == "plugin" else {}
            changes.append(route(str(status), f"/{status}", origin.address, plugins={"policy": {}, **refusing}))
            origin.on(f"/{status}", refuse)
        with (
            RunningGateway(changes, catalog=catalog_with(policy=policy(refusals))) as gateway,
            Client(gateway.port) as client,
        ):
            for count, status in enumerate(STATUSES, 1):
                client.get(f"/{status}", *asked_by)  # the connection goes on behind each of them
                response = client.read_response()
                is_turned = is_told and status in LATER
                if is_turned:
                    assert said(response, retry_s=40) == status
                    assert response.get(b"set-cookie") is None
                else:
                    assert response.status == status
                    assert response.body == (b"no" if made_by == "plugin" else b"own words")
                record = gateway.record(count=count)
                assert record["status"] == status
                is_passed_on = made_by == "upstream" and not is_turned
                assert record["ending"] == ("complete" if is_passed_on else "refused")
            assert gateway.counter("responses", status="4xx") == 5
            assert gateway.counter("responses", status="5xx") == 4
            assert gateway.counter("responses", status="2xx") == 0
            assert gateway.counter("refusals_as_events") == (len(LATER) if is_told else 0)
            assert gateway.counter("streams_opened") == 0
            assert gateway.counter("connections_accepted") == 1


@pytest.mark.parametrize("refusals", ["status", "sse"])
def test_headgates_own_failures_are_told_too(refusals: str) -> None:
    timeout = {"connect": 0.2, "send": 1, "read": 0.2}
    with Origin() as origin, closed_port() as closed, blackhole() as silent:
        changes = [
            route("502", "/refused", closed, plugins={"policy": {}}),
            route("504", "/silent", silent, plugins={"policy": {}}, timeout=timeout),
            route("503", "/nobody", plugins={"policy": {}}, upstream=upstream()),
            route("503-2", "/none", plugins={"policy": {}}),
            route("504-2", "/mysleep", origin.address, plugins={"policy": {}}, timeout=timeout),
        ]
        asked = {"/refused": 502, "/silent": 504, "/nobody": 503, "/none": 503, "/mysleep?seconds=20": 504}
        with (
            RunningGateway(changes, catalog=catalog_with(policy=policy(refusals))) as gateway,
            Client(gateway.port) as client,
        ):
            for count, (target, status) in enumerate(asked.items(), 1):
                client.get(target)
                response = client.read_response()
                assert (said(response) if refusals == "sse" else response.status) == status
                record = gateway.record(count=count)
                assert (record["status"], record["ending"]) == (status, "upstream_unreachable")
                assert record["error"]
            client.get("/elsewhere")
            assert client.read_response().status == 404  # no route, no policy


def test_a_defect_is_500_and_no_event() -> None:
    plugins = {"noting": {"raises_in": "on_response"}, "refusing": {"status": 503}}
    with governed(policy("sse"), plugins=plugins) as gateway, Client(gateway.port) as client:
        for count in (1, 2):
            client.get("/")
            assert client.read_response().status == 500
            assert gateway.ending(count=count) == "gateway_error"


def test_to_head_a_refusal_is_a_status() -> None:
    with governed(policy("sse"), plugins={"refusing": {"status": 503}}) as gateway, Client(gateway.port) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nSec-Fetch-Mode: cors\r\n\r\n")
        assert client.read_response().status == 503
        client.get("/")
        assert said(client.read_response(), retry_s=40) == 503


def test_an_http_1_0_client_is_told_in_a_body_with_a_length() -> None:
    with governed(policy("sse"), plugins={"refusing": {"status": 503}}) as gateway, Client(gateway.port) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        response = client.read_response()
        assert said(response, retry_s=40) == 503
        assert response.get(b"content-length") == str(len(response.body)).encode()
        assert client.read_end() == "fin"


def test_what_is_left_of_an_upload_is_dropped_with_its_refusal() -> None:
    with governed(policy("sse"), plugins={"refusing": {"status": 503}}) as gateway, Client(gateway.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        assert said(client.read_response(), retry_s=40) == 503
        client.get("/")
        assert said(client.read_response(), retry_s=40) == 503
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        assert client.read_response().get(b"connection") == b"close"
        assert client.read_end() == "fin"


def test_the_upstream_whose_refusal_was_turned_is_let_go_of() -> None:
    async def endless(_: Received, wire: Wire) -> None:
        await wire.head(503, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"wait")
        await wire.gone()

    with Origin() as origin, governed(policy("sse"), origin) as gateway:
        origin.on("/busy", endless)
        assert said(get(gateway.port, "/busy")) == 503
        assert origin.closed(0)
        assert gateway.counter("upstream_connections_opened") in {0, 1}


def test_a_refusal_for_nobody() -> None:
    """The client has left and its upstream may finish, but there is none."""
    timeout = {"connect": 0.3, "send": 1, "read": 1}
    finish = policy("sse", on_client_gone=OnClientGone.FINISH)
    with blackhole() as silent, governed(finish, silent, timeout=timeout) as gateway, Client(gateway.port) as client:
        client.get("/")
        gateway.wait_counter("requests", 1)
        client.half_close()
        assert client.read_rest() == b""
        record = gateway.record()
        assert (record["status"], record["ending"]) == (504, "client_gone")


# CORS: a browser tells a page of another origin nothing else.


def test_a_refusal_has_the_headers_of_cors() -> None:
    plugins = {"cors": {"allow_origins": "http://page.test"}}
    with closed_port() as closed, governed(policy("auto"), closed, plugins=plugins) as gateway:
        response = get(gateway.port, "/", *BROWSER, (b"Origin", b"http://page.test"))
        assert said(response) == 502
        assert response.get(b"access-control-allow-origin") == b"http://page.test"
        assert (
            get(gateway.port, "/", *BROWSER, (b"Origin", b"http://x.test")).get(b"access-control-allow-origin") is None
        )


def test_what_the_upstream_itself_allows_a_page_stays() -> None:
    async def busy(_: Received, wire: Wire) -> None:
        fields = [
            (b"Access-Control-Allow-Origin", b"http://page.test"),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"Vary", b"Origin"),
            (b"Content-Encoding", b"gzip"),
            (b"X-Else", b"1"),
        ]
        await wire.respond(503, b"zipped", *fields)

    with Origin() as origin, governed(policy("auto"), origin) as gateway:
        origin.on("/busy", busy)
        response = get(gateway.port, "/busy", *BROWSER)
        assert said(response) == 503
        assert response.get(b"access-control-allow-origin") == b"http://page.test"
        assert response.get(b"access-control-allow-credentials") == b"true"
        assert response.get(b"vary") == b"Origin"
        assert response.get(b"content-encoding") is None
        assert response.get(b"x-else") is None


# Who is told by an event where a route says `auto`.

ACCEPT = (b"Accept", b"text/event-stream")
CORS = (b"Sec-Fetch-Mode", b"cors")
MOZILLA = (b"User-Agent", b"Mozilla/5.0 (X11) Chrome/142")
ORIGIN = (b"Origin", b"http://a.test")
REFERER = (b"Referer", b"http://a.test/page")


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ((ACCEPT, CORS), True),
        ((ACCEPT, (b"Sec-Fetch-Mode", b"no-cors")), False),
        ((ACCEPT, (b"Sec-Fetch-Mode", b"navigate")), False),
        ((ACCEPT, (b"Sec-Fetch-Mode", b"navigate"), ORIGIN, MOZILLA), False),
        ((ACCEPT, (b"Sec-Fetch-Mode", b"same-origin"), ORIGIN, MOZILLA), False),
        ((ACCEPT,), False),
        ((ACCEPT, MOZILLA), False),
        ((ACCEPT, ORIGIN), False),
        ((ACCEPT, REFERER), False),
        ((ACCEPT, ORIGIN, MOZILLA), True),
        ((ACCEPT, REFERER, MOZILLA), True),
        ((ACCEPT, ORIGIN, (b"User-Agent", b"curl/8 (like Mozilla/5.0)")), False),
        ((ACCEPT, ORIGIN, (b"User-Agent", b"python-requests/2")), False),
        ((CORS,), False),
        ((CORS, ORIGIN, MOZILLA), False),
        (((b"Accept", b"*/*"), CORS), False),
        (((b"Accept", b""), CORS), False),
        (((b"Accept", b"text/*"), CORS), False),
        (((b"Accept", b"Text/Event-Stream"), CORS), True),
        (((b"Accept", b"text/html, text/event-stream;q=0.5 , */*;q=0.1"), CORS), True),
        (((b"Accept", b"text/html"), ACCEPT, CORS), True),
        (((b"Accept", b"text/event-stream ; charset=utf-8;q=0.001"), CORS), True),
        (((b"Accept", b"text/event-stream;q=0, */*"), CORS), False),
        (((b"Accept", b"*/*, text/event-stream; Q=0.000"), CORS), False),
        (((b"Accept", b"text/event-streams"), CORS), False),
        (((b"Accept", b"x-text/event-stream"), CORS), False),
    ],
)
def test_who_asks_as_an_event_source_does(fields: Fields, is_told: bool) -> None:
    with governed(policy("auto"), plugins={"refusing": {"status": 503}}) as gateway:
        assert get(gateway.port, "/", *fields).status == (200 if is_told else 503)
        lines = b"".join(b"%b: %b\r\n" % one for one in fields)
        for method in (b"POST", b"PUT", b"HEAD"):  # an EventSource asks with GET
            raw = method + b" / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
            assert request(gateway.port, raw).status == 503


def test_where_a_route_says_sse_everybody_is_told() -> None:
    with governed(policy("sse"), plugins={"refusing": {"status": 503}}) as gateway:
        for method in (b"GET", b"POST", b"DELETE"):
            assert request(gateway.port, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200


# The event.


@pytest.mark.parametrize(
    ("wait", "least_s"),
    [
        (None, RETRY_S),
        (b"0", RETRY_S),
        (b"1", RETRY_S),
        (b"7", 7),
        (b"0007", 7),
        (b"3600", 3600),
        (b"3601", MAX_RETRY_S),
        (b"999999999", MAX_RETRY_S),
        (b"9999999999", RETRY_S),
        (b"-7", RETRY_S),
        (b"7.5", RETRY_S),
        (b"", RETRY_S),
        (b"\xb2", RETRY_S),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", RETRY_S),
    ],
)
def test_a_retry_after_in_seconds_is_the_least_time(wait: bytes | None, least_s: float) -> None:
    head = ResponseHead(503, b"", Headers.of([] if wait is None else [(b"Retry-After", wait)]))
    answer = as_event(of(head), policy("sse"))
    match = re.search(rb"^retry: ([0-9]+)$", answer.body, re.MULTILINE)
    assert match is not None
    assert least_s * 1000 <= int(match[1]) <= 2 * least_s * 1000


def test_each_client_gets_a_time_of_its_own() -> None:
    bodies = {as_event(Answer(503), policy("sse")).body for _ in range(50)}
    assert len(bodies) > 25


def test_a_drain_that_finds_no_response_is_told_too() -> None:
    async def never(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as origin, governed(policy("sse"), origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        client.get("/never")
        origin.request(0)
        gateway.stop(window_s=0.2)
        response = client.read_response()
        assert said(response) == 503
        assert response.get(b"connection") == b"close"
        record = gateway.record()
        assert (record["status"], record["ending"]) == (503, "drain")


def test_a_changed_policy_holds_from_the_next_request_on() -> None:
    catalog = catalog_with(status=policy("status"), sse=policy("sse"))
    plugins: dict[str, Any] = {"refusing": {"status": 503}}
    with RunningGateway([route("1", "/", plugins={"status": {}, **plugins})], catalog=catalog) as gateway:
        assert get(gateway.port, "/").status == 503
        gateway.apply(change("routes", "1", {"uri": "/", "plugins": {"sse": {}, **plugins}}))
        assert get(gateway.port, "/").status == 200
