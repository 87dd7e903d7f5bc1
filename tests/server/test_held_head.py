from __future__ import annotations

import asyncio
import json

import pytest
from tests.client import Client, get, request
from tests.origin import Framing, Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually
from tests.server.dead_ends import blackhole, closed_port
from tests.server.peeking import BAD, CHUNKED, ERROR, EVENT_STREAM, GOOD, peeking, peeks, streams
from tests.server.policy_plugin import governed

from headgate.server.held_head import REQUEST_BYTES
from headgate.stream.peek_rules import PeekRule
from headgate.stream.policy import Refusals

# What matches goes to the next target.


def test_a_match_goes_to_the_next_target_and_the_client_sees_that_one_alone() -> None:
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.events("/*", steps=[BAD], end="hold", fields=[EVENT_STREAM, (b"X-From", b"bad")])
        streams(good, *GOOD, fields=[EVENT_STREAM, (b"X-From", b"good")])
        for count in (1, 2):
            client.get("/x?y=1", (b"X-Mine", b"1"))
            response = client.read_response()
            assert (response.status, response.body) == (200, b"".join(GOOD))
            assert response.head.get_all(b"x-from") == [b"good"]
            record = gateway.record(event="stream_ended", count=count)
            assert (record["upstream"], record["ending"], record["events"]) == (good.address, "complete", 2)
            assert bad.closed(count - 1)  # it is not read on
        assert bytes(client.raw).count(b"HTTP/1.1 200") == 2
        assert good.request(1).raw.replace(good.address.encode(), b"") == bad.request(1).raw.replace(
            bad.address.encode(), b""
        )
        assert peeks(gateway) == {"next_upstream": 2, "passed": 2}
        assert len(gateway.records("stream_opened")) == 2
        assert gateway.counter("exchanges_ended", ending="complete") == 2


def test_every_target_is_asked_once() -> None:
    with Origin() as one, Origin() as two, Origin() as three, Origin() as four:
        for bad in (one, two, three):
            streams(bad, BAD)
        streams(four, *GOOD)
        with governed(peeking(), one, two, three, four) as gateway:
            assert get(gateway.port, "/").body == b"".join(GOOD)
            assert [len(origin.requests) for origin in (one, two, three, four)] == [1, 1, 1, 1]
            assert peeks(gateway) == {"next_upstream": 3, "passed": 1}


def test_how_the_event_is_cut_into_reads_changes_nothing() -> None:
    async def in_two(received: Received, wire: Wire) -> None:
        cut = int(received.query)
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(BAD[:cut])
        await asyncio.sleep(0)
        await wire.chunk(BAD[cut:])
        await wire.gone()

    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.on("/*", in_two)
        streams(good, *GOOD)
        for cut in range(1, len(BAD)):
            client.get(f"/?{cut}")
            assert client.read_response().body == b"".join(GOOD)
        assert peeks(gateway) == {"next_upstream": cut, "passed": cut}


def test_head_and_event_in_one_read() -> None:
    async def at_once(_: Received, wire: Wire) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        await wire.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BAD), BAD))

    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway:
        bad.on("/*", at_once)
        streams(good, *GOOD)
        assert get(gateway.port, "/").body == b"".join(GOOD)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_whatever_the_framing_of_either(framing: Framing) -> None:
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        streams(bad, BAD, framing=framing)
        streams(good, *GOOD, framing=framing)
        for version, kept in ((b"1.1", True), (b"1.0", framing == "length")):
            client.send(b"GET / HTTP/%b\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % version)
            assert client.read_response().body == b"".join(GOOD)
            if not kept:
                assert client.read_end() == "fin"


def test_a_target_that_matches_and_one_that_is_dead() -> None:
    with Origin() as bad, closed_port() as closed, governed(peeking(), bad, closed) as gateway:
        streams(bad, BAD)
        assert get(gateway.port, "/").status == 502
        record = gateway.record()
        assert (record["ending"], record["error"]) == ("upstream_unreachable", "connect_refused")


def test_a_first_target_that_is_dead_and_one_that_matches() -> None:
    with Origin() as bad, Origin() as good, closed_port() as closed:
        streams(bad, BAD)
        streams(good, *GOOD)
        with governed(peeking(), closed, bad, good) as gateway:
            assert get(gateway.port, "/").body == b"".join(GOOD)


def test_the_tries_that_a_route_allows_are_all_there_are() -> None:
    with Origin() as bad, Origin() as good:
        streams(bad, BAD)
        streams(good, *GOOD)
        nodes = [
            {"host": "127.0.0.1", "port": one.port, "weight": 1, "priority": -i} for i, one in enumerate((bad, good))
        ]
        with governed(peeking(), upstream={"nodes": nodes, "retries": 0}) as gateway:
            assert get(gateway.port, "/").status == 502
        assert not good.requests


# Requests with a body.


def post(body: bytes, *, chunked: bool, method: bytes = b"POST", fields: bytes = b"") -> bytes:
    head = method + b" / HTTP/1.1\r\nHost: a\r\n" + fields
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    framed = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (body[:7], body[7:]) if one)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


