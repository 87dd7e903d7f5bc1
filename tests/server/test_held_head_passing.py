"""Streams that are looked into and go on to the client, and responses that are not looked into."""

from __future__ import annotations

import time

import pytest
from tests.client import Client, get
from tests.origin import End, Framing, Gate, Origin, Received, Wire
from tests.origin_wire import Fields
from tests.running_gateway import eventually
from tests.server.peeking import BAD, CHUNKED, ERROR, EVENT_STREAM, GOOD, held_bytes, peeking, peeks, streams
from tests.server.policy_plugin import governed

from headgate.stream.peek_rules import PeekRule

# What passes.


def test_what_does_not_match_goes_on_with_the_first_meaningful_event() -> None:
    start = [b": hello\n\n", b"retry: 5\n\n", b"event: ping\ndata: {}\n\n"]
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        gate = Gate()

        async def slowly(_: Received, wire: Wire) -> None:
            await wire.head(200, EVENT_STREAM, CHUNKED, (b"X-A", b"1"))
            for piece in start:
                await wire.chunk(piece)
            await held.wait()
            await wire.chunk(GOOD[0])
            await gate.wait()
            await wire.chunk(BAD)  # too late to be looked at
            await wire.last_chunk()

        held = Gate()
        origin.on("/*", slowly)
        client.get("/")
        eventually(lambda: held_bytes(gateway) == [len(b"".join(start))], "the head held")
        assert gateway.counter("responses", status="2xx") == 0
        assert gateway.records() == []
        held.open()
        head = client.read_head()
        assert (head.status, head.get(b"x-a")) == (200, b"1")
        assert [client.read_event().data for _ in range(4)] == [*start, GOOD[0]]
        gate.open()
        assert client.read_event().data == BAD
        assert client.read_body() == b""
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["events"], record["bytes"]) == (
            "complete",
            3,
            len(b"".join(start) + GOOD[0] + BAD),
        )
        assert peeks(gateway) == {"passed": 1}


def test_each_event_of_a_stream_that_has_passed_arrives_before_the_next_one_is_made() -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=GOOD * 3)
        client.get("/")
        client.read_head()
        for number, event in enumerate(GOOD * 3):
            assert client.read_event().data == event
            stream.confirm(number)
        assert client.read_body() == b""
        assert gateway.ending(event="stream_ended") == "complete"


def test_a_slow_stream_goes_on_when_the_time_is_over() -> None:
    with Origin() as origin, governed(peeking(timeout_s=0.3), origin) as gateway, Client(gateway.port) as client:
        gate = Gate()

        async def silent(_: Received, wire: Wire) -> None:
            await wire.head(200, EVENT_STREAM, CHUNKED)
            await wire.chunk(b": wait\n\ndata: ha")
            await gate.wait()
            await wire.chunk(b"lf\n\n")
            await wire.last_chunk()

        origin.on("/*", silent)
        began = time.monotonic()
        client.get("/")
        client.read_head()
        assert time.monotonic() - began >= 0.25
        assert client.read_chunk().data == b": wait\n\ndata: ha"
        gate.open()
        assert client.read_body() == b"lf\n\n"
        assert peeks(gateway) == {"timeout": 1}
        assert gateway.ending(event="stream_ended") == "complete"


def test_a_silent_stream_outlives_the_default_read_timeout_while_its_head_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headgate.server.upstream_head.DEFAULT_READ_TIMEOUT_S", 0.2)
    with Origin() as origin, governed(peeking(timeout_s=0.8), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[b":\n\n", GOOD[0]])
        client.get("/")
        client.read_head()
        assert client.read_chunk().data == b":\n\n"
        assert peeks(gateway) == {"timeout": 1}
        stream.confirm(0)
        assert client.read_event().data == GOOD[0]
        stream.confirm(1)
        assert client.read_body() == b""


