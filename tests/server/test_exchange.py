from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import End, Framing, Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, change, eventually, route, upstream
from tests.server.dead_ends import blackhole, closed_port

from headgate.server.http1_connection import WRITE_BUFFER_BYTES

EVENTS = [b"data: a\n\n", b": hello\n\n", b"id: 2\nevent: x\ndata: b\n\n", b"data: c\r\n\r\n"]
PAGE_503 = b"<h1>503 Service Temporarily Unavailable</h1>"
TIMEOUT = {"connect": 5, "send": 5, "read": 0.3}


def served(origin: Origin, **fields: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address, **fields)])


# Streams.


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_event_arrives_before_the_next_one_is_made(framing: Framing) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=EVENTS, framing=framing)
        client.get("/events")
        assert client.read_head().status == 200
        for number, event in enumerate(EVENTS):
            assert client.read_event().data == event
            stream.confirm(number)
        assert client.read_body() == b""
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["events"], record["bytes"]) == ("complete", 3, len(b"".join(EVENTS)))
        # The loop's clock has milliseconds, so all of them may be 0.
        assert 0 <= record["first_byte_s"] <= record["first_event_s"] <= record["duration_s"]


def test_the_head_is_passed_on_before_there_is_a_body() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[], end="hold")
        client.get("/events")
        assert client.read_head().get(b"transfer-encoding") == b"chunked"
        gateway.record(event="stream_opened")


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream", True),
        (b"text/event-stream;charset=utf-8", True),
        (b"TEXT/EVENT-STREAM ; charset=utf-8", True),
        (b"text/plain", False),
        (b"text/event-streams", False),
        (b"", False),
    ],
)
def test_an_event_stream_is_known_by_its_media_type(content_type: bytes, is_stream: bool) -> None:
    with Origin() as origin, served(origin) as gateway:
        fields = [(b"Content-Type", content_type)]
        origin.events("/events", steps=[b"data: a\n\n"], fields=fields).confirm_all()
        assert get(gateway.port, "/events").body == b"data: a\n\n"
        record = gateway.record(event="stream_ended" if is_stream else "request_ended")
        assert record.get("events") == (1 if is_stream else None)


def test_an_encoded_event_stream_is_passed_on_and_its_events_not_counted() -> None:
    with Origin() as origin, served(origin) as gateway:
        fields = [(b"Content-Type", b"text/event-stream"), (b"Content-Encoding", b"gzip")]
        origin.events("/events", steps=[b"\x1f\x8b\n\n"], fields=fields).confirm_all()
        response = get(gateway.port, "/events")
        assert (response.body, response.get(b"content-encoding")) == (b"\x1f\x8b\n\n", b"gzip")
        assert "events" not in gateway.record(event="stream_ended")


def test_head_on_an_event_route_does_not_hang() -> None:
    with Origin() as origin, served(origin) as gateway:

        async def stream(_: Received, wire: Wire) -> None:
            await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))

        origin.on("/events", stream)
        response = request(gateway.port, b"HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (response.status, response.get(b"content-type")) == (200, b"text/event-stream")
        assert gateway.ending() == "complete"


CUTS: list[tuple[Framing, End, str]] = [
    ("chunked", "fin", "upstream_eof"),
    ("chunked", "rst", "upstream_reset"),
    ("close", "rst", "upstream_reset"),
]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("framing", "end", "ending"), CUTS)
def test_a_stream_that_its_upstream_cuts_is_cut_for_the_client(
    framing: Framing, end: End, ending: str, version: str
) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"], framing=framing, end=end)
        client.send(f"GET /events HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        head = client.read_head()
        assert client.read_event().data == b"data: a\n\n"
        stream.confirm(0)
        assert client.read_event().data == b"data: b\n\n"
        stream.confirm(1)
        assert client.read_rest() == b""
        is_close_delimited = head.get(b"transfer-encoding") is None
        assert client.ended == ("rst" if is_close_delimited else "fin")
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["bytes"]) == (ending, 18)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_sized_body_that_is_cut_stays_short(how: str, version: str) -> None:
    async def cut(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"100"))
        await wire.send(b"only this")
        await gate.wait()
        wire.fin() if how == "fin" else wire.rst()

    gate = Gate()
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/cut", cut)
        client.send(f"GET /cut HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        assert client.read_head().get(b"content-length") == b"100"
        assert client.read_until(b"this").data == b"only this"
        gate.open()
        assert client.read_rest() == b""
        assert client.ended == "fin"
        assert gateway.ending() == ("upstream_eof" if how == "fin" else "upstream_reset")


@pytest.mark.parametrize("garbage", [b"zz\r\n", b"5\r\nabcdefg\r\n", b"-1\r\n", b"\r\n\r\n"])
def test_a_body_that_breaks_its_own_framing_is_broken_off(garbage: bytes) -> None:
    async def babble(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"good")
        await gate.wait()
        await wire.send(garbage)
        await wire.gone()

    gate = Gate()
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/babble", babble)
        client.get("/babble")
        client.read_head()
        assert client.read_chunk().data == b"good"
        gate.open()
        assert b"0\r\n\r\n" not in client.read_rest()
        assert client.ended == "fin"
        assert gateway.ending() == "upstream_protocol_error"
        assert origin.closed(0)


def test_a_slow_client_pauses_the_upstream_and_gets_every_byte() -> None:
    events = 20_000  # 42 MB, more than the kernel takes for a socket (tcp_rmem, tcp_wmem) however fast it comes
    event = b"data: " + bytes(range(97, 123)) * 80 + b"\n\n"
    sent: list[int] = []

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
        for number in range(events):
            await wire.chunk(event)
            sent.append(number)
        await wire.last_chunk()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:
        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: gateway.call(lambda: paused(gateway)), "pause")
        unsent = gateway.call(lambda: [one.transport.get_write_buffer_size() for one in gateway.gateway._connections])
        assert unsent[0] < WRITE_BUFFER_BYTES + 2 * 262144
        assert len(sent) < events
        assert client.read_body() == event * events
        assert gateway.record(event="stream_ended")["events"] == events