async def read_and_complain(received: Received, wire: Wire) -> None:
    await received.body()
    await wire.head(200, EVENT_STREAM, CHUNKED)
    await wire.chunk(BAD)
    await wire.last_chunk()


async def say_length(received: Received, wire: Wire) -> None:
    body = await received.body()
    await wire.head(200, EVENT_STREAM, CHUNKED)
    await wire.chunk(b"data: %d %d\n\n" % (len(body), sum(body)))
    await wire.last_chunk()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 8, 70_000, REQUEST_BYTES])
def test_a_body_that_was_kept_goes_to_the_next_target_too(size: int, *, chunked: bool) -> None:
    body = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.on("/*", read_and_complain)
        good.on("/*", say_length)
        for number in range(2):
            client.send(post(body, chunked=chunked))
            response = client.read_response()
            assert (response.status, response.body) == (200, b"data: %d %d\n\n" % (size, sum(body)))
            assert bytes(good.request(number).body_so_far) == bytes(bad.request(number).body_so_far) == body
            sent = good.request(number)
            assert (sent.get(b"transfer-encoding") is not None) is chunked
        assert gateway.counter("upstream_request_bytes") == 4 * size


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_to_keep_goes_to_one_target(*, chunked: bool) -> None:
    body = bytes(REQUEST_BYTES + 1)
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.on("/*", read_and_complain)
        good.on("/*", say_length)
        client.send(post(body, chunked=chunked))
        response = client.read_response()
        assert (response.status, json.loads(response.body)["error"]["code"]) == (502, "overloaded")
        assert not good.requests
        assert peeks(gateway) == {"answered": 1}
        client.send(post(b"small", chunked=chunked))
        assert client.read_response().status == 200


def test_an_answer_in_the_middle_of_the_upload() -> None:
    """The rest of the body goes to the next target, behind what was kept."""
    gate = Gate()

    async def complain_early(received: Received, wire: Wire) -> None:
        async for _ in received.pieces():
            break
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(BAD)
        await wire.gone()

    async def take(received: Received, wire: Wire) -> None:
        async for _ in received.pieces():
            gate.open()
            break
        await say_length(received, wire)

    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.on("/*", complain_early)
        good.on("/*", take)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        eventually(lambda: gate.is_open, "the start of the body at the next target")
        client.send(b"56789")
        assert client.read_response().body == b"data: 10 %d\n\n" % sum(b"0123456789")
        assert bytes(good.request(0).body_so_far) == b"0123456789"


def test_what_comes_of_the_body_while_the_next_target_is_looked_for_stands_behind_what_was_kept() -> None:
    async def complain_early(received: Received, wire: Wire) -> None:
        async for _ in received.pieces():
            break
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(BAD)
        await wire.gone()

    timeout = {"connect": 1.0, "send": 5, "read": 5}
    with Origin() as bad, Origin() as good, blackhole() as silent:
        bad.on("/*", complain_early)
        good.on("/*", say_length)
        with (
            governed(peeking(), bad, silent, good, timeout=timeout) as gateway,
            Client(gateway.port) as client,
        ):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123")
            bad.closed(0)
            client.send(b"456")
            eventually(lambda: gateway.counter("upstream_request_bytes") == 4, "the start of the body")
            client.send(b"789")
            assert client.read_response().status == 200
            assert bytes(good.request(0).body_so_far) == b"0123456789"


