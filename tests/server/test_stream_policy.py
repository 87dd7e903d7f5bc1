"""What a route wants of its streams, seen from outside: clocks, keep-alives and ends."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import Framing, Gate, Origin, Received, Wire
from tests.origin_wire import Fields
from tests.running_gateway import RunningGateway, route
from tests.server.policy_plugin import governed

from headgate.stream.end_marker import EndMarker
from headgate.stream.policy import Close, Refusals, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent

A, B = b"data: a\n\n", b"data: b\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")
ACCEPT = (b"Accept", b"text/event-stream")
TOLD = TerminalEvent.parse('event: over\ndata: "$ending"')


def told(ending: str) -> bytes:
    return b'event: over\ndata: "%b"\n\n' % ending.encode()


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


async def answer(_: Received, wire: Wire) -> None:
    await wire.head(200, EVENT_STREAM, CHUNKED)
    await wire.chunk(A)
    await wire.last_chunk()


# The first event.


def test_no_head_in_time_is_504_and_first_event_timeout() -> None:
    with Origin() as origin, governed(StreamPolicy(first_event_s=0.3), origin) as gateway:
        origin.on("/never", never)
        began = time.monotonic()
        response = get(gateway.port, "/never", ACCEPT)
        assert time.monotonic() - began >= 0.25
        assert (response.status, b"<h1>504 Gateway Time-out</h1>" in response.body) == (504, True)
        record = gateway.record()
        assert (record["ending"], record["error"]) == ("first_event_timeout", "read_timeout")
        assert gateway.counter("exchanges_ended", ending="first_event_timeout") == 1
        assert origin.closed(0)


@pytest.mark.parametrize("accept", [(b"Accept", b"*/*"), (b"Accept", b"text/event-stream;q=0, */*"), (b"X", b"")])
def test_where_no_stream_is_asked_for_the_wait_for_a_head_is_as_ever(accept: Fields) -> None:
    gate = Gate()

    async def late(_: Received, wire: Wire) -> None:
        await gate.wait()
        await wire.respond(200, b"late")

    with (
        Origin() as origin,
        governed(StreamPolicy(first_event_s=0.2), origin) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/late", late)
        client.get("/late", accept)
        origin.request(0)
        with Client(gateway.port) as other:  # one that is cut by then, and what came before it is not
            origin.on("/never", never)
            other.get("/never", ACCEPT)
            assert other.read_response().status == 504
        gate.open()
        assert client.read_response().body == b"late"


@pytest.mark.parametrize(
    ("timeout", "own", "ending"),
    [
        ({"connect": 5, "send": 5, "read": 0.2}, {}, "upstream_unreachable"),
        ({"connect": 5, "send": 5, "read": 30}, {}, "first_event_timeout"),
        ({"connect": 5, "send": 5, "read": 0.2}, {"sse": {"proxy_read_timeout": 0}}, "first_event_timeout"),
    ],
)
def test_the_shorter_of_both_times_counts(timeout: dict[str, float], own: dict[str, Any], ending: str) -> None:
    policy = StreamPolicy(first_event_s=0.4)
    with Origin() as origin, governed(policy, origin, plugins=own, timeout=timeout) as gateway:
        origin.on("/never", never)
        assert get(gateway.port, "/never", ACCEPT).status == 504
        assert gateway.ending() == ending


def test_a_target_without_a_first_event_is_passed_over_for_the_next() -> None:
    with Origin() as slow, Origin() as good, governed(StreamPolicy(first_event_s=0.2), slow, good) as gateway:
        slow.on("/*", never)
        good.on("/*", answer)
        assert get(gateway.port, "/", ACCEPT).body == A
        assert slow.closed(0)
        post = b"POST / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 1\r\n\r\nx"
        assert request(gateway.port, post).status == 504  # it may have had an effect
        assert len(good.requests) == 1
        assert [gateway.record(event="stream_ended")["ending"], gateway.ending()] == ["complete", "first_event_timeout"]


def test_the_time_counts_from_the_whole_request() -> None:
    async def listen(received: Received, wire: Wire) -> None:
        await received.body()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await asyncio.sleep(0.3)
        await wire.chunk(A)
        await wire.last_chunk()

    with (
        Origin() as origin,
        governed(StreamPolicy(first_event_s=2.0), origin) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/*", listen)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 4\r\n\r\nhal")
        origin.request(0)
        let_pass(2.2)
        client.send(b"f")
        assert client.read_response().body == A


def let_pass(seconds: float) -> None:
    """Let time pass that something must survive."""
    time.sleep(seconds)


@pytest.mark.parametrize("refusals", list(Refusals))
def test_the_timeout_before_the_head_may_be_told_by_an_event(refusals: Refusals) -> None:
    policy = StreamPolicy(first_event_s=0.2, refusals=refusals)
    with Origin() as origin, governed(policy, origin) as gateway:
        origin.on("/never", never)
        response = get(gateway.port, "/never", ACCEPT, (b"Sec-Fetch-Mode", b"cors"))
        assert response.status == (504 if refusals is Refusals.STATUS else 200)
        record = gateway.record()
        assert (record["status"], record["ending"]) == (504, "first_event_timeout")


@pytest.mark.parametrize("accept", [ACCEPT, (b"Accept", b"*/*")])
@pytest.mark.parametrize(("terminal", "close"), [(None, Close.ABORT), (TOLD, Close.ABORT), (TOLD, Close.CLEAN)])
def test_after_the_head_the_stream_ends(accept: Fields, terminal: TerminalEvent | None, close: Close) -> None:
    policy = StreamPolicy(first_event_s=0.3, terminal_event=terminal, close=close)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[b": not an event\n\n"], end="hold")
        client.get("/", accept)
        assert client.read_head().status == 200
        assert client.read_event().data == b": not an event\n\n"
        if close is Close.CLEAN:
            assert client.read_body() == told("first_event_timeout")
        else:
            assert (told("first_event_timeout") in client.read_rest()) is (terminal is not None)
            assert client.ended == "fin"
        assert gateway.ending(event="stream_ended") == "first_event_timeout"
        assert origin.closed(0)


def test_a_response_that_is_no_stream_after_all_has_the_time_of_one() -> None:
    """The short wait was for a first event, and there will be none."""
    gate = Gate()

    async def halves(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"8"), (b"Content-Type", b"application/json"))
        await wire.send(b"half")
        await gate.wait()
        await wire.send(b"done")

    with (
        Origin() as origin,
        governed(StreamPolicy(first_event_s=0.3), origin) as gateway,
        Client(gateway.port) as client,
    ):
        origin.on("/halves", halves)
        client.get("/halves", ACCEPT)
        client.read_head()
        client.read_until(b"half")
        let_pass(0.9)
        gate.open()
        assert client.read_until(b"done").data == b"done"
        assert gateway.ending() == "complete"


# Gaps, durations and sizes.


def test_a_silence_between_two_events_ends_the_stream() -> None:
    policy = StreamPolicy(event_gap_s=0.4, terminal_event=TOLD)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, b": comment\n\n"], end="hold")
        client.get("/")
        client.read_head()
        assert client.read_event().data == A
        stream.confirm(0)
        assert client.read_event().data == b": comment\n\n"
        assert told("upstream_stall") in client.read_rest()
        assert gateway.ending(event="stream_ended") == "upstream_stall"
        assert origin.closed(0)


def test_the_longest_duration_ends_a_stream_between_two_events() -> None:
    policy = StreamPolicy(max_duration_s=0.4, retry_s=7.0)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[A], end="hold")
        client.get("/")
        client.read_head()
        client.read_event()
        match = re.search(rb"retry: ([0-9]+)\n\n", client.read_rest())
        assert match is not None
        assert 7000 <= int(match[1]) <= 14_000
        record = gateway.record(event="stream_ended")
        assert record["ending"] == "max_duration"
        assert record["duration_s"] >= 0.35


def test_the_largest_size_ends_a_stream_behind_an_event() -> None:
    policy = StreamPolicy(max_bytes=len(A + B) + 3, terminal_event=TOLD, close=Close.CLEAN)
    with Origin() as origin, governed(policy, origin) as gateway:
        origin.events("/*", steps=[A, B, A, B]).confirm_all()
        assert get(gateway.port, "/").body == A + B + told("max_bytes")
        assert gateway.ending(event="stream_ended") == "max_bytes"


def test_an_event_that_is_too_large_ends_a_stream() -> None:
    policy = StreamPolicy(max_event_bytes=100, terminal_event=TOLD, close=Close.CLEAN)
    with Origin() as origin, governed(policy, origin) as gateway:
        origin.events("/*", steps=[A, b"data: " + b"x" * 200 + b"\n\n", B]).confirm_all()
        assert get(gateway.port, "/").body == A + told("max_event_bytes")
        assert gateway.ending(event="stream_ended") == "max_event_bytes"


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_without_its_end_marker_is_not_complete(framing: Framing) -> None:
    policy = StreamPolicy(end_marker=EndMarker.parse("data: [DONE]"))
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/whole", steps=[A, b"data: [DONE]\n\n"], framing=framing).confirm_all()
        origin.events("/cut", steps=[A], framing=framing).confirm_all()
        client.get("/whole")
        assert client.read_response().body == A + b"data: [DONE]\n\n"
        client.get("/cut")
        client.read_head()
        client.read_event()
        assert client.read_rest() == b""
        assert client.ended == "fin"
        gateway.record(event="stream_ended", count=2)
        assert [one["ending"] for one in gateway.records("stream_ended")] == ["complete", "upstream_eof"]


@pytest.mark.parametrize(("end", "ending"), [("fin", "upstream_eof"), ("rst", "upstream_reset")])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_stream_that_breaks_off_says_so(end: Any, ending: str, version: bytes) -> None:
    policy = StreamPolicy(terminal_event=TOLD)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, b"data: half"], end=end)
        client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        client.read_head()
        assert client.read_event().data == A
        stream.confirm_all()
        rest = client.read_rest()
        assert told(ending) in rest
        assert b"half" not in rest  # what the terminal event would become a part of
        assert client.ended == ("fin" if version == b"1.1" else "rst")
        assert gateway.ending(event="stream_ended") == ending


# Keep-alives.


def test_a_silent_stream_is_kept_alive_and_stays_as_it_was() -> None:
    with Origin() as origin, governed(StreamPolicy(keepalive_s=0.2), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, B])
        client.get("/")
        client.read_head()
        assert [client.read_event().data for _ in range(3)] == [A, b":\n\n", b":\n\n"]
        stream.confirm(0)
        while (event := client.read_event().data) == b":\n\n":
            pass
        assert event == B
        stream.confirm(1)
        assert client.read_body().replace(b":\n\n", b"") == b""
        record = gateway.record(event="stream_ended")
        assert (record["bytes"], record["events"], record["ending"]) == (len(A + B), 2, "complete")
        assert record["keepalives"] >= 2
        assert gateway.counter("keepalives") == record["keepalives"]


def test_an_early_keep_alive_follows_the_head_at_once() -> None:
    policy = StreamPolicy(keepalive_s=30, early=True)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        gate = Gate()

        async def late(_: Received, wire: Wire) -> None:
            await wire.head(200, EVENT_STREAM, CHUNKED)
            await gate.wait()
            await wire.chunk(b"\xef\xbb\xbf" + A)
            await wire.last_chunk()

        origin.on("/*", late)
        client.get("/")
        client.read_head()
        assert client.read_event().data == b":\n\n"
        gate.open()
        assert client.read_body() == A  # its BOM would not be first
        assert gateway.ending(event="stream_ended") == "complete"


def test_the_settings_are_the_policy_of_routes_without_one() -> None:
    streams = {"keepalive_s": 0.2, "max_event_bytes": 50, "retry_s": 9.0}
    with Origin() as origin:
        stream = origin.events("/*", steps=[A, b"data: " + b"x" * 60 + b"\n\n"], end="hold")
        with RunningGateway([route("1", "/*", origin.address)], streams=streams) as gateway:
            with Client(gateway.port) as client:
                client.get("/")
                client.read_head()
                assert [client.read_event().data for _ in range(2)] == [A, b":\n\n"]
                stream.confirm(0)
                client.read_rest()
            assert gateway.ending(event="stream_ended") == "max_event_bytes"
