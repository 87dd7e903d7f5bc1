"""Whatever an upstream sends as a stream, and a client while it listens, ends as it must, in bounded memory, and harms no other.

After each case the worker is the one that it was, and the next request is answered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.client import Client, get, request
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.system.guarded_routes import CHUNKED, CLOSE, GuardedRoutes, read_to_end, resident_kib

A, B = b"data: a\n\n", b"data: b\n\n"
MIB = 1024 * 1024
LINE = b"x" * 65536
GROWN_KIB = 16 * 1024
"""What 10 MiB in one event may add to a worker: an event that is held is bounded by 1 MiB, and freed memory is not all given back."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
IN_CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"

Handler = Callable[[Received, Wire], Awaitable[None]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRoutes]:
    with Origin() as origin, Program(tmp_path_factory.mktemp("stream-input")) as program:
        routes = GuardedRoutes(program, origin)
        routes.route("hello")
        assert get(program.port, "/hello").status == 200
        yield routes


@pytest.fixture
def routes(running: GuardedRoutes) -> Iterator[GuardedRoutes]:
    worker = running.worker
    yield running
    assert get(running.port, "/hello").body == b"hello world\n"
    assert running.worker == worker
    assert [one for one in running.program.log("") if one["level"] in {"error", "critical"}] == []


# -- framing ----------------------------------------------------------------------------------------------------------------


class Framing(NamedTuple):
    """What the upstream sends before it closes; what the client has of it; the ending."""

    sent: bytes
    body: bytes
    ending: str


FRAMINGS = {
    "length too short": Framing(OK + b"Content-Length: 9\r\n\r\n" + A + B, A, "complete"),
    "length too long": Framing(OK + b"Content-Length: 19\r\n\r\n" + A + B, A + B, "upstream_eof"),
    "no chunk size": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n\r\n", A, "upstream_protocol_error"),
    "no number": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\nx9\r\n" + B, A, "upstream_protocol_error"),
    "negative size": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n-9\r\n" + B, A, "upstream_protocol_error"),
    "size without end": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n" + b"0" * 100_000, A, "upstream_protocol_error"),
    "huge size": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n" + b"f" * 17 + b"\r\n", A, "upstream_protocol_error"),
    "longer than its chunk": Framing(IN_CHUNKS + b"9\r\n" + A + B + b"\r\n", A, "upstream_protocol_error"),
    "cut in a chunk": Framing(IN_CHUNKS + b"12\r\n" + A, A, "upstream_eof"),
    "cut in a size": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n1", A, "upstream_eof"),
    "cut in the end": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n0\r\n", A, "upstream_eof"),
    "trailers without end": Framing(
        IN_CHUNKS + b"9\r\n" + A + b"\r\n0\r\n" + b"X-A: b\r\n" * 20_000, A, "upstream_protocol_error"
    ),
    "more behind the end": Framing(IN_CHUNKS + b"9\r\n" + A + b"\r\n0\r\n\r\n" + B, A, "complete"),
    "two answers": Framing(
        IN_CHUNKS + b"9\r\n" + A + b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", A, "complete"
    ),
}


@pytest.mark.parametrize("guard", [{}, {"terminal_event": "event: over\ndata: $ending"}], ids=["", "terminal"])
@pytest.mark.parametrize("case", FRAMINGS)
def test_a_framing(routes: GuardedRoutes, case: str, guard: dict[str, Any]) -> None:
    framing = FRAMINGS[case]
    name = case.replace(" ", "-") + str(len(guard))

    async def send(_: Received, wire: Wire) -> None:
        await wire.send(framing.sent)
        await wire.gone()  # it is trusted no longer, so it is closed from there

    async def send_and_close(_: Received, wire: Wire) -> None:
        await wire.send(framing.sent)
        wire.fin()

    routes.route(name, guard)
    routes.origin.on(f"/{name}", send_and_close if framing.ending == "upstream_eof" else send)
    with Client(routes.port) as client:
        client.get(f"/{name}", CLOSE)
        seen = read_to_end(client)
    is_told = guard and framing.ending != "complete" and b"Content-Length" not in framing.sent
    told = b"event: over\ndata: %b\n\n" % framing.ending.encode() if is_told else b""
    assert seen.data == framing.body + told
    assert seen.is_whole is (framing.ending == "complete")
    assert routes.record(name)["ending"] == framing.ending
    if framing.ending != "upstream_eof":
        routes.origin.closed(routes.origin.requests[-1].connection)


def test_an_answer_that_nobody_asked_for_is_nobodys(routes: GuardedRoutes) -> None:
    """It comes after the first was done with; the next request must not get it."""
    more = Gate()

    async def answer_twice(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A)
        await wire.last_chunk()
        await more.wait()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await wire.gone()

    routes.route("twice")
    routes.origin.on("/twice", answer_twice)
    with Client(routes.port) as client:
        client.get("/twice")
        assert client.read_response().body == A
        more.open()
        routes.origin.closed(routes.origin.requests[-1].connection)
        for _ in range(3):
            client.get("/hello")
            assert client.read_response().body == b"hello world\n"