def test_as_much_is_kept_for_each_target() -> None:
    body = bytes(REQUEST_BYTES * 2 // 3)
    with Origin() as one, Origin() as two, Origin() as good:
        one.on("/*", read_and_complain)
        two.on("/*", read_and_complain)
        good.on("/*", say_length)
        with governed(peeking(), one, two, good) as gateway:
            assert request(gateway.port, post(body, chunked=False)).body == b"data: %d 0\n\n" % len(body)


def test_a_client_is_told_to_go_on_once() -> None:
    with Origin() as bad, Origin() as good, governed(peeking(), bad, good) as gateway, Client(gateway.port) as client:
        bad.on("/*", read_and_complain)
        good.on("/*", say_length)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert client.read_head().status == 100
        client.send(b"body")
        assert client.read_head().status == 200
        assert client.read_body() == b"data: 4 %d\n\n" % sum(b"body")
        assert bytes(client.raw).count(b"HTTP/1.1 100") == 1


def test_what_was_kept_of_a_request_is_let_go_of_with_the_first_byte_to_the_client() -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=GOOD, end="hold")
        client.send(post(bytes(REQUEST_BYTES), chunked=False))
        client.read_head()
        assert client.read_event().data == GOOD[0]
        assert kept_bytes(gateway) == [0]


def kept_bytes(gateway: RunningGateway) -> list[int]:
    """Give what each open stream holds of its request's body."""
    uploads = gateway.call(lambda: [one.upload for one in gateway.gateway.streams.values()])
    return [sum(map(len, upload._kept or [])) + sum(map(len, upload._held)) for upload in uploads]


# No other target: an answer.


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (BAD, b'{"error":{"code":"overloaded"}}\n'),
        (b'event: error\ndata: {"a":\ndata: 1}\n\n', b'{"a":\n1}\n'),
        (b"event: error\r\ndata: [1]\r\n\r\n", b"[1]\n"),
        (b"event: error\ndata: overloaded\n\n", None),
        (b"event: error\ndata:\n\n", None),
        (b"event: error\ndata: \xff\xfe\n\n", None),
        (b"event: error\ndata: " + b"[" * 60_000 + b"\n\n", None),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_without_another_target_the_event_is_the_answer(event: bytes, answer: bytes | None) -> None:
    rule = PeekRule(event=b"error", status=529)
    with Origin() as bad, governed(peeking(rule), bad) as gateway, Client(gateway.port) as client:
        bad.events("/*", steps=[event], end="hold")
        for count in (1, 2):
            client.get("/")
            response = client.read_response()
            assert response.status == 529
            if answer is None:
                assert response.get(b"content-type") == b"text/html; charset=utf-8"
                assert b"<h1>529" in response.body
            else:
                assert (response.get(b"content-type"), response.body) == (b"application/json", answer)
            record = gateway.record(count=count)
            assert (record["status"], record["ending"]) == (529, "upstream_unreachable")
            assert bad.closed(count - 1)
        assert gateway.records("stream_opened") == []
        assert peeks(gateway) == {"answered": 2}


def test_a_rule_may_want_no_other_target() -> None:
    rules = PeekRule(event=b"refused", next_upstream=False, status=429), ERROR
    with Origin() as one, Origin() as two, governed(peeking(*rules), one, two) as gateway:
        streams(one, b"event: refused\ndata: {}\n\n")
        assert get(gateway.port, "/").status == 429
        assert not two.requests


def test_the_answer_may_be_told_by_an_event() -> None:
    rule = PeekRule(event=b"error", status=503)
    with Origin() as bad, governed(peeking(rule, refusals=Refusals.SSE), bad) as gateway:
        streams(bad, BAD)
        response = get(gateway.port, "/")
        assert (response.status, b"event: refused" in response.body) == (200, True)
        assert gateway.record()["status"] == 503