def test_a_configured_read_timeout_holds_while_the_head_is_held() -> None:
    timeout = {"connect": 5, "send": 5, "read": 0.3}
    with Origin() as origin, governed(peeking(), origin, timeout=timeout) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[b":\n\n"], end="hold")
        client.get("/")
        assert client.read_head().status == 200
        assert client.read_rest() == b"3\r\n:\n\n\r\n"
        assert gateway.ending(event="stream_ended") == "upstream_stall"


@pytest.mark.parametrize("accept", [b"text/event-stream", b"*/*"])
def test_the_time_for_the_first_event_is_not_prolonged_by_a_held_head(accept: bytes) -> None:
    policy = peeking(first_event_s=0.4)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[b":\n\n"], end="hold")
        client.get("/", (b"Accept", accept))
        assert client.read_head().status == 200
        assert client.read_rest() == b"3\r\n:\n\n\r\n"
        record = gateway.record(event="stream_ended")
        assert record["ending"] == "first_event_timeout"
        assert 0.35 < record["duration_s"] < 10


@pytest.mark.parametrize("start", [b":" + b"x" * 998 + b"\n\n", b"data: " + b"x" * 2000, b": \n\n" * 250])
def test_a_long_start_goes_on_when_enough_is_held(start: bytes) -> None:
    with Origin() as origin, governed(peeking(max_bytes=1000), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[start, b"\n\n" + GOOD[0]])
        client.get("/")
        client.read_head()
        assert client.read_chunk().data == start
        stream.confirm_all()
        assert client.read_body() == b"\n\n" + GOOD[0]
        assert peeks(gateway) == {"too_large": 1}


def test_what_is_held_is_bounded() -> None:
    """One byte less than the limit and one read on top, whatever an endless first event holds."""
    limit = 1_000_000
    with Origin() as origin, governed(peeking(max_bytes=limit), origin) as gateway, Client(gateway.port) as client:
        sent = 0

        async def endless(_: Received, wire: Wire) -> None:
            nonlocal sent
            await wire.head(200, EVENT_STREAM, CHUNKED)
            while sent < 3 * limit:
                await wire.chunk(b"x" * 4096)
                sent += 4096
            await wire.gone()

        origin.on("/*", endless)
        client.get("/")
        client.read_head()
        first = client.read_chunk().data
        assert limit <= len(first) < limit + 262_144
        assert peeks(gateway) == {"too_large": 1}


# Streams that end before an event.


@pytest.mark.parametrize("start", [[], [b":\n\n"], [b"retry: 5\n\n"], [b"data: half"]])
@pytest.mark.parametrize(
    ("end", "framing"), [("proper", "chunked"), ("fin", "chunked"), ("rst", "chunked"), ("proper", "close")]
)
def test_an_empty_stream_is_looked_at_by_the_rule_for_it(start: list[bytes], end: End, framing: Framing) -> None:
    rules = ERROR, PeekRule(empty=True)
    with Origin() as bad, Origin() as good, governed(peeking(*rules), bad, good) as gateway:
        streams(bad, *start, end=end, framing=framing)
        streams(good, *GOOD)
        assert get(gateway.port, "/").body == b"".join(GOOD)
        assert gateway.record(event="stream_ended")["upstream"] == good.address
        assert peeks(gateway) == {"next_upstream": 1, "passed": 1}
    with Origin() as bad, governed(peeking(*rules), bad) as gateway:
        streams(bad, *start, end=end, framing=framing)
        response = get(gateway.port, "/")
        assert response.status == 502
        assert b"<h1>502 Bad Gateway</h1>" in response.body
        assert gateway.ending() == "upstream_unreachable"