# -- events -----------------------------------------------------------------------------------------------------------------

ODD = {
    "lone CRs": b"\r" * 100_000,
    "lone LFs": b"\n" * 100_000,
    "fields ended by CR": b"data: a\rdata: b\r\rdata: c\r\r",
    "NUL in an id": b"id: a\0b\ndata: a\n\n",
    "NULs": b"data: \0\0\n\n\0\n\n",
    "no UTF-8": b"data: \xff\xfe\n\nid: \xc0\xaf\ndata: a\n\n",
    "another coding's BOM": b"\xff\xfed\0a\0t\0a\0:\0 \0a\0\n\0\n\0",
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n",
    "unknown fields": b"dat: a\nDATA: b\n data: c\n\n",
    "a retry that is no time": b"retry: -1\nretry: 99999999999999999999999\nretry: x\ndata: a\n\n",
    "many lines": b"data\n" * 50_000 + b"\n",
    "no blank line": b"data: a\n\ndata: b",
    "nothing": b"",
    "what looks like HTTP": b"HTTP/1.1 200 OK\r\n\r\n0\r\n\r\ndata: a\r\n\r\n",
}


@pytest.mark.parametrize(
    "guard",
    [{}, {"terminal_event": "plain", "max_bytes": 10 * MIB, "peek": {"rules": [{"event": "error"}]}}],
    ids=["", "all"],
)
def test_odd_events_pass_as_they_are(routes: GuardedRoutes, guard: dict[str, Any]) -> None:
    name = f"odd{len(guard)}"

    async def send(received: Received, wire: Wire) -> None:
        body = list(ODD.values())[int(received.query)]
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for piece in (body[:7], body[7:8], body[8:]):
            if piece:
                await wire.chunk(piece)
        await wire.last_chunk()

    routes.route(name, plugins={"stream-guard": guard, "stream-log": {"data_bytes": 8}} if guard else {})
    routes.origin.on(f"/{name}", send)
    for number, (case, body) in enumerate(ODD.items()):
        assert get(routes.port, f"/{name}?{number}").body == body, case
        target = f"/{name}?{number}"
        record = routes.program.wait_record(lambda one, to=target: "ending" in one and one["target"] == to)  # type: ignore[misc]
        assert (record["ending"], record["bytes"]) == ("complete", len(body)), case


# -- without end ------------------------------------------------------------------------------------------------------------


def endless(start: bytes, piece: bytes) -> Handler:
    """Send one event of 64 MiB and more, until the peer goes."""

    async def send(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A + start)
        with suppress(ConnectionError):
            for _turn in range(1024):
                await wire.chunk(piece)
            wire.fin()

    return send


ENDLESS = {
    "one line": (b"data: ", LINE),
    "many lines": (b"", b"data: x\n" * 8000),
    "a comment": (b": ", LINE),
    "an id": (b"id: ", LINE),
    "CRLFs in half": (b"", b"data: x\r\n" * 8000),
}
BIG_GUARDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "terminal": {"terminal_event": "plain"},
    "marker": {"completeness": "data: [DONE]"},
    "peek": {"peek": {"rules": [{"event": "error"}]}},
}


@pytest.mark.parametrize("guard", BIG_GUARDS)
@pytest.mark.parametrize("case", ENDLESS)
def test_an_event_without_end(routes: GuardedRoutes, case: str, guard: str) -> None:
    name = f"{case.replace(' ', '-')}-{guard}"
    before_kib = resident_kib(routes.worker)
    routes.route(name, BIG_GUARDS[guard])
    routes.origin.on(f"/{name}", endless(*ENDLESS[case]))
    with Client(routes.port) as client:
        client.get(f"/{name}", CLOSE)
        seen = read_to_end(client)
    assert not seen.is_whole
    assert seen.data.startswith(A)
    assert len(seen.data) <= len(A) + MIB
    record = routes.record(name)
    assert (record["ending"], record["events"]) == ("max_event_bytes", 1)
    if guard == "terminal":
        told = json.loads(seen.data.removeprefix(A + b"event: error\ndata: "))
        assert told["ending"] == "max_event_bytes", "and nothing of the event"
    routes.origin.closed(routes.origin.requests[-1].connection)
    assert resident_kib(routes.worker) - before_kib < GROWN_KIB


