from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from tests.client import Client
from tests.origin import Framing, Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route
from tests.server.policy_plugin import governed
from tests.server.stopping import LONG_S, stopping

from headgate.server.gateway import SPREAD
from headgate.stream.policy import Close, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent

A = b"data: a\n\n"
B = b"data: b\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")
RETRY = re.compile(rb"retry: ([0-9]+)\n\n")


def served(origin: Origin, **settings: Any) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)], **settings)


async def never(_: Received, wire: Wire) -> None:
    await wire.gone()


def open_stream(client: Client, target: str = "/events") -> None:
    """Ask for a stream and read its first event."""
    client.get(target)
    client.read_head()
    assert client.read_event().data == A


def retry_ms(raw: bytes) -> int:
    match = RETRY.search(raw)
    assert match is not None, raw
    return int(match[1])


# Streams.


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_stream_ends_between_two_events_with_a_time_to_come_back(version: bytes) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        client.send(b"GET /events HTTP/%b\r\nHost: a\r\n\r\n" % version)
        client.read_head()
        client.read_event()
        assert gateway.stop(window_s=LONG_S) < 2
        rest = client.read_rest()
        assert 3000 <= retry_ms(rest) <= 6000
        if version == b"1.1":
            assert rest.endswith(b"\n\n\r\n")
            assert client.ended == "fin"  # without a last chunk
        else:
            assert client.ended == "rst"
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["bytes"], record["events"]) == ("drain", len(A), 1)
        assert origin.closed(0)


def test_streams_end_one_after_another_each_with_a_time_of_its_own() -> None:
    window_s, count = 2.0, 10
    ends: dict[int, float] = {}
    retries: dict[int, int] = {}

    def listen(number: int, client: Client) -> None:
        retries[number] = retry_ms(client.read_rest())
        ends[number] = time.monotonic()

    with Origin() as origin, served(origin) as gateway:
        origin.events("/events", steps=[A], end="hold")
        clients = [Client(gateway.port) for _ in range(count)]
        for client in clients:
            open_stream(client)
        threads = [threading.Thread(target=listen, args=one) for one in enumerate(clients)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        took = gateway.stop(window_s=window_s)
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
        step_s = window_s * SPREAD / count
        assert [number for number, _ in sorted(ends.items(), key=lambda one: one[1])] == list(range(count))
        for number, ended in ends.items():
            assert ended - began >= step_s * number - 0.05
        assert step_s * (count - 1) <= took < window_s + 5
        assert len(set(retries.values())) > count // 2
        assert all(3000 <= one <= 6000 for one in retries.values())
        gateway.record(event="stream_ended", count=count)
        assert {one["ending"] for one in gateway.records("stream_ended")} == {"drain"}
        assert gateway.counter("streams_ended", ending="drain") == count


def test_a_stream_inside_an_event_ends_when_the_event_does() -> None:
    gate = Gate()

    async def halves(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(b"data: ha")
        await gate.wait()
        await wire.chunk(b"lf\n\ndata: next\n\ndata: not")
        await wire.gone()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/events", halves)
        client.get("/events")
        client.read_head()
        assert client.read_chunk().data == b"data: ha"
        with stopping(gateway, window_s=LONG_S):
            eventually(lambda: gateway.call(lambda: due_endings(gateway)) == ["drain"], "the order to end")
            gate.open()
            rest = client.read_rest()
        assert b"lf\n\ndata: next\n\n\r\n" in rest
        assert b"data: not" not in rest
        assert retry_ms(rest)
        assert gateway.ending(event="stream_ended") == "drain"


def test_a_stream_of_lines_ends_behind_a_line() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        lines = [b'{"a": 1}\n{"a"', b": 2}\n", b'{"a": 3}\n']
        ndjson = (b"Content-Type", b"application/x-ndjson")
        stream = origin.events("/lines", steps=lines, fields=[ndjson], end="hold")
        client.get("/lines")
        client.read_head()
        assert client.read_chunk().data == lines[0]
        with stopping(gateway, window_s=LONG_S):
            eventually(lambda: gateway.call(lambda: due_endings(gateway)) == ["drain"], "the order to end")
            stream.confirm(0)
            assert client.read_chunk().data == lines[1]
            assert client.read_rest() == b""
        assert client.ended == "fin"
        assert gateway.ending(event="stream_ended") == "drain"


def due_endings(gateway: RunningGateway) -> list[str | None]:
    return [one.relay.due_ending for one in gateway.gateway.streams.values() if one.relay is not None]


def test_a_stream_that_stays_inside_an_event_is_cut_at_the_end() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[b"data: half"], end="hold")
        client.get("/events")
        client.read_head()
        client.read_chunk()
        assert 0.75 < gateway.stop(window_s=0.8) < 5
        assert client.read_rest() == b""
        assert client.ended == "fin"
        assert gateway.ending(event="stream_ended") == "drain"


def test_a_stream_ends_as_its_route_has_it() -> None:
    policy = StreamPolicy(terminal_event=TerminalEvent.parse("plain"), close=Close.CLEAN, retry_s=100)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A], end="hold")
        open_stream(client)
        assert gateway.stop(window_s=LONG_S) < 2
        body = client.read_body()
        assert 100_000 <= retry_ms(body) <= 200_000
        assert b'event: error\ndata: {"ending":"drain","stream_id":"' in body
        assert client.read_end() == "fin"
        assert gateway.ending(event="stream_ended") == "drain"


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ([EVENT_STREAM], "length"),
        ([EVENT_STREAM, (b"Content-Encoding", b"gzip")], "chunked"),
        ([(b"Content-Type", b"application/x-ndjson")], "chunked"),
    ],
)
def test_into_a_stream_that_is_not_touched_nothing_is_written(fields: Any, framing: Framing) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.events("/events", steps=[A, B], end="hold", framing=framing, fields=fields)
        client.get("/events")
        client.read_head()
        assert client.read_event().data == A
        assert gateway.stop(window_s=LONG_S) < 2
        assert client.read_rest() == b""
        assert client.ended == "fin"
        record = gateway.record(event="stream_ended")
        assert record["ending"] == "drain"
        assert record["untouched"]


