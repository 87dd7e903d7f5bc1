"""Streams of upstreams that do it wrong, and clients that speak while they should listen: each gets its ending, in bounded memory."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route
from tests.server.policy_plugin import governed

from headgate.server.http1_connection import HELD_BYTES, LINGER_BYTES, WRITE_BUFFER_BYTES
from headgate.stream.events_relay import EventsRelay
from headgate.stream.policy import StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.chunked import MAX_LINE_BYTES, MAX_TRAILER_BYTES

A = b"data: a\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
READ_BYTES = 262_144
"""The most that one read brings."""
MIB = 1024 * 1024


def served(origin: Origin) -> RunningGateway:
    return RunningGateway([route("all", "/*", origin.address)])


def raw_answer(raw: bytes, then: Callable[[Wire], None] | None = None) -> Callable[[Received, Wire], object]:
    """Give a handler that sends bytes and then ends the connection, or waits for the gateway to."""

    async def handle(_: Received, wire: Wire) -> None:
        await wire.send(raw)
        if then is None:
            await wire.gone()
        else:
            then(wire)

    return handle


# What an event stream may hold, whoever thought of it, passes byte for byte.


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\r\rdata: b\r\r", 2),
        (b"data: a\r", 0),
        (b"\r\r\r\r", 0),
        (b"id: a\0b\ndata: x\n\n", 1),
        (b"\0\0\0\n\n", 0),
        (b"data: \xff\xfe\xed\xa0\x80\n\n", 1),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", 1),
        (b"\xef\xbb", 0),
        (b"data: a\n\ndata: no end", 1),
        (b"retry: -1\nretry: x\nid\ndata\n\n", 1),
        (b"event: \nnonsense\n::::\ndata:x\n\n", 1),
        (b"HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n", 0),
        (b"data: " + b"x" * (MIB - 8) + b"\n\n", 1),
    ],
    ids=lambda one: repr(one)[:40],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_odd_events_pass_as_they_are(body: bytes, events: int, *, terminal: bool) -> None:
    policy = StreamPolicy(max_event_bytes=MIB, terminal_event=TerminalEvent.parse("plain") if terminal else None)
    with Origin() as origin, governed(policy, origin) as gateway:
        origin.events("/*", steps=[body], framing="close").confirm_all()
        response = get(gateway.port, "/")
        assert (response.status, response.body) == (200, body)
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["events"], record["bytes"]) == ("complete", events, len(body))


def test_an_event_in_single_bytes() -> None:
    event = b"id: 1\r\nevent: x\r\ndata: y\r\n\r\n"
    with Origin() as origin, served(origin) as gateway:
        origin.events("/*", steps=[event[at : at + 1] for at in range(len(event))]).confirm_all()
        assert get(gateway.port, "/").body == event
        assert gateway.record(event="stream_ended")["events"] == 1


# Events without an end.


def held_of_streams(gateway: RunningGateway) -> int:
    """Give how many bytes the gateway holds of streams: in relays and behind both connections."""

    def look() -> int:
        relays = [one.relay for one in gateway.gateway.streams.values()]
        cut = sum(len(one._cutter.rest()) for one in relays if isinstance(one, EventsRelay))
        return cut + sum(one.transport.get_write_buffer_size() for one in gateway.gateway._connections)

    return gateway.call(look)


@pytest.mark.parametrize("cuts_events", [False, True])
@pytest.mark.parametrize("filler", [b"x", b"\ndata: x", b"\r", b":\n"], ids=["line", "lines", "CR", "comment lines"])
def test_an_endless_event_ends_its_stream(filler: bytes, *, cuts_events: bool) -> None:
    limit = MIB
    policy = StreamPolicy(max_event_bytes=limit, terminal_event=TerminalEvent.parse("plain") if cuts_events else None)
    piece = (filler * (65536 // len(filler) + 1))[:65536]
    if filler == b"\r":
        piece = b"data: " + b"\rdata: x" * 8192  # one block, with the oldest line end
    highest = 0

    async def endless(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A + b"data: ")
        for _turn in range(4 * limit // len(piece)):
            await wire.chunk(piece)
        await wire.gone()

    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", endless)
        client.get("/")
        client.read_head()
        assert client.read_event().data == A
        while client.ended is None:
            client._receive()
            highest = max(highest, held_of_streams(gateway))
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["events"]) == ("max_event_bytes", 1)
        assert record["bytes"] <= limit + len(A) + READ_BYTES
        assert highest <= limit + WRITE_BUFFER_BYTES + 2 * READ_BYTES
        assert origin.closed(0)
        assert (b"event: error\n" in client.raw) is cuts_events


@pytest.mark.parametrize("cuts_events", [False, True])
def test_without_a_limit_a_line_of_ten_mebibytes_passes(*, cuts_events: bool) -> None:
    line = b"data: " + bytes(range(97, 123)) * (10 * MIB // 26) + b"\n\n"
    policy = StreamPolicy(terminal_event=TerminalEvent.parse("plain") if cuts_events else None)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[A, line, A]).confirm_all()
        client.get("/")
        client.read_head()
        highest, body = 0, bytearray()
        while chunk := client.read_chunk().data:
            body += chunk
            highest = max(highest, held_of_streams(gateway))
        assert bytes(body) == A + line + A
        assert highest <= MIB + WRITE_BUFFER_BYTES + 2 * READ_BYTES
        assert gateway.ending(event="stream_ended") == "complete"


# Framing that is wrong.


@pytest.mark.parametrize(
    ("raw", "then", "body", "ending"),
    [
        (HEAD + b"Content-Length: 9\r\n\r\n" + A + A, None, A, "complete"),
        (HEAD + b"Content-Length: 9\r\n\r\n" + A + b"HTTP/1.1 200 OK\r\n\r\n", None, A, "complete"),
        (HEAD + b"Content-Length: 4\r\n\r\n" + A, None, b"data", "complete"),
        (HEAD + b"Content-Length: 18\r\n\r\n" + A, Wire.fin, A, "upstream_eof"),
        (HEAD + b"Connection: close\r\n\r\n" + A, Wire.fin, A, "complete"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + A + b"\r\n", Wire.fin, A, "upstream_eof"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + A + b"\r\n0\r\n\r\n0\r\n\r\n", None, A, "complete"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + A + b"\r\nzz\r\n", None, A, "upstream_protocol_error"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + A + b"\r\n", None, A[:8], "upstream_protocol_error"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\n" + A + b"\n0\n\n", None, b"", "upstream_protocol_error"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-9\r\n" + A, None, b"", "upstream_protocol_error"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x9\r\n" + A, None, b"", "upstream_protocol_error"),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n9;" + b"x" * MAX_LINE_BYTES + b"\r\n" + A + b"\r\n0\r\n\r\n",
            None,
            b"",
            "upstream_protocol_error",
        ),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + A + b"\r\n0\r\n" + b"X: y\r\n" * MAX_TRAILER_BYTES,
            None,
            A,
            "upstream_protocol_error",
        ),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + A, Wire.fin, A, "upstream_eof"),
    ],
    ids=lambda one: one.__name__ if callable(one) else repr(one)[-50:],
)
def test_a_body_that_breaks_its_framing(
    raw: bytes, then: Callable[[Wire], None] | None, body: bytes, ending: str
) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/bad", raw_answer(raw, then))  # type: ignore[arg-type]
        client.get("/bad")
        head = client.read_head()
        assert head.status == 200
        if ending == "complete":
            assert client.read_body() == body
        else:
            rest = client.read_rest()
            assert rest.replace(b"%x\r\n" % len(body), b"", 1).removesuffix(b"\r\n") == body
            assert client.ended == "fin"
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["bytes"]) == (ending, len(body))
        assert get(gateway.port, "/hello").status == 200
        assert origin.requests_by_connection == [1, 1]  # what cannot be trusted serves nobody else


def test_an_upstream_that_answers_twice() -> None:
    """Its second answer is nobody's: not this client's, and not that of the next request."""

    def answer(body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body

    async def twice(_: Received, wire: Wire) -> None:
        await wire.send(answer(b"first") + answer(b"evil!"))

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/twice", twice)
        for _ in range(3):
            client.get("/twice")
            assert client.read_response().body == b"first"
            client.get("/hello")
            assert client.read_response().body == b"hello world\n"


def test_an_upstream_that_goes_on_speaking_when_nothing_was_asked() -> None:
    gate = Gate()

    async def chatty(_: Received, wire: Wire) -> None:
        await wire.respond(200, b"first")
        await gate.wait()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/chatty", chatty)
        client.get("/chatty")
        assert client.read_response().body == b"first"
        gate.open()
        origin.closed(0)
        client.get("/hello")
        assert client.read_response().body == b"hello world\n"
        assert origin.requests_by_connection == [1, 1]


def test_interim_heads_without_end_are_no_response() -> None:
    async def hints(_: Received, wire: Wire) -> None:
        for _turn in range(10_000):
            await wire.head(103, (b"Link", b"</a>; rel=preload"))
        await wire.gone()

    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        origin.on("/hints", hints)
        client.get("/hints")
        while (head := client.read_head()).status == 103:
            pass
        assert head.status == 502
        assert gateway.record()["error"] == "head_too_large"


# A client that speaks while it listens.


def reader_bytes(gateway: RunningGateway) -> int:
    return gateway.call(lambda: sum(one.reader.held_bytes for one in gateway.gateway._connections))


@pytest.mark.parametrize("said", [b"\0", b"nonsense", b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n" * 50])
def test_a_client_that_speaks_while_it_listens_hears_its_stream_to_the_end(said: bytes) -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[A, A])
        client.get("/events")
        client.read_head()
        assert client.read_event().data == A
        client.send(said)
        eventually(lambda: reader_bytes(gateway) == len(said), "what was said")
        stream.confirm(0)
        assert client.read_event().data == A
        stream.confirm(1)
        assert client.read_body() == b""
        assert gateway.ending(event="stream_ended") == "complete"
        if said.startswith(b"GET"):
            assert client.read_until(b"hello world\n")
        elif said != b"nonsense":
            assert b"HTTP/1.1 400 " in client.read_rest()


def test_what_a_client_says_while_it_listens_is_held_up_to_a_limit() -> None:
    """Then it is not read; that it leaves is noticed all the same."""
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/events", steps=[A, A], end="hold")
        client.get("/events")
        client.read_head()
        assert client.read_event().data == A
        eventually(lambda: speak_on(client, gateway), "a client that is not read")
        assert HELD_BYTES < reader_bytes(gateway) <= HELD_BYTES + READ_BYTES
        stream.confirm(0)
        assert client.read_event().data == A
        client.reset()
        assert gateway.ending(event="stream_ended") == "client_gone"
        assert origin.closed(0)


def speak_on(client: Client, gateway: RunningGateway) -> bool:
    """Send what the connection takes without waiting; say whether the gateway reads it no longer."""
    with contextlib.suppress(BlockingIOError):
        client.socket.send(bytes(65536), socket.MSG_DONTWAIT)
    return gateway.call(lambda: all(one._watched is not None for one in gateway.gateway._connections))


def test_a_client_that_speaks_on_after_its_answer_is_not_read_for_ever() -> None:
    with Origin() as origin, served(origin) as gateway, Client(gateway.port) as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.read_response().status == 400
        sent = 0
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever write meets the end
            while sent < 100 * LINGER_BYTES:
                client.socket.sendall(bytes(65536))
                sent += 65536
        assert not origin.requests
        gateway.wait_counter("connections_open", 0)