@pytest.mark.parametrize("guard", BIG_GUARDS)
def test_ten_mebibytes_in_one_line_where_that_is_allowed(routes: GuardedRoutes, guard: str) -> None:
    name = f"ten-{guard}"

    async def send(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(b"data: ")
        for _turn in range(160):
            await wire.chunk(LINE)
        await wire.chunk(b"\n\ndata: [DONE]\n\n")
        await wire.last_chunk()

    routes.route(name, {"max_event_bytes": 0, **BIG_GUARDS[guard]})
    routes.origin.on(f"/{name}", send)
    before_kib = resident_kib(routes.worker)
    assert get(routes.port, f"/{name}").body == b"data: " + LINE * 160 + b"\n\ndata: [DONE]\n\n"
    record = routes.record(name)
    assert (record["ending"], record["events"]) == ("complete", 2)
    assert resident_kib(routes.worker) - before_kib < GROWN_KIB


def test_ten_mebibytes_for_a_client_that_reads_nothing(routes: GuardedRoutes) -> None:
    """The upstream is pushed back: what waits in the worker is what its buffers hold."""
    routes.route("unread", {"max_event_bytes": 0})
    sent: list[int] = []

    async def send(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for number in range(10_000):
            await wire.chunk(LINE)
            sent.append(number)

    routes.origin.on("/unread", send)
    before_kib = resident_kib(routes.worker)
    with Client(routes.port, receive_buffer_bytes=4096) as client:
        client.get("/unread")
        client.read_head()
        stream_id = routes.record("unread", "stream_opened")["id"]
        routes.program.wait_for(lambda: is_blocked(routes, stream_id), "the push back")
        assert resident_kib(routes.worker) - before_kib < GROWN_KIB
        assert len(sent) < 1000
        client.reset()
    assert routes.record("unread")["ending"] == "client_gone"


def is_blocked(routes: GuardedRoutes, stream_id: str) -> bool:
    """Say whether the stream table says that its client takes nothing."""
    return bool(routes.program.admin("GET", f"/headgate/streams/{stream_id}").json.get("blocked_s"))


# -- a client that speaks while it listens -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [(b"garbage\r\n\r\n", 400, b"malformed"), (b"\0" * 100, 400, b"NUL"), (b"data: my own\n\n", 400, b"")],
)
def test_garbage_behind_the_request_waits_for_its_turn(
    routes: GuardedRoutes, said: bytes, status: int, detail: bytes
) -> None:
    name = f"speaks{len(said)}"
    routes.route(name, {})
    stream = routes.origin.events(f"/{name}", steps=[A, B])
    with Client(routes.port) as client:
        client.get(f"/{name}")
        client.read_head()
        assert client.read_event().data == A
        client.send(said)
        stream.confirm_all()
        assert client.read_body() == B
        answer = client.read_response()
        assert answer.status == status
        assert detail in answer.body
        assert client.read_end() == "fin"
    assert routes.record(name)["ending"] == "complete"


def test_a_request_behind_the_request_is_answered_after_it(routes: GuardedRoutes) -> None:
    routes.route("first", {})
    stream = routes.origin.events("/first", steps=[A, B])
    with Client(routes.port) as client:
        client.get("/first")
        client.read_head()
        assert client.read_event().data == A
        client.get("/hello")
        stream.confirm_all()
        assert client.read_body() == B
        assert client.read_response().body == b"hello world\n"


def test_more_than_is_held_waits_with_the_client(routes: GuardedRoutes) -> None:
    """The client is not read any further, its stream goes on, and its leave is noticed all the same."""
    routes.route("shouts", {})
    stream = routes.origin.events("/shouts", steps=[A, B], end="hold")
    before_kib = resident_kib(routes.worker)
    with Client(routes.port) as client:
        client.get("/shouts")
        client.read_head()
        assert client.read_event().data == A
        client.socket.settimeout(1.0)
        with suppress(TimeoutError):
            for _ in range(1000):
                client.socket.sendall(b"\0" * 65536)
            raise AssertionError("64 MB were taken in")
        client.socket.settimeout(client.timeout_s)
        assert resident_kib(routes.worker) - before_kib < GROWN_KIB
        stream.confirm_all()
        assert client.read_event().data == B
        client.reset()
        routes.origin.closed(routes.origin.requests[-1].connection)
    assert routes.record("shouts")["ending"] == "client_gone"


def test_an_upload_that_an_upstream_takes_late_has_its_send_timeout(tmp_path: Path) -> None:
    """That its buffers are full is no sign that it has vanished, so ``tcp.user_timeout_s`` does not hold for it."""

    async def take_late(received: Received, wire: Wire) -> None:
        wire.pause_reading()
        await asyncio.sleep(3.0)
        wire.resume_reading()
        await wire.respond(200, b"%d\n" % len(await received.body()))

    body = b"x" * 32 * MIB
    with Origin() as origin, Program(tmp_path, environ={"HEADGATE_TCP_USER_TIMEOUT_S": "1"}) as program:
        origin.on("/late", take_late)
        program.route("late", "/late", origin.address)
        head = b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        response = request(program.port, head + body)
        assert (response.status, response.body) == (200, b"%d\n" % len(body))