def paused(gateway: RunningGateway) -> bool:
    return any(one.is_blocked for one in gateway.gateway._connections)


# The client leaves while its target is being reached.


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_leaves_while_connecting(how: str) -> None:
    with blackhole() as address, RunningGateway([route("1", "/*", address)]) as gateway, Client(gateway.port) as client:
        client.get("/")
        gateway.wait_counter("requests", 1)
        client.reset() if how == "rst" else client.half_close()
        assert gateway.ending() == "client_gone"
        eventually(lambda: gateway.call(lambda: not gateway.gateway._tasks), "end of the task")


def test_a_client_that_sends_its_request_and_leaves_at_once() -> None:
    with Origin() as origin, served(origin) as gateway:
        for _ in range(20):
            with Client(gateway.port) as client:
                client.get("/hello")
                client.half_close()
                client.read_rest()
        gateway.record(count=20)
        assert get(gateway.port, "/hello").status == 200


def test_upstream_and_client_end_at_the_same_time() -> None:
    gate = Gate()

    async def end(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"5"))
        await wire.send(b"12")
        await gate.wait()
        await wire.send(b"345")

    with Origin() as origin, served(origin) as gateway:
        origin.on("/end", end)
        clients = [Client(gateway.port) for _ in range(30)]
        for client in clients:
            client.get("/end")
            client.read_head()
        gate.open()
        for number, client in enumerate(clients):
            client.reset() if number % 2 else client.close()
        gateway.record(count=30)
        assert {one["ending"] for one in gateway.records()} <= {"complete", "client_gone"}
        assert get(gateway.port, "/hello").body == b"hello world\n"


def test_half_read_responses_are_never_pooled() -> None:
    async def half(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"1000000"))
        await wire.send(b"half")
        await wire.gone()

    with Origin() as origin, served(origin) as gateway:
        origin.on("/half", half)
        for _ in range(5):
            with Client(gateway.port) as client:
                client.get("/half")
                client.read_head()
                client.read_until(b"half")
        gateway.record(count=5)
        assert get(gateway.port, "/hello").body == b"hello world\n"
        assert origin.requests_by_connection == [1, 1, 1, 1, 1, 1]
        gateway.wait_counter("upstream_connections_open", 1)


# Read timeouts.


def test_an_event_stream_has_no_read_timeout_unless_one_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.server.upstream_head.DEFAULT_READ_TIMEOUT_S", 0.2)
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"])
        plain = origin.events("/plain", steps=[b"a", b"b"], fields=[(b"Content-Type", b"text/plain")])
        with Client(gateway.port) as other:
            client.get("/events")
            client.read_head()
            assert client.read_event().data == b"data: a\n\n"
            other.get("/plain")
            other.read_head()
            assert other.read_chunk().data == b"a"
            assert other.read_rest() == b""  # the default applies to it: it is cut while the stream goes on
        assert gateway.ending() == "upstream_stall"
        stream.confirm(0)
        assert client.read_event().data == b"data: b\n\n"
        stream.confirm(1)
        assert client.read_body() == b""
        plain.confirm_all()


