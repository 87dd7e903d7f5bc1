"""A client that leaves while its route lets the upstream finish (``on_client_gone: finish``)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually
from tests.server.dead_ends import blackhole
from tests.server.policy_plugin import governed

from headgate.server.gone import GONE
from headgate.stream.policy import OnClientGone, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent

A, B, C = b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def finishing(**fields: Any) -> StreamPolicy:
    return StreamPolicy(on_client_gone=OnClientGone.FINISH, **fields)


def leave(client: Client, how: str) -> None:
    """Leave, and wait until the gateway has seen it."""
    if how == "rst":
        client.reset()
    else:
        client.half_close()
        client.read_rest()


def detached(gateway: RunningGateway) -> int:
    """Give how many exchanges run for nobody."""
    return gateway.call(lambda: len(gateway.gateway.detached))


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_leaves_between_two_events(how: str) -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, B, C])
        client.get("/")
        client.read_head()
        assert client.read_event().data == A
        leave(client, how)
        eventually(lambda: detached(gateway) == 1, "nobody")
        gateway.wait_counter("connections_open", 0)
        assert gateway.counter("streams_open") == 1
        stream.confirm_all()
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["events"], record["bytes"]) == ("client_gone", 1, len(A))
        assert detached(gateway) == 0
        assert get(gateway.port, "/").body == A + B + C
        assert origin.requests_by_connection == [2]  # it was read to its end, so it is used again


def test_a_client_that_leaves_inside_an_event() -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[b"data: half", b" done\n\n", B])
        client.get("/")
        client.read_head()
        client.read_chunk()
        leave(client, "fin")
        stream.confirm_all()
        assert gateway.ending(event="stream_ended") == "client_gone"
        assert get(gateway.port, "/").body == b"data: half done\n\n" + B
        assert origin.requests_by_connection == [2]


def test_a_client_that_leaves_before_the_head() -> None:
    gate = Gate()

    async def late(_: Received, wire: Wire) -> None:
        await gate.wait()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A)
        await wire.last_chunk()

    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", late)
        client.get("/")
        origin.request(0)
        leave(client, "fin")
        gate.open()
        record = gateway.record(event="stream_ended")
        assert (record["ending"], record["status"], record["bytes"]) == ("client_gone", 200, 0)
        assert get(gateway.port, "/").body == A
        assert origin.requests_by_connection == [2]


def test_a_client_that_leaves_before_a_target_is_reached() -> None:
    timeout = {"connect": 0.3, "send": 1, "read": 1}
    with (
        blackhole() as silent,
        governed(finishing(), silent, timeout=timeout) as gateway,
        Client(gateway.port) as client,
    ):
        client.get("/")
        gateway.wait_counter("requests", 1)
        leave(client, "fin")
        assert gateway.ending() == "client_gone"
        eventually(lambda: gateway.call(lambda: not gateway.gateway._tasks), "end of the task")


def test_a_client_that_leaves_with_its_upload_under_way_is_as_gone_as_any() -> None:
    async def listen(received: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A)
        await received.body()

    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", listen)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        client.read_head()
        client.read_event()
        client.reset()
        assert origin.closed(0)
        assert gateway.ending(event="stream_ended") == "client_gone"
        assert detached(gateway) == 0


def test_a_client_that_leaves_with_its_upload_done() -> None:
    gate = Gate()

    async def listen(received: Received, wire: Wire) -> None:
        body = await received.body()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A)
        await gate.wait()
        await wire.chunk(b"data: %b\n\n" % body)
        await wire.last_chunk()

    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", listen)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        client.read_head()
        client.read_event()
        client.reset()
        eventually(lambda: detached(gateway) == 1, "nobody")
        gate.open()
        assert gateway.ending(event="stream_ended") == "client_gone"
        assert origin.connections[0].closed_by_peer is None


def test_a_response_that_is_no_stream_finishes_too() -> None:
    gate = Gate()

    async def halves(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"8"))
        await wire.send(b"half")
        await gate.wait()
        await wire.send(b"done")

    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/halves", halves)
        client.get("/halves")
        client.read_head()
        client.read_until(b"half")
        leave(client, "fin")
        gate.open()
        record = gateway.record()
        assert (record["ending"], record["bytes"]) == ("client_gone", 4)
        assert get(gateway.port, "/hello").status == 200
        assert origin.requests_by_connection == [2]


def test_a_client_that_blocked_holds_nothing_up_once_it_has_left() -> None:
    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for _turn in range(20_000):
            await wire.chunk(b"data: " + b"x" * 1000 + b"\n\n")
        await wire.last_chunk()

    with Origin() as origin, governed(finishing(), origin) as gateway:
        origin.on("/flood", flood)
        with Client(gateway.port, receive_buffer_bytes=4096) as client:
            client.get("/flood")
            client.read_head()
            blocked = lambda: any(one.is_blocked for one in gateway.gateway._connections)  # noqa: E731
            eventually(lambda: gateway.call(blocked), "a client that blocks")
            client.reset()
        record = gateway.record(event="stream_ended")
        assert record["ending"] == "client_gone"
        assert record["bytes"] < 20_000_000
        assert get(gateway.port, "/hello").status == 200
        assert origin.requests_by_connection == [2]


@pytest.mark.parametrize(("end", "framing"), [("fin", "chunked"), ("rst", "chunked"), ("proper", "close")])
def test_an_upstream_that_breaks_off_for_nobody(end: Any, framing: Any) -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, B], end=end, framing=framing)
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        stream.confirm_all()
        assert gateway.ending(event="stream_ended") == "client_gone"


def test_nothing_is_written_for_nobody() -> None:
    """Neither keep-alives nor a terminal event."""
    policy = finishing(keepalive_s=0.1, terminal_event=TerminalEvent.parse("plain"))
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, B], end="rst")
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        eventually(lambda: detached(gateway) == 1, "nobody")
        before = gateway.call(lambda: [one.relay.keepalives for one in gateway.gateway.streams.values() if one.relay])
        threading.Event().wait(0.5)  # five times the keep-alive's
        stream.confirm_all()
        record = gateway.record(event="stream_ended")
        assert ([record["keepalives"]], record["ending"]) == (before, "client_gone")


def test_a_silent_upstream_is_still_cut_by_its_read_timeout() -> None:
    timeout = {"connect": 5, "send": 5, "read": 0.3}
    with Origin() as origin, governed(finishing(), origin, timeout=timeout) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[A], end="hold")
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        assert origin.closed(0)
        assert gateway.ending(event="stream_ended") == "client_gone"


def test_the_clocks_of_events_go_on_for_nobody() -> None:
    """An upstream that speaks in time may finish; one that falls silent is cut."""
    gate = Gate()

    async def speak(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for _turn in range(12):
            await wire.chunk(A)
            await asyncio.sleep(0.1)
        gate.open()
        await wire.gone()

    policy = finishing(first_event_s=0.5, event_gap_s=0.5)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", speak)
        client.get("/")
        client.read_head()
        leave(client, "fin")
        origin.closed(0)
        assert gate.is_open
        assert gateway.ending(event="stream_ended") == "client_gone"


def test_the_longest_duration_holds_for_nobody_too() -> None:
    policy = finishing(max_duration_s=0.3)
    with Origin() as origin, governed(policy, origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[A], end="hold")
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        assert origin.closed(0)
        assert gateway.ending(event="stream_ended") == "client_gone"


# headgate stops.


def test_a_stop_waits_for_an_upstream_that_finishes() -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        stream = origin.events("/*", steps=[A, B, C])
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        eventually(lambda: detached(gateway) == 1, "nobody")
        stopping = threading.Thread(target=gateway.stop, kwargs={"window_s": 25})
        stopping.start()
        eventually(lambda: gateway.gateway.is_stopping, "the stop")
        stream.confirm(0)
        eventually(lambda: len(stream.sent_at) == 2, "an event for nobody")
        assert gateway.records("stream_ended") == []
        assert origin.connections[0].closed_by_peer is None
        stream.confirm_all()
        assert gateway.ending(event="stream_ended") == "client_gone"
        stopping.join(15)
        assert not stopping.is_alive()  # long before the window's end


def test_a_stop_cuts_an_upstream_that_does_not_finish() -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.events("/*", steps=[A], end="hold")
        client.get("/")
        client.read_head()
        client.read_event()
        leave(client, "fin")
        eventually(lambda: detached(gateway) == 1, "nobody")
        assert 0.35 < gateway.stop(window_s=0.4) < 5
        assert origin.closed(0)
        assert gateway.ending(event="stream_ended") == "client_gone"


def test_a_stop_cuts_what_has_no_head_yet() -> None:
    async def never(_: Received, wire: Wire) -> None:
        await wire.gone()

    with Origin() as origin, governed(finishing(), origin) as gateway, Client(gateway.port) as client:
        origin.on("/*", never)
        client.get("/")
        origin.request(0)
        leave(client, "fin")
        assert gateway.stop(window_s=0.2) < 5
        assert origin.closed(0)
        assert gateway.ending() == "client_gone"


def test_nothing_is_left_of_many_that_leave() -> None:
    with Origin() as origin, governed(finishing(), origin) as gateway:
        stream = origin.events("/*", steps=[A, B])
        clients = [Client(gateway.port) for _ in range(20)]
        for client in clients:
            client.get("/")
            client.read_head()
            client.read_event()
        for client in clients:
            client.reset()
        eventually(lambda: detached(gateway) == 20, "nobody, twenty times")
        stream.confirm_all()
        gateway.record(event="stream_ended", count=20)
        assert detached(gateway) == 0
        assert gateway.counter("streams_open") == 0
        assert gateway.counter("streams_ended", ending="client_gone") == 20
        assert {wire.closed_by_peer for wire in origin.connections} == {None}


def test_nobody_takes_everything_and_says_nothing() -> None:
    assert not GONE.is_blocked
    assert GONE.chunk_passer is None
    GONE.piece_sender(b"x")
    GONE.send_piece(b"x")
    GONE.end_body()
    GONE.break_body()
