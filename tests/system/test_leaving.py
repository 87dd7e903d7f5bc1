"""A client that leaves frees its upstream at once, whatever the moment, unless the route lets the upstream finish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_gateway import eventually
from tests.running_program import Program
from tests.server.dead_ends import blackhole
from tests.system.guarded_routes import CHUNKED, GuardedRoutes, leave

A, B = b"data: a\n\n", b"data: b\n\n"
HALF, OTHER_HALF = b"data: the first ha", b"lf\n\n"
FLOOD = b"data: " + b"x" * 8000 + b"\n\n"
FLOODS = 4000
PEEK = {"peek": {"timeout_s": 300, "rules": [{"event": "error"}]}}
FINISH = {"on_client_gone": "finish"}
SYN_SENT = "02"


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRoutes]:
    with Origin() as origin, Program(tmp_path_factory.mktemp("leaving")) as program:
        yield GuardedRoutes(program, origin)


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin of the test's own, whose connections are counted from 0."""
    with Origin() as origin:
        yield origin


@pytest.fixture(params=["fin", "rst"])
def how(request: pytest.FixtureRequest) -> str:
    """How the client leaves."""
    return str(request.param)


class Phase:
    """Brings a client into a phase, and says what the upstream does when it goes on from there."""

    def __init__(
        self,
        until: Callable[[Client, Origin], None],
        handler: Callable[[Gate], Callable[[Received, Wire], Awaitable[None]]],
        guard: dict[str, Any] | None = None,
        *,
        event: str = "stream_ended",
        is_small: bool = False,
    ) -> None:
        self.until = until
        self.handler = handler
        self.guard = guard or {}
        self.event = event
        self.receive_buffer_bytes = 4096 if is_small else None


def streaming(*pieces: bytes, rest: bytes) -> Callable[[Gate], Callable[[Received, Wire], Awaitable[None]]]:
    """Send a head and pieces, and the rest through the gate."""

    def make(gate: Gate) -> Callable[[Received, Wire], Awaitable[None]]:
        async def stream(_: Received, wire: Wire) -> None:
            await wire.head(200, EVENT_STREAM, CHUNKED)
            for piece in pieces:
                await wire.chunk(piece)
            await gate.wait()
            await wire.chunk(rest)
            await wire.last_chunk()

        return stream

    return make


def held(gate: Gate) -> Callable[[Received, Wire], Awaitable[None]]:
    async def stream(_: Received, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\n: hello\n\n\r\n"
        )
        await gate.wait()
        await wire.chunk(A)
        await wire.last_chunk()

    return stream


def without_head(gate: Gate) -> Callable[[Received, Wire], Awaitable[None]]:
    async def answer(_: Received, wire: Wire) -> None:
        await gate.wait()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(A)
        await wire.last_chunk()

    return answer


def flooding(_: Gate) -> Callable[[Received, Wire], Awaitable[None]]:
    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for _turn in range(FLOODS):
            await wire.chunk(FLOOD)
        await wire.last_chunk()

    return flood


def until_asked(_: Client, origin: Origin) -> None:
    origin.request()


def until_held(client: Client, _: Origin) -> None:
    """What came in one read with the interim head is with the gateway too."""
    assert client.read_head().status == 103


def until_event(client: Client, _: Origin) -> None:
    client.read_head()
    assert client.read_event().data == A


def until_half(client: Client, _: Origin) -> None:
    client.read_head()
    assert client.read_chunk().data == HALF


def until_blocked(client: Client, origin: Origin) -> None:
    """The client reads nothing; the pieces that wait have pushed back as far as the origin."""
    client.read_head()
    eventually(lambda: not origin.connections[0]._writable.is_set(), "the push back")


PHASES = {
    "before the head": Phase(until_asked, without_head, event="request_ended"),
    "head held by a peek": Phase(until_held, held, PEEK, event="request_ended"),
    "before an event": Phase(lambda client, _: check_head(client), streaming(rest=A)),
    "between events": Phase(until_event, streaming(A, rest=B)),
    "within an event": Phase(until_half, streaming(HALF, rest=OTHER_HALF)),
    "by whole events": Phase(
        lambda client, _: check_head(client), streaming(HALF, rest=OTHER_HALF), {"terminal_event": "plain"}
    ),
    "blocked": Phase(until_blocked, flooding, is_small=True),
}


def check_head(client: Client) -> None:
    assert client.read_head().status == 200


@contextmanager
def in_phase(
    routes: GuardedRoutes, origin: Origin, name: str, phase: Phase, gate: Gate, **guard: Any
) -> Iterator[Client]:
    """Bring a client of the route ``name`` into a phase."""
    routes.route(name, phase.guard | guard, origin)
    origin.on(f"/{name}", phase.handler(gate))
    with Client(routes.port, receive_buffer_bytes=phase.receive_buffer_bytes) as client:
        client.get(f"/{name}")
        phase.until(client, origin)
        yield client


def identifier(*parts: str) -> str:
    return "-".join(parts).replace(" ", "-")


@pytest.mark.parametrize("phase", PHASES)
def test_the_upstream_is_closed_at_once(routes: GuardedRoutes, origin: Origin, phase: str, how: str) -> None:
    name = identifier(phase, how)
    with in_phase(routes, origin, name, PHASES[phase], Gate()) as client:
        leave(client, how)
        origin.closed(0)
    assert routes.record(name, PHASES[phase].event)["ending"] == "client_gone"
    routes.wait_metric("headgate_streams_open", 0)