def test_a_configured_read_timeout_applies_to_an_event_stream() -> None:
    with Origin() as origin, served(origin, timeout=TIMEOUT) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: a\n\n"])
        client.get("/events")
        client.read_head()
        client.read_event()
        began = time.monotonic()
        assert client.read_rest() == b""
        assert time.monotonic() - began >= 0.25
        assert gateway.ending(event="stream_ended") == "upstream_stall"
        assert origin.closed(0)


@pytest.mark.parametrize("plugin_s", [0, 3600])
def test_the_plugins_read_timeout_goes_before_the_routes(plugin_s: int) -> None:
    plugins = {"sse": {"proxy_read_timeout": plugin_s}}
    with (
        Origin() as origin,
        served(origin, timeout=TIMEOUT, plugins=plugins) as gateway,
        Client(gateway.port) as client,
        Client(gateway.port) as other,
    ):
        stream = origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"])
        client.get("/events")
        client.read_head()
        client.read_event()
        other.get("/mysleep?seconds=0.6")
        assert other.read_response().status == 200
        stream.confirm(0)
        assert client.read_event().data == b"data: b\n\n"
        stream.confirm(1)


def test_the_plugins_read_timeout_cuts() -> None:
    plugins = {"sse": {"proxy_read_timeout": 1}}
    with Origin() as origin, served(origin, plugins=plugins) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: a\n\n"])
        client.get("/events")
        client.read_head()
        client.read_event()
        assert client.read_rest() == b""
        assert gateway.ending(event="stream_ended") == "upstream_stall"


def test_no_head_in_time_is_504() -> None:
    with Origin() as origin, served(origin, timeout=TIMEOUT) as gateway:
        response = get(gateway.port, "/mysleep?seconds=20")
        assert response.status == 504
        assert b"<h1>504 Gateway Time-out</h1>" in response.body
        record = gateway.record()
        assert (record["ending"], record["error"]) == ("upstream_unreachable", "read_timeout")
        assert origin.closed(0)


# Targets that fail.


def test_a_refused_connection_is_502() -> None:
    with closed_port() as address, RunningGateway([route("1", "/*", address)]) as gateway:
        response = get(gateway.port, "/")
        assert response.status == 502
        assert b"<h1>502 Bad Gateway</h1>" in response.body
        assert response.get(b"content-type") == b"text/html; charset=utf-8"
        record = gateway.record()
        assert (record["ending"], record["error"]) == ("upstream_unreachable", "connect_refused")


def test_a_target_that_does_not_answer_is_504() -> None:
    timeout = {"connect": 0.2, "send": 1, "read": 1}
    with blackhole() as address, RunningGateway([route("1", "/*", address, timeout=timeout)]) as gateway:
        assert get(gateway.port, "/").status == 504
        assert gateway.record()["error"] == "connect_timeout"


@pytest.mark.parametrize(
    "fields",
    [
        {"upstream": upstream("no-such-host.invalid:80")},
        {"upstream": upstream()},
        {"upstream": {"nodes": {"127.0.0.1:1": 0}}},
        {"upstream_id": "none"},
        {"plugins": {"proxy-buffering": {}}},
        {"service_id": "none"},
    ],
)
def test_without_a_target_the_answer_is_503(fields: dict[str, Any]) -> None:
    with RunningGateway([route("1", "/*", **fields)]) as gateway:
        for _ in range(2):
            response = get(gateway.port, "/")
            assert response.status == 503
            assert PAGE_503 in response.body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"nonsense\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nX: " + bytes(1 << 20).replace(b"\0", b"x") + b"\r\n\r\n", "head_too_large"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200_000 + b"\r\n", "head_too_large"),
        (b"", "upstream_eof"),
        (b"HTTP/1.1 200 OK\r\nX: ", "upstream_eof"),
    ],
    ids=lambda one: repr(one)[:60],
)
def test_what_is_no_response_is_502(answer: bytes, error: str) -> None:
    async def babble(_: Received, wire: Wire) -> None:
        await wire.send(answer)
        wire.fin()

    with Origin() as origin, served(origin) as gateway:
        origin.on("/babble", babble)
        assert get(gateway.port, "/babble").status == 502
        record = gateway.record()
        assert (record["ending"], record["error"]) == ("upstream_unreachable", error)