@pytest.mark.parametrize(
    ("framing", "end", "ending"),
    [
        ("chunked", "proper", "complete"),
        ("close", "proper", "complete"),
        ("length", "proper", "complete"),
        ("chunked", "fin", "upstream_eof"),
        ("chunked", "rst", "upstream_reset"),
    ],
)
@pytest.mark.parametrize("steps", [[], [b": only this\n\n"]])
def test_without_such_a_rule_its_end_is_passed_on(framing: Framing, end: End, ending: str, steps: list[bytes]) -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        streams(origin, *steps, framing=framing, end=end)
        client.get("/")
        head = client.read_head()
        assert head.status == 200
        if ending == "complete":
            assert client.read_body() == b"".join(steps)
            client.get("/hello")
            assert client.read_head().status == 200
        else:
            assert b"0\r\n\r\n" not in client.read_rest()
            assert client.ended == "fin"
        assert gateway.record(0, event="stream_ended")["ending"] == ending


# Connections to targets.


def test_the_connection_of_a_stream_that_has_passed_is_used_again() -> None:
    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        streams(origin, *GOOD)
        for _ in range(3):
            client.get("/")
            assert client.read_response().body == b"".join(GOOD)
        assert origin.requests_by_connection == [3]


def test_the_connection_of_an_empty_stream_is_used_again() -> None:
    with Origin() as bad, Origin() as good, governed(peeking(PeekRule(empty=True)), bad, good) as gateway:
        streams(bad, b":\n\n")
        streams(good, *GOOD)
        for _ in range(3):
            assert get(gateway.port, "/").body == b"".join(GOOD)
        assert bad.requests_by_connection == [3]
        assert good.requests_by_connection == [3]


def test_a_pooled_connection_that_was_stale_is_replaced_under_a_held_head() -> None:
    async def flaky(_: Received, wire: Wire) -> None:
        if wire.requests > 1:
            wire.rst()
            return
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(GOOD[0])
        await wire.last_chunk()

    with Origin() as origin, governed(peeking(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", flaky)
        for _ in range(3):
            client.get("/")
            assert client.read_response().body == GOOD[0]
        assert origin.requests_by_connection == [2, 2, 1]


# After the first byte nothing is sent again.


@pytest.mark.parametrize(("end", "ending"), [("fin", "upstream_eof"), ("rst", "upstream_reset")])
def test_what_breaks_after_it_has_passed_is_cut(end: End, ending: str) -> None:
    with Origin() as one, Origin() as two, governed(peeking(ERROR, PeekRule(empty=True)), one, two) as gateway:
        with Client(gateway.port) as client:
            stream = one.events("/*", steps=[GOOD[0]], end=end)
            client.get("/")
            client.read_head()
            assert client.read_event().data == GOOD[0]
            stream.confirm(0)
            assert client.read_rest() == b""
            assert client.ended == "fin"
        assert gateway.ending(event="stream_ended") == ending
        assert not two.requests


# What is not held.


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (200, [EVENT_STREAM, (b"Content-Encoding", b"gzip")]),
        (200, [(b"Content-Type", b"application/x-ndjson")]),
        (200, [(b"Content-Type", b"text/plain")]),
        (200, []),
        (201, [EVENT_STREAM]),
        (500, [EVENT_STREAM]),
    ],
)
def test_other_responses_are_not_held(status: int, fields: list[Fields]) -> None:
    gate = Gate()

    async def slowly(_: Received, wire: Wire) -> None:
        await wire.head(status, *fields, CHUNKED)
        await gate.wait()
        await wire.chunk(BAD)
        await wire.last_chunk()

    with Origin() as origin, Origin() as other, governed(peeking(), origin, other) as gateway:
        with Client(gateway.port) as client:
            origin.on("/*", slowly)
            client.get("/", (b"Accept", b"text/event-stream"))
            assert client.read_head().status == status
            gate.open()
            assert client.read_body() == BAD
        assert not other.requests
        assert peeks(gateway) == {}


def test_no_answer_to_head_is_held() -> None:
    with Origin() as origin, governed(peeking(PeekRule(empty=True)), origin) as gateway, Client(gateway.port) as client:
        streams(origin, framing="length")
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
        assert peeks(gateway) == {}