@pytest.mark.parametrize("phase", PHASES)
def test_an_upstream_that_may_finish_does(routes: GuardedRoutes, origin: Origin, phase: str, how: str) -> None:
    name = identifier(phase, how, "finish")
    gate = Gate()
    with in_phase(routes, origin, name, PHASES[phase], gate, **FINISH) as client:
        leave(client, how)
        routes.wait_metric("headgate_connections_open", 0)
        assert (
            not any(one.get("route") == name and "ending" in one for one in routes.program.records)
            or phase == "blocked"
        )
        assert origin.connections[0].closed_by_peer is None
        gate.open()
        assert routes.record(name)["ending"] == "client_gone"
    routes.route("hello", {}, origin)
    assert get(routes.port, "/hello").body == b"hello world\n"
    assert origin.requests_by_connection == [2], "it was read to its end, so it is used again"


def test_queued_behind_a_running_response(routes: GuardedRoutes, origin: Origin, how: str) -> None:
    name = f"queued-{how}"
    routes.route(name, {}, origin)
    origin.events(f"/{name}", steps=[A], end="hold").confirm_all()
    with Client(routes.port) as client:
        for _ in range(3):
            client.get(f"/{name}")
        client.read_head()
        assert client.read_event().data == A
        leave(client, how)
        origin.closed(0)
    assert routes.record(name)["ending"] == "client_gone"
    routes.wait_metric("headgate_connections_open", 0)
    assert len(origin.requests) == 1, "those that were queued are nobody's any more"


@pytest.mark.parametrize("guard", [{}, FINISH], ids=["cancel", "finish"])
def test_connecting(routes: GuardedRoutes, guard: dict[str, Any], how: str) -> None:
    name = f"connecting-{len(guard)}-{how}"
    timeout_s = 0.5 if guard else 300  # it may finish: nothing is to be waited for but the attempt
    with blackhole() as address:
        queued = sockets_to(address)
        routes.route(name, guard, address, timeout={"connect": timeout_s, "send": 300, "read": 300})
        with Client(routes.port) as client:
            client.get(f"/{name}")
            routes.program.wait_for(lambda: bool(sockets_to(address) - queued), "the attempt")
            leave(client, how)
            routes.program.wait_for(lambda: not (sockets_to(address) - queued), "the attempt's end")
    assert routes.record(name, "request_ended")["ending"] == "client_gone"


def sockets_to(address: str) -> set[str]:
    """Give the inodes of the sockets that try to reach an address (proc_net_tcp(5))."""
    host, _, port = address.partition(":")
    there = "".join(f"{int(part):02X}" for part in reversed(host.split("."))) + f":{int(port):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[2] == there and row[3] == SYN_SENT}


@pytest.mark.parametrize("guard", [{}, FINISH], ids=["cancel", "finish"])
@pytest.mark.parametrize(("takes", "how"), [("all", "fin"), ("all", "rst"), ("nothing", "rst")])
def test_during_an_upload(routes: GuardedRoutes, origin: Origin, takes: str, guard: dict[str, Any], how: str) -> None:
    """Nobody can say what half a body means, so the upstream may not finish either.

    Where it takes nothing a FIN stays with the client, behind the bytes that nobody takes: that is TCP's rule.
    """
    name = f"upload-{takes}-{len(guard)}-{how}"

    async def take(request: Received, wire: Wire) -> None:
        if takes == "nothing":
            wire.pause_reading()
            await left.wait()
            wire.resume_reading()
        await request.body()

    left = Gate()
    routes.route(name, guard, origin)
    origin.on(f"/{name}", take)
    with Client(routes.port) as client:
        client.send(b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nthe beginning" % name.encode())
        origin.request()
        if takes == "nothing":
            push_until_blocked(client)
        else:
            origin.wait_for(lambda: origin.requests[0].body_so_far == b"the beginning")
        leave(client, how)
        assert routes.record(name, "request_ended")["ending"] == "client_gone"
        left.open()
        origin.closed(0)


def push_until_blocked(client: Client) -> None:
    """Send until nothing is taken for a while that is long for a machine at work."""
    client.socket.settimeout(1.0)
    try:
        while True:
            client.socket.sendall(b"x" * 65536)
    except TimeoutError:
        client.socket.settimeout(client.timeout_s)


def test_many_that_leave_leave_nothing(routes: GuardedRoutes, origin: Origin) -> None:
    """A hundred, at every moment, and one request afterwards."""
    routes.route("many", {}, origin)
    routes.route("hello", {}, origin)
    origin.events("/many", steps=[A, B], end="hold").confirm_all()
    for number in range(100):
        with Client(routes.port) as client:
            client.get("/many")
            if number % 4:
                client.read_head()
            if number % 4 > 1:
                client.read_event()
            leave(client, "rst" if number % 2 else "fin")
    for gauge in ("connections_open", "streams_open", "upstream_connections_open"):
        routes.wait_metric(f"headgate_{gauge}", 0)
    assert get(routes.port, "/hello").body == b"hello world\n"