@pytest.mark.parametrize(("status", "passed"), [(200, 200), (299, 299), (404, 404), (500, 500), (599, 599), (600, 502)])
def test_any_status_that_there_is_is_passed_on(status: int, passed: int) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 %d Odd words\r\nContent-Length: 1\r\n\r\nx" % status)

    with Origin() as origin, served(origin) as gateway:
        origin.on("/odd", answer)
        response = get(gateway.port, "/odd")
        assert response.status == passed
        if passed == status:
            assert (response.head.reason, response.body) == (b"Odd words", b"x")


# Further tries.


def test_a_refused_target_is_passed_over_for_any_method() -> None:
    with Origin() as origin, closed_port() as closed:
        nodes = [
            {"host": "127.0.0.1", "port": int(closed.partition(":")[2]), "weight": 1, "priority": 1},
            {"host": "127.0.0.1", "port": origin.port, "weight": 1, "priority": 0},
        ]
        with RunningGateway([route("1", "/*", upstream={"nodes": nodes})]) as gateway:
            assert get(gateway.port, "/hello").status == 200
            post = request(gateway.port, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            assert (post.status, post.body) == (200, b"body")
            assert gateway.record(count=2)["upstream"] == origin.address


def test_when_all_targets_are_tried_the_answer_is_502() -> None:
    with closed_port() as one, RunningGateway([route("1", "/*", one, "127.0.0.1:1", "127.0.0.2:1")]) as gateway:
        assert get(gateway.port, "/").status == 502


@pytest.mark.parametrize(("retries", "tries"), [(None, 3), (0, 1), (1, 2), (2, 3), (9, 3)])
def test_retries_are_counted(retries: int | None, tries: int) -> None:
    async def slam(_: Received, wire: Wire) -> None:
        wire.rst()

    with Origin() as one, Origin() as two, Origin() as three:
        origins = (one, two, three)
        for origin in origins:
            origin.on("/", slam)
        extra = {} if retries is None else {"retries": retries}
        where = upstream(*(origin.address for origin in origins), **extra)
        with RunningGateway([route("1", "/*", upstream=where)]) as gateway:
            assert get(gateway.port, "/").status == 502
            assert sum(len(origin.requests) for origin in origins) == tries
            assert all(len(origin.requests) <= 1 for origin in origins)


@pytest.mark.parametrize(("method", "tries"), [(b"GET", 2), (b"PUT", 2), (b"DELETE", 2), (b"POST", 1), (b"PATCH", 1)])
def test_what_may_have_had_an_effect_is_not_repeated(method: bytes, tries: int) -> None:
    async def slam(_: Received, wire: Wire) -> None:
        wire.rst()

    with Origin() as one, Origin() as two:
        one.on("/", slam)
        two.on("/", slam)
        with RunningGateway([route("1", "/*", one.address, two.address)]) as gateway:
            assert request(gateway.port, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").status == 502
            assert len(one.requests) + len(two.requests) == tries


def test_a_body_that_was_sent_is_not_sent_again() -> None:
    async def read_and_slam(received: Received, wire: Wire) -> None:
        await received.body()
        wire.rst()

    with Origin() as one, Origin() as two:
        one.on("/", read_and_slam)
        two.on("/", read_and_slam)
        with RunningGateway([route("1", "/*", one.address, two.address)]) as gateway:
            raw = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
            assert request(gateway.port, raw).status == 502
            assert len(one.requests) + len(two.requests) == 1


def test_retry_timeout_ends_the_tries() -> None:
    async def slow(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.4)
        wire.rst()

    with Origin() as one, Origin() as two, Origin() as three:
        origins = (one, two, three)
        for origin in origins:
            origin.on("/", slow)
        where = upstream(*(origin.address for origin in origins), retry_timeout=0.5)
        with RunningGateway([route("1", "/*", upstream=where)]) as gateway:
            assert get(gateway.port, "/").status == 502
            assert sum(len(origin.requests) for origin in origins) == 2


def test_a_5xx_of_the_upstream_is_an_answer_and_not_tried_again() -> None:
    with Origin() as one, Origin() as two, RunningGateway([route("1", "/*", one.address, two.address)]) as gateway:
        assert get(gateway.port, "/server_error").status == 500
        assert len(one.requests) + len(two.requests) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /flaky HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"POST /flaky HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 502),
        (b"POST /flaky HTTP/1.1\r\nHost: a\r\n\r\n", 502),
    ],
)
def test_a_pooled_connection_that_was_stale_is_replaced_once(raw: bytes, status: int) -> None:
    async def flaky(_: Received, wire: Wire) -> None:
        if wire.requests > 1:
            wire.rst()
        else:
            await wire.respond(200, b"ok")

    with Origin() as origin, served(origin) as gateway:
        origin.on("/flaky", flaky)
        assert get(gateway.port, "/flaky").body == b"ok"
        assert request(gateway.port, raw).status == status
        assert origin.requests_by_connection == ([2, 1] if status == 200 else [2])


