from __future__ import annotations

import time
from typing import ClassVar

import pytest
from tests.client import Client
from tests.origin import Gate, Origin, Received, Wire
from tests.origin_wire import Fields
from tests.running_gateway import RunningGateway, eventually, route, upstream
from tests.server.policy_plugin import governed

from headgate.plugins.api import Answer, Plugin, PluginConfig
from headgate.plugins.catalog import Catalog
from headgate.server.exchange import Exchange
from headgate.stream.ending import Ending
from headgate.stream.policy import StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.request import ResponseHead

A = b"data: a\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
NDJSON = (b"Content-Type", b"application/x-ndjson")
CHUNKED = (b"Transfer-Encoding", b"chunked")
TOLD = TerminalEvent.parse('event: over\ndata: "$ending"')


def told(ending: str) -> bytes:
    return b'event: over\ndata: "%b"\n\n' % ending.encode()


def let_pass(seconds: float) -> None:
    """Let time pass that something must survive."""
    time.sleep(seconds)


# Which responses are streams.


@pytest.mark.parametrize(
    ("fields", "accept", "status", "is_stream"),
    [
        ([EVENT_STREAM, CHUNKED], b"*/*", 200, True),
        ([EVENT_STREAM, (b"Content-Length", b"9")], b"*/*", 200, True),
        ([EVENT_STREAM, CHUNKED], b"*/*", 404, True),
        ([NDJSON, CHUNKED], b"*/*", 200, True),
        ([NDJSON, (b"Content-Length", b"9")], b"*/*", 200, True),
        ([(b"Content-Type", b"Application/JSONL; charset=utf-8"), CHUNKED], b"*/*", 200, True),
        ([(b"Content-Type", b"application/json-seq"), CHUNKED], b"*/*", 200, True),
        ([(b"Content-Type", b"text/plain"), CHUNKED], b"text/event-stream", 200, True),
        ([CHUNKED], b"text/html, Text/Event-Stream;q=0.9", 200, True),
        ([CHUNKED], b"text/event-stream;q=0", 200, False),
        ([(b"Content-Type", b"text/plain"), (b"Content-Length", b"9")], b"text/event-stream", 200, False),
        ([(b"Content-Type", b"text/plain"), CHUNKED], b"text/event-stream", 500, False),
        ([(b"Content-Type", b"text/plain"), CHUNKED], b"*/*", 200, False),
        ([(b"Content-Type", b"application/json"), CHUNKED], b"application/x-ndjson", 200, False),
    ],
)
def test_a_stream_has_a_place_in_the_table_its_records_and_no_read_timeout(
    fields: list[Fields], accept: bytes, status: int, is_stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.server.upstream_head.DEFAULT_READ_TIMEOUT_S", 0.15)
    gate = Gate()

    async def slowly(_: Received, wire: Wire) -> None:
        await wire.head(status, *fields)
        await (wire.chunk(A[:4]) if CHUNKED in fields else wire.send(A[:4]))
        await gate.wait()
        await (wire.chunk(A[4:]) if CHUNKED in fields else wire.send(A[4:]))
        if CHUNKED in fields:
            await wire.last_chunk()

    with (
        Origin() as origin,
        RunningGateway([route("1", "/*", origin.address)]) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/*", slowly)
        client.get("/", (b"Accept", accept))
        assert client.read_head().status == status
        client.read_until(b"data")
        assert gateway.call(lambda: len(gateway.gateway.streams)) == is_stream
        assert gateway.counter("streams_open") == is_stream
        if not is_stream:
            client.read_rest()
            assert gateway.ending() == "upstream_stall"
            return
        opened = gateway.record(event="stream_opened")
        let_pass(0.4)
        gate.open()
        client.read_until(A[4:])
        ended = gateway.record(event="stream_ended")
        assert (ended["id"], ended["bytes"], ended["ending"]) == (opened["id"], len(A), "complete")
        assert ("events" in ended) is (EVENT_STREAM in fields)
        assert gateway.records("request_ended") == []
        assert gateway.call(lambda: len(gateway.gateway.streams)) == 0
        assert gateway.counter("streams_ended", ending="complete") == 1


@pytest.mark.parametrize(
    ("raw", "fields", "status", "untouched"),
    [
        (b"GET", [EVENT_STREAM, CHUNKED], 200, None),
        (b"POST", [EVENT_STREAM, CHUNKED], 200, None),
        (b"GET", [EVENT_STREAM, (b"Content-Length", b"18")], 200, "sized"),
        (b"GET", [EVENT_STREAM, CHUNKED, (b"Content-Encoding", b"br")], 200, "encoded"),
        (b"GET", [EVENT_STREAM, CHUNKED], 201, "status"),
        (b"GET", [NDJSON, CHUNKED], 200, "type"),
    ],
)
def test_why_nothing_is_written_into_a_stream(
    raw: bytes, fields: list[Fields], status: int, untouched: str | None
) -> None:
    gate = Gate()

    async def slowly(_: Received, wire: Wire) -> None:
        await wire.head(status, *fields)
        await (wire.chunk(A) if CHUNKED in fields else wire.send(A))
        await gate.wait()
        await wire.gone()

    policy = StreamPolicy(keepalive_s=0.1, terminal_event=TOLD)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", slowly)
        client.send(raw + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        assert client.read_event().data == A
        if untouched is None:
            assert client.read_event().data == b":\n\n"
        else:
            let_pass(0.4)
        (open_stream,) = gateway.call(lambda: list(gateway.gateway.streams.values()))
        assert open_stream.relay is not None
        gateway.call(lambda: open_stream.end_soon(Ending.DRAIN))
        rest = client.read_rest()
        assert (b"retry: " in rest, told("drain") in rest) == (untouched is None,) * 2
        assert untouched is None or rest == b""
        record = gateway.record(event="stream_ended")
        assert record.get("untouched") == untouched
        assert (record["keepalives"] > 0) is (untouched is None)
        if untouched is not None:
            assert gateway.counter("streams_untouched", reason=untouched) == 1
        gate.open()


# One head, whoever it comes from.


def exchange_of(gateway: RunningGateway) -> Exchange:
    """Give the one exchange that is under way."""

    def look() -> Exchange | None:
        exchanges = [one.exchange for one in gateway.gateway._connections]
        return next((one for one in exchanges if one is not None), None)

    return eventually(lambda: gateway.call(look))


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


@pytest.mark.parametrize("ending", [Ending.KILLED, Ending.REVOKED, Ending.ROUTE_REMOVED])
def test_what_is_ended_before_its_head_is_503(ending: Ending) -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        for number in range(2):
            client.get("/never")
            origin.request(number)
            exchange = exchange_of(gateway)
            gateway.call(lambda: exchange.stop(ending))  # noqa: B023 - called at once
            gateway.call(lambda: exchange.stop(Ending.GATEWAY_ERROR))  # noqa: B023 - too late
            assert client.read_response().status == 503
            assert gateway.ending(count=number + 1) == ending
            assert origin.closed(number)


def test_an_answer_to_an_exchange_that_has_ended_is_none() -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        client.get("/never")
        exchange = exchange_of(gateway)

        def answer_twice() -> None:
            exchange.reply.answer(Answer(418, b"first"), Ending.REFUSED)
            exchange.reply.answer(Answer(500, b"second"), Ending.GATEWAY_ERROR)

        gateway.call(answer_twice)
        response = client.read_response()
        assert (response.status, response.body) == (418, b"first")
        client.get("/hello")
        assert client.read_response().body == b"hello world\n"
        assert gateway.record(0, count=2)["ending"] == "refused"
        assert gateway.counter("responses", status="4xx") == 1
        assert gateway.counter("responses", status="5xx") == 0


@pytest.mark.parametrize(
    ("method", "status", "length", "body"),
    [
        (b"GET", 418, b"4", b"body"),
        (b"HEAD", 418, b"4", b""),
        (b"GET", 204, None, b""),
        (b"GET", 304, None, b""),
        (b"HEAD", 304, None, b""),
    ],
)
def test_an_answer_fits_the_request(method: bytes, status: int, length: bytes | None, body: bytes) -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/never", never)
        for _ in range(2):
            client.send(method + b" /never HTTP/1.1\r\nHost: a\r\n\r\n")
            exchange = exchange_of(gateway)
            gateway.call(lambda: exchange.reply.answer(Answer(status, b"body"), Ending.REFUSED))  # noqa: B023 - called at once
            response = client.read_response()
            assert (response.status, response.get(b"content-length"), response.body) == (status, length, body)
            gateway.wait_counter("connections_open", 1)


def test_a_body_that_the_client_must_not_get_is_not_read() -> None:
    """A plugin has made a 204 of it: the upstream's connection cannot be used again, the client's can."""

    class Empties(Plugin):
        name = "empties"
        priority = 1
        Config: ClassVar[type[PluginConfig]] = PluginConfig

        def on_response(self, _: object, head: ResponseHead) -> None:
            head.status = 204

    changes = [route("1", "/*", plugins={"empties": {}})]
    with Origin() as origin:
        assert changes[0].value is not None
        changes[0].value["upstream"] = upstream(origin.address)
        stream = origin.events("/*", steps=[A, A])
        with RunningGateway(changes, catalog=Catalog(plugins=[Empties])) as gateway, Client(gateway.port) as client:
            for number in range(2):
                client.get("/")
                response = client.read_response()
                assert (response.status, response.get(b"transfer-encoding")) == (204, None)
                assert gateway.ending(count=number + 1) == "complete"
                assert origin.closed(number)
        stream.confirm_all()


def test_a_response_to_a_client_that_still_blocks_waits_for_it() -> None:
    """Pipelined requests: the second response begins only when the first is taken."""
    body = bytes(30_000_000)

    async def large(_: Received, wire: Wire) -> None:
        await wire.respond(200, body)

    pipelined = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /events HTTP/1.1\r\nHost: a\r\n\r\n"
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway:
        origin.on("/large", large)
        origin.events("/events", steps=[A]).confirm_all()
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.send(pipelined)
            eventually(
                lambda: gateway.call(lambda: any(one.is_blocked for one in gateway.gateway._connections)),
                "a client that blocks",
            )
            assert client.read_response().body == body
            assert client.read_response().body == A


def test_a_response_is_counted_once_and_logged_once() -> None:
    with Origin() as origin, governed(StreamPolicy(), origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A]).confirm_all()
        for target in ("/hello", "/events", "/server_error", "/nothing"):
            client.get(target)
            client.read_response()
        gateway.record(count=3)
        gateway.record(event="stream_ended")
        assert [gateway.counter("responses", status=f"{n}xx") for n in (2, 3, 4, 5)] == [2, 0, 1, 1]
        assert gateway.counter("exchanges_ended", ending="complete") == 4
        assert len(gateway.records()) == 5  # a stream has two