def test_a_stream_that_begins_meanwhile_ends_within_the_window() -> None:
    window_s = 2.0
    with (
        Origin() as origin,
        served(origin) as gateway,
        Client(gateway.port) as client,
        Client(gateway.port) as other,
    ):
        origin.events("/events", steps=[A], end="hold")
        origin.on("/half", never)
        client.get("/hello")
        client.read_response()
        other.get("/half")
        origin.request(1)
        began = time.monotonic()
        with stopping(gateway, window_s=window_s, idle_s=LONG_S):
            client.get("/events")
            assert client.read_head().get(b"connection") == b"close"
            assert client.read_event().data == A
            (exchange,) = gateway.call(lambda: list(gateway.gateway.streams.values()))
            assert retry_ms(client.read_rest())
            assert time.monotonic() - began >= window_s * SPREAD - 0.05
            assert other.read_response().status == 503
        assert gateway.ending(event="stream_ended") == "drain"
        assert exchange.relay is not None
        assert exchange.relay.due_ending == "drain"  # it was told in time, and not cut at the end
        assert gateway.counter("streams_draining") == 0


def test_streams_that_drain_are_counted() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as one, Client(gateway.port) as two:
        stream = origin.events("/events", steps=[A, b"data: half", b" done\n\n"], end="hold")
        for client in (one, two):
            open_stream(client)
        stream.confirm(0)
        for client in (one, two):
            assert client.read_chunk().data == b"data: half"
        assert gateway.counter("streams_draining") == 0
        with stopping(gateway, window_s=4.0):
            gateway.wait_counter("streams_draining", 2)
            one.reset()
            gateway.wait_counter("streams_draining", 1)
            eventually(lambda: gateway.call(lambda: due_endings(gateway)) == ["drain"], "the order to end")
            stream.confirm(1)
            two.read_rest()
        gateway.wait_counter("streams_draining", 0)


def test_a_client_that_takes_nothing_does_not_hold_it_up() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port, receive_buffer_bytes=4096) as client:

        async def flood(_: Received, wire: Wire) -> None:
            await wire.head(200, EVENT_STREAM, CHUNKED)
            while True:
                await wire.chunk(A * 1000)

        origin.on("/flood", flood)
        client.get("/flood")
        client.read_head()
        eventually(lambda: gateway.call(lambda: any(one.is_blocked for one in gateway.gateway._connections)), "blocked")
        assert gateway.stop(window_s=0.5) < 5
        assert gateway.ending(event="stream_ended") == "drain"


def test_without_a_window_everything_is_cut() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as half, Client(gateway.port) as waiting:
        origin.events("/events", steps=[b"data: half"], end="hold")
        origin.on("/never", never)
        half.get("/events")
        half.read_head()
        half.read_chunk()
        waiting.get("/never")
        origin.request(1)
        assert gateway.stop(window_s=0) < 3
        assert half.read_rest() == b""
        assert waiting.read_response().status == 503
        assert (gateway.ending(event="stream_ended"), gateway.ending()) == ("drain", "drain")