def test_a_fresh_connection_that_fails_is_not_repeated() -> None:
    async def slam(_: Received, wire: Wire) -> None:
        wire.rst()

    with Origin() as origin, served(origin) as gateway:
        origin.on("/slam", slam)
        assert get(gateway.port, "/slam").status == 502
        assert origin.requests_by_connection == [1]


# Which target, which Host.


def test_weights_share_the_requests_out() -> None:
    with Origin() as one, Origin() as two, Origin() as three, Origin() as none:
        nodes = {one.address: 3, two.address: 2, three.address: 1, none.address: 0}
        with RunningGateway([route("1", "/*", upstream={"nodes": nodes})]) as gateway, Client(gateway.port) as client:
            for _ in range(12):
                client.get("/hello")
                assert client.read_response().status == 200
        assert [len(origin.requests) for origin in (one, two, three, none)] == [6, 4, 2, 0]


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ({}, b"Exa.mple:123"),
        ({"pass_host": "pass"}, b"Exa.mple:123"),
        ({"pass_host": "node"}, None),
        ({"pass_host": "rewrite", "upstream_host": "other.test"}, b"other.test"),
    ],
)
def test_the_host_that_the_target_is_sent(fields: dict[str, Any], host: bytes | None) -> None:
    with Origin() as origin:
        with RunningGateway([route("1", "/*", upstream=upstream(origin.address, **fields))]) as gateway:
            get(gateway.port, "/hello", host=b"Exa.mple:123")
        assert origin.request(0).get_all(b"host") == [host or origin.address.encode()]


# Routing by a form.


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/x-www-form-urlencoded", b"x=1&plan=gold&plan=none"),
        (
            b"multipart/form-data; boundary=cut",
            b'--cut\r\nContent-Disposition: form-data; name="plan"\r\n\r\ngold\r\n--cut--\r\n',
        ),
        (b"application/x-www-form-urlencoded", b"plan=gold&rest=" + b"r" * 500_000),
    ],
    ids=["urlencoded", "multipart", "large"],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_chooses_the_route_and_is_forwarded_whole(content_type: bytes, body: bytes, chunked: bool) -> None:
    changes = [change("routes", "gold", {"uri": "/echo", "vars": [["post_arg.plan", "==", "gold"]]})]
    with Origin() as origin:
        assert changes[0].value is not None
        changes[0].value["upstream"] = upstream(origin.address)
        with RunningGateway(changes) as gateway, Client(gateway.port) as client:
            for _ in range(2):
                head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: " + content_type + b"\r\n"
                if chunked:
                    framed = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in cut(body)) + b"0\r\n\r\n"
                    client.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + framed)
                else:
                    client.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                response = client.read_response()
                assert (response.status, response.body) == (200, body)
            assert gateway.record(count=2)["route"] == "gold"


def cut(body: bytes) -> list[bytes]:
    return [body[start : start + 10_000] for start in range(0, len(body), 10_000)]


@pytest.mark.parametrize("body", [b"plan=silver", b"nothing", b"plan=silver&rest=" + b"r" * 500_000])
def test_a_form_that_no_route_takes_is_404_and_the_next_request_is_served(body: bytes) -> None:
    with Origin() as origin:
        gold = route("gold", "/echo", origin.address, vars=[["post_arg.plan", "==", "gold"]])
        with RunningGateway([gold]) as gateway, Client(gateway.port) as client:
            form = b"Content-Type: application/x-www-form-urlencoded\r\n"
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\n" + form + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            response = client.read_response()
            assert response.status == 404
            if response.get(b"connection") != b"close":
                client.get("/nothing")
                assert client.read_response().status == 404
        assert origin.connections_opened == 0
