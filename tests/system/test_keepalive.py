"""A silent event stream is kept alive, and is the upstream's byte for byte less what headgate wrote between its events.

The pauses are made by cause: an upstream goes on when its client has the keep-alives that are due, and where none may
come, when those of another stream that is as silent have come.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.system.guarded_routes import CHUNKED, GuardedRoutes

from headgate.wire.sse import EventParser

KEEPALIVE_S = 0.2
COMMENT = b":\n\n"
PING = b"event: ping\ndata: {}\n\n"
BOM = b"\xef\xbb\xbf"
A, B = b"data: a\n\n", b"data: b\n\n"
AWKWARD = (
    BOM + b": hello\n\ndata: a\r\n\r\ndata: b\r\rid: 1\ndata: c\n\n\n\nretry: 5\n\ndata\n\n: x\r\n\n"
    b"event: e\r\ndata: d\ndata: \xc3\xa4\r\n\r\n\rdata: f\r\n\n:c\r\n\r\ndata: g\n\n"
)


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRoutes]:
    environ = {"HEADGATE_STREAMS_KEEPALIVE_S": str(KEEPALIVE_S)}
    with Origin() as origin, Program(tmp_path_factory.mktemp("keepalive"), environ=environ) as program:
        yield GuardedRoutes(program, origin)


@pytest.fixture
def silence(routes: GuardedRoutes) -> Iterator[Client]:
    """A silent stream, whose client sees how often it is time for a keep-alive."""
    routes.route("silence")
    routes.origin.events("/silence", steps=[A], end="hold").confirm_all()
    with Client(routes.port) as client:
        client.get("/silence")
        client.read_head()
        assert client.read_event().data == A
        yield client


def wait_silent(silence: Client, keepalives: int = 3) -> None:
    """Wait until any stream that is silent since before would have been sent so many keep-alives, less one."""
    for _ in range(keepalives):
        assert silence.read_event().data == COMMENT


def test_the_setting_alone_keeps_a_stream_alive(routes: GuardedRoutes) -> None:
    routes.route("plain")
    stream = routes.origin.events("/plain", steps=[A, B])
    with Client(routes.port) as client:
        client.get("/plain")
        client.read_head()
        assert client.read_event().data == A
        for _ in range(3):
            assert client.read_event().data == COMMENT
        stream.confirm_all()
        assert client.read_body().replace(COMMENT, b"") == B
    record = routes.record("plain")
    assert (record["events"], record["ending"]) == (2, "complete")
    assert record["bytes"] == len(A + B), "headgate's own bytes are not the stream's"
    assert record["keepalives"] >= 3


def test_a_route_may_want_none(routes: GuardedRoutes, silence: Client) -> None:
    routes.route("off", {"keepalive_s": 0})
    stream = routes.origin.events("/off", steps=[A, B])
    with Client(routes.port) as client:
        client.get("/off")
        client.read_head()
        assert client.read_event().data == A
        wait_silent(silence, 4)
        stream.confirm_all()
        assert client.read_body() == B
    assert routes.record("off")["keepalives"] == 0


def test_nothing_goes_before_the_first_byte(routes: GuardedRoutes, silence: Client) -> None:
    first = Gate()

    async def late(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await first.wait()
        await wire.chunk(BOM + A)
        await wire.last_chunk()

    routes.route("late", {})
    routes.origin.on("/late", late)
    with Client(routes.port) as client:
        client.get("/late")
        client.read_head()
        wait_silent(silence)
        first.open()
        assert client.read_body() == BOM + A


# -- everywhere in a stream -----------------------------------------------------------------------------------------------


def may_be_between(start: bytes) -> bool:
    """Say whether a stream that starts so is between two blocks, whatever follows: the last line was blank, and is whole."""
    text = start.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.endswith(b"\n\n") and not start.endswith(b"\r")


@pytest.mark.parametrize(
    ("guard", "written"),
    [(None, COMMENT), ({"keepalive_style": "event:ping"}, PING), ({"terminal_event": "plain"}, COMMENT)],
    ids=["comment", "event", "by whole events"],
)
def test_a_pause_anywhere_in_an_awkward_stream(
    routes: GuardedRoutes, silence: Client, guard: dict[str, Any] | None, written: bytes
) -> None:
    assert written not in AWKWARD
    name = f"awkward{len(written)}{len(guard or {})}"
    holds_back = guard is not None and "terminal_event" in guard
    cuts = range(1, len(AWKWARD))
    gates = [Gate() for _ in range(len(AWKWARD))]

    async def pause(request: Received, wire: Wire) -> None:
        cut = int(request.query)
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(AWKWARD[:cut])
        await gates[cut].wait()
        await wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(AWKWARD) - cut, AWKWARD[cut:]))

    routes.route(name, guard)
    routes.origin.on(f"/{name}", pause)
    with ExitStack() as stack:
        clients = {cut: stack.enter_context(Client(routes.port)) for cut in cuts}
        for cut, client in clients.items():
            client.get(f"/{name}?{cut}")
        for cut, client in clients.items():
            client.read_head()
            if may_be_between(AWKWARD[:cut]):
                read_exactly(client, AWKWARD[:cut] + written)
            elif not holds_back:
                read_exactly(client, AWKWARD[:cut])
        wait_silent(silence)
        for gate in gates:
            gate.open()
        for cut, client in clients.items():
            rest = client.read_body()
            if may_be_between(AWKWARD[:cut]):
                assert rest.replace(written, b"") == AWKWARD[cut:]
            elif not holds_back:
                assert rest == AWKWARD[cut:], f"something was written at {cut}"
            else:
                assert rest.replace(written, b"") == AWKWARD, f"something is lost or cut at {cut}"
                assert events(rest) == events(AWKWARD)


def read_exactly(client: Client, expected: bytes) -> None:
    """Read chunks until they are these bytes."""
    got = b""
    while len(got) < len(expected):
        got += client.read_chunk().data
    assert got == expected


def events(stream: bytes) -> list[tuple[str, str, str]]:
    """Give what a client dispatches."""
    return [(event.type, event.data, event.last_event_id) for event in EventParser().feed(stream)]


@pytest.mark.parametrize(("start", "rest", "left"), [(b"\xef\xbb", b"\xbf" + A, A), (b"\xef\xbb", A, b"\xef\xbb" + A)])
def test_early_keep_alives_drop_a_bom_that_comes_in_pieces(
    routes: GuardedRoutes, start: bytes, rest: bytes, left: bytes
) -> None:
    name = f"early{len(left)}"
    routes.route(name, {"early_keepalive": True})
    steps = routes.origin.events(f"/{name}", steps=[start, rest])
    with Client(routes.port) as client:
        client.get(f"/{name}")
        client.read_head()
        for _ in range(3):
            assert client.read_event().data == COMMENT
        steps.confirm_all()
        assert client.read_body().replace(COMMENT, b"") == left


# -- where nothing is written ------------------------------------------------------------------------------------------------

LENGTH = (b"Content-Length", b"%d" % len(A + B))
PACKED = gzip.compress(A + B)
UNTOUCHED = {
    "status": (404, [EVENT_STREAM, CHUNKED], A, B),
    "sized": (200, [EVENT_STREAM, LENGTH], A, B),
    "encoded": (200, [EVENT_STREAM, CHUNKED, (b"Content-Encoding", b"gzip")], PACKED[:10], PACKED[10:]),
    "type": (200, [(b"Content-Type", b"application/x-ndjson"), CHUNKED], b'{"n":1}\n\n', b'{"n":2}\n\n'),
}


@pytest.mark.parametrize("guard", [None, {"early_keepalive": True, "terminal_event": "plain"}], ids=["", "early"])
def test_where_nothing_is_ever_written(routes: GuardedRoutes, silence: Client, guard: dict[str, Any] | None) -> None:
    gate = Gate()

    async def pause(request: Received, wire: Wire) -> None:
        status, fields, first, rest = UNTOUCHED[request.query.decode()]
        await wire.head(status, *fields)
        send = wire.chunk if CHUNKED in fields else wire.send
        await send(first)
        await gate.wait()
        await send(rest)
        if CHUNKED in fields:
            await wire.last_chunk()

    name = f"untouched{len(guard or {})}"
    routes.route(name, guard)
    routes.origin.on(f"/{name}", pause)
    with ExitStack() as stack:
        clients = {why: stack.enter_context(Client(routes.port)) for why in UNTOUCHED}
        for why, client in clients.items():
            client.get(f"/{name}?{why}")
            assert client.read_head().status == UNTOUCHED[why][0]
        wait_silent(silence)
        gate.open()
        for why, client in clients.items():
            assert client.read_body() == b"".join(UNTOUCHED[why][2:]), why
    for why in UNTOUCHED:
        record = routes.program.wait_record(lambda one, why=why: ended(one, f"/{name}?{why}"))  # type: ignore[misc]
        assert (record["untouched"], record["keepalives"], record["ending"]) == (why, 0, "complete")


def ended(record: dict[str, Any], target: str) -> bool:
    return (record["event"], record.get("target")) == ("stream_ended", target)


def test_nothing_is_written_behind_the_answer_to_a_head(routes: GuardedRoutes, silence: Client) -> None:
    async def head(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)

    routes.route("head", {"early_keepalive": True})
    routes.route("hello")
    routes.origin.on("/head", head)
    with Client(routes.port) as client:
        client.send(b"HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head().get(b"content-type") == b"text/event-stream"
        wait_silent(silence)
        client.get("/hello")
        assert client.read_response().body == b"hello world\n"


# -- beside the upstream's own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ping", [b": ping\n\n", b"data: tick\n\n", b": p\r\n\r\n"], ids=["comment", "event", "CRLF"])
def test_none_is_added_to_an_upstreams_own(routes: GuardedRoutes, ping: bytes) -> None:
    async def pings(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for _turn in range(40):
            await wire.chunk(ping)
            await asyncio.sleep(0.05)  # a twentieth of the route's
        await wire.last_chunk()

    name = f"pings{len(ping)}"
    routes.route(name, {"keepalive_s": 1.0})
    routes.origin.on(f"/{name}", pings)
    assert get(routes.port, f"/{name}").body == ping * 40
    assert routes.record(name)["keepalives"] == 0


def test_pings_that_come_too_seldom_have_keep_alives_between_them(routes: GuardedRoutes) -> None:
    ping = b": own\n\n"
    routes.route("seldom")
    stream = routes.origin.events("/seldom", steps=[ping] * 3)
    with Client(routes.port) as client:
        client.get("/seldom")
        client.read_head()
        for step in range(3):
            while client.read_event().data != ping:
                pass
            assert client.read_event().data == COMMENT
            stream.confirm(step)
        assert client.read_body().replace(COMMENT, b"") == b""
