"""Each word for why an exchange ended: how it comes about, what the client sees, and where else it stands.

It is the same word in the access log, in the metrics and in the terminal event, and it is counted once.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.client import Client, Head, get, request
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.server.dead_ends import blackhole, closed_port
from tests.system.guarded_routes import CHUNKED, CLOSE, GuardedRoutes, Seen, leave, take_apart

from headgate.stream.ending import Ending

A, B = b"data: a\n\n", b"data: b\n\n"
HALF = b"data: the first ha"
BIG = b"data: " + b"x" * 200 + b"\n\n"
COMMENT = b": not an event\n\n"
METRICS = ("headgate_exchanges_ended_total", "headgate_streams_ended_total")
RETRY = re.compile(rb"retry: ([0-9]+)\n\n")
TOLD = b"event: over\ndata: %b\n\n"
TERMINAL = "event: over\ndata: $ending"
READ_TIMEOUT = {"timeout": {"connect": 10, "send": 10, "read": 0.3}}
SOON_S = 0.3

Then = Callable[[Wire], Awaitable[None]]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRoutes]:
    environ = {"HEADGATE_HTTP_SEND_TIMEOUT_S": "0.5", "HEADGATE_DRAIN_WINDOW_S": "1"}
    with Origin() as origin, Program(tmp_path_factory.mktemp("endings"), environ=environ) as program:
        yield GuardedRoutes(program, origin)


# -- what upstreams and clocks do ---------------------------------------------------------------------------------------


async def end_properly(wire: Wire) -> None:
    await wire.last_chunk()


async def close(wire: Wire) -> None:
    await wire.chunk(HALF)
    wire.fin()


async def reset(wire: Wire) -> None:
    wire.rst()


async def fall_silent(wire: Wire) -> None:
    await wire.gone()


async def break_the_framing(wire: Wire) -> None:
    await wire.send(b"zz\r\n")
    await wire.gone()


async def send_more(wire: Wire) -> None:
    await wire.chunk(B + BIG)
    await wire.gone()


@dataclass(frozen=True, slots=True)
class Case:
    """The upstream sends its head and ``first``, and once the client has that, does what ``then`` says.

    ``rest`` is what the client gets still, without a terminal event on its route and with one; ``is_planned``: it is
    told when to come back.
    """

    ending: Ending
    then: Then
    guard: dict[str, Any] = field(default_factory=dict)
    first: bytes = A
    rest: tuple[bytes, bytes] = (b"", b"")
    route: dict[str, Any] = field(default_factory=dict)
    is_planned: bool = False


CASES = {
    "complete": Case(Ending.COMPLETE, end_properly),
    "marked": Case(Ending.COMPLETE, end_properly, {"completeness": "data: a"}),
    "upstream_eof": Case(Ending.UPSTREAM_EOF, close, rest=(HALF, b"")),
    "unmarked": Case(Ending.UPSTREAM_EOF, end_properly, {"completeness": "data: [DONE]"}),
    "upstream_reset": Case(Ending.UPSTREAM_RESET, reset),
    "upstream_stall": Case(Ending.UPSTREAM_STALL, fall_silent, route=READ_TIMEOUT),
    "event_gap": Case(Ending.UPSTREAM_STALL, fall_silent, {"event_gap_s": SOON_S}),
    "upstream_protocol_error": Case(Ending.UPSTREAM_PROTOCOL_ERROR, break_the_framing),
    "first_event_timeout": Case(Ending.FIRST_EVENT_TIMEOUT, fall_silent, {"first_event_s": SOON_S}, first=COMMENT),
    "max_duration": Case(Ending.MAX_DURATION, fall_silent, {"max_duration_s": SOON_S}, is_planned=True),
    "max_bytes": Case(Ending.MAX_BYTES, send_more, {"max_bytes": 100}, rest=(B, B)),
    "max_event_bytes": Case(Ending.MAX_EVENT_BYTES, send_more, {"max_event_bytes": 100}, rest=(B, B)),
}


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "terminal": {"terminal_event": TERMINAL},
    "clean": {"terminal_event": TERMINAL, "close": "clean"},
    "old": {},
}
"""What a case's route has besides; ``old`` is asked by an HTTP/1.0 client."""


@pytest.mark.parametrize("name", CASES)
def test_an_ending_of_an_open_stream(routes: GuardedRoutes, name: str) -> None:
    case = CASES[name]
    names = {variant: f"{name}-{variant}" for variant in VARIANTS}
    arrived = Gate()

    async def stream(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(case.first)
        await arrived.wait()
        await case.then(wire)

    for variant, guard in VARIANTS.items():
        routes.origin.on(f"/{names[variant]}", stream)
        routes.route(names[variant], case.guard | guard, **case.route)
    with counted(routes, case.ending, *names.values()), ExitStack() as stack:
        clients = {variant: stack.enter_context(Client(routes.port)) for variant in VARIANTS}
        begun = {variant: begin(client, names[variant], case, variant) for variant, client in clients.items()}
        arrived.open()
        seen = {variant: end(client, begun[variant]) for variant, client in clients.items()}
    for variant, one in seen.items():
        check(case, variant, one)


def begin(client: Client, name: str, case: Case, variant: str) -> tuple[Head, bytes]:
    """Ask, and read the first bytes of the body."""
    version = b"1.0" if variant == "old" else b"1.1"
    client.send(b"GET /%b HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % (name.encode(), version))
    return client.read_head(), client.read_until(case.first).data


def end(client: Client, begun: tuple[Head, bytes]) -> Seen:
    """Read to the end."""
    head, raw = begun
    body = take_apart(head, raw + client.read_rest(), client.ended)
    return Seen(head, body.data, body.is_whole, client.ended)


def check(case: Case, variant: str, seen: Seen) -> None:
    """See that the client got what it had to get, and learned by HTTP too whether that is all."""
    is_complete = case.ending is Ending.COMPLETE
    is_told = "terminal_event" in VARIANTS[variant] and not is_complete
    data = RETRY.sub(b"", seen.data)
    assert (data != seen.data) is case.is_planned, variant
    assert data == case.first + case.rest[is_told] + (TOLD % case.ending.encode() if is_told else b""), variant
    assert seen.is_whole is (is_complete or variant == "clean"), variant
    assert seen.ended == ("rst" if variant == "old" and not is_complete else "fin"), variant


@contextmanager
def counted(routes: GuardedRoutes, ending: Ending, *names: str, event: str = "stream_ended") -> Iterator[None]:
    """See that what is done in the block ends one exchange of each of these routes, with this word everywhere."""
    metrics = ["headgate_exchanges_ended_total", *(["headgate_streams_ended_total"] if event == "stream_ended" else [])]
    before = routes.counts(*METRICS)
    yield
    assert [routes.record(name, event)["ending"] for name in names] == [ending] * len(names)
    after = routes.counts(*METRICS)
    assert after - before == Counter({(metric, ending.value): len(names) for metric in metrics})


# -- what clients and operators do ----------------------------------------------------------------------------------------


@contextmanager
def held_stream(routes: GuardedRoutes, name: str, guard: dict[str, Any], first: bytes = A) -> Iterator[Client]:
    """Open a stream whose upstream is silent after its first bytes, and read those."""
    routes.route(name, guard)
    routes.origin.events(f"/{name}", steps=[first], end="hold").confirm_all()
    with Client(routes.port) as client:
        client.get(f"/{name}", CLOSE)
        assert client.read_head().status == 200
        assert client.read_chunk().data == first
        yield client


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_client_gone(routes: GuardedRoutes, how: str) -> None:
    name = f"gone-{how}"
    with counted(routes, Ending.CLIENT_GONE, name), held_stream(routes, name, {"terminal_event": TERMINAL}) as client:
        leave(client, how)
        if how == "fin":
            assert client.read_rest() == b"", "there is nobody to tell"


@pytest.mark.parametrize("variant", VARIANTS)
def test_client_stalled(routes: GuardedRoutes, variant: str) -> None:
    """What is in the kernel's buffers still arrives; then it shows that this is not all."""
    name = f"stalled-{variant}"

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        while True:
            await wire.chunk(BIG * 100)

    routes.route(name, VARIANTS[variant])
    routes.origin.on(f"/{name}", flood)
    with counted(routes, Ending.CLIENT_STALLED, name), Client(routes.port, receive_buffer_bytes=4096) as client:
        version = b"1.0" if variant == "old" else b"1.1"
        client.send(b"GET /%b HTTP/%b\r\nHost: a\r\n\r\n" % (name.encode(), version))
        assert routes.record(name)["blocked_s"] >= 0.5
        rest = client.read_rest()
        assert not rest.endswith(b"0\r\n\r\n")
        assert b"over" not in rest
        assert variant != "old" or client.ended == "rst"


@pytest.mark.parametrize(
    ("first", "guard", "rest"),
    [(A, {}, b""), (A + HALF, {}, b""), (A, {"terminal_event": TERMINAL}, TOLD % b"killed")],
    ids=["between events", "within an event", "with a terminal event"],
)
def test_killed(routes: GuardedRoutes, first: bytes, guard: dict[str, Any], rest: bytes) -> None:
    name = f"killed{len(first)}{len(guard)}"
    with counted(routes, Ending.KILLED, name), held_stream(routes, name, guard, first) as client:
        stream_id = routes.record(name, "stream_opened")["id"]
        answer = routes.program.admin("DELETE", f"/headgate/streams/{stream_id}")
        assert (answer.status, answer.json["ending"]) == (200, "killed")
        assert client.read_rest() == (b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"")
        assert client.ended == "fin"
    assert routes.program.admin("DELETE", f"/headgate/streams/{stream_id}").status == 404


@pytest.mark.parametrize("how", ["close", "drain"])
@pytest.mark.parametrize("by", ["delete", "switch"])
def test_route_removed(routes: GuardedRoutes, how: str, by: str) -> None:
    name = f"removed-{how}-{by}"
    guard = {"on_route_removed": how, "terminal_event": TERMINAL}
    with counted(routes, Ending.ROUTE_REMOVED, name), held_stream(routes, name, guard) as client:
        if by == "delete":
            assert routes.program.admin("DELETE", f"routes/{name}").status == 200
        else:
            assert routes.program.admin("PATCH", f"routes/{name}", {"status": 0}).status == 200
        rest = client.read_rest()
        assert RETRY.search(rest)
        assert TOLD % b"route_removed" in rest
        assert not rest.endswith(b"0\r\n\r\n")


def test_a_route_that_is_gone_leaves_its_streams_alone_if_it_did_not_ask_for_more(routes: GuardedRoutes) -> None:
    name = "kept"
    routes.route(name, {})
    stream = routes.origin.events(f"/{name}", steps=[A, B])
    with counted(routes, Ending.COMPLETE, name), Client(routes.port) as client:
        client.get(f"/{name}")
        client.read_head()
        assert client.read_event().data == A
        assert routes.program.admin("DELETE", f"routes/{name}").status == 200
        stream.confirm_all()
        assert client.read_body() == B


# -- answers of headgate's own ----------------------------------------------------------------------------------------------

Where = Literal["refuses", "silent", "drops", "no name"]


@pytest.mark.parametrize(
    ("where", "status", "error"),
    [
        ("refuses", 502, "connect_refused"),
        ("silent", 504, "connect_timeout"),
        ("drops", 502, "upstream_eof"),
        ("no name", 503, "unresolvable"),
    ],
)
def test_upstream_unreachable(routes: GuardedRoutes, where: Where, status: int, error: str) -> None:
    name = f"unreachable-{status}-{where[:2]}"

    async def drop(_: Received, wire: Wire) -> None:
        wire.fin()

    with ExitStack() as stack:
        addresses: dict[str, Callable[[], str]] = {
            "refuses": lambda: stack.enter_context(closed_port()),
            "silent": lambda: stack.enter_context(blackhole()),
            "drops": lambda: routes.origin.address,
            "no name": lambda: "no-such-host.invalid:80",
        }
        routes.origin.on(f"/{name}", drop)
        routes.route(name, {}, addresses[where](), timeout={"connect": 0.3, "send": 10, "read": 10})
        with counted(routes, Ending.UPSTREAM_UNREACHABLE, name, event="request_ended"):
            response = get(routes.port, f"/{name}", (b"Accept", b"text/event-stream"))
        assert response.status == status
        record = routes.record(name, "request_ended")
        assert (record["status"], record["error"]) == (status, error)


def test_first_event_timeout_before_the_head(routes: GuardedRoutes) -> None:
    async def silent(_: Received, wire: Wire) -> None:
        await wire.gone()

    routes.origin.on("/first", silent)
    routes.route("first", {"first_event_s": SOON_S})
    with counted(routes, Ending.FIRST_EVENT_TIMEOUT, "first", event="request_ended"):
        assert get(routes.port, "/first", (b"Accept", b"text/event-stream")).status == 504


def test_refused(routes: GuardedRoutes) -> None:
    before = routes.counts(*METRICS)
    assert get(routes.port, "/there-is-no-such-route").status == 404
    assert request(routes.port, b"nonsense\r\n\r\n").status == 400
    routes.program.wait_record(lambda one: (one.get("ending"), one.get("error")) == ("refused", "bad_request"))
    routes.program.wait_record(lambda one: (one.get("ending"), one.get("status")) == ("refused", 404))
    assert routes.counts(*METRICS) - before == {("headgate_exchanges_ended_total", "refused"): 2}


def test_refused_by_an_event(routes: GuardedRoutes) -> None:
    async def later(_: Received, wire: Wire) -> None:
        await wire.respond(503, b"later")

    routes.origin.on("/later", later)
    routes.route("later", {"refusals": "sse"})
    with counted(routes, Ending.REFUSED, "later", event="request_ended"):
        response = get(routes.port, "/later")
        assert (response.status, response.get(b"content-type")) == (200, b"text/event-stream")
        assert b"event: refused\n" in response.body
    assert routes.record("later", "request_ended")["status"] == 503


# -- the end of a worker ------------------------------------------------------------------------------------------------------


def test_drain_and_gateway_error(tmp_path: Path) -> None:
    """A reload drains the old worker, a worker that is killed says nothing, and a stop drains the last one; all are counted."""
    environ = {"HEADGATE_DRAIN_WINDOW_S": "1"}
    with Origin() as origin, Program(tmp_path, environ=environ) as program:
        routes = GuardedRoutes(program, origin)
        with held_stream(routes, "reloaded", {"terminal_event": TERMINAL}) as client:
            program.process.send_signal(signal.SIGHUP)
            check_drained(client, least_s=3)
        assert routes.record("reloaded")["ending"] == "drain"
        with held_stream(routes, "lost", {"terminal_event": TERMINAL}) as client:
            program.wait_for(lambda: len(program.children("worker")) == 1, "the old worker's end")
            os.kill(routes.worker, signal.SIGKILL)
            assert client.read_rest() == b""
            routes.wait_metric('headgate_streams_ended_total{ending="gateway_error"}', 1)
            origin.closed(1)
        counts = {(metric, ending): 1 for metric in METRICS for ending in ("drain", "gateway_error")}
        assert routes.counts(*METRICS) == counts
        assert program.metric("headgate_streams_open") == 0
        with ExitStack() as stack:
            told = stack.enter_context(held_stream(routes, "told", {"terminal_event": TERMINAL, "retry_s": 60}))
            cut = stack.enter_context(held_stream(routes, "cut", {}, A + HALF))
            program.process.terminate()
            check_drained(told, least_s=60)
            assert cut.read_rest() == b"", "nothing of headgate's goes into half an event"
            assert program.wait() == 0
        endings = {one["route"]: one["ending"] for one in program.records if "ending" in one}
        assert endings == {"reloaded": "drain", "told": "drain", "cut": "drain"}


def check_drained(client: Client, least_s: int) -> None:
    """The client is told when to come back, and why this is the end; then it is cut."""
    rest = client.read_rest()
    [retry_ms] = RETRY.findall(rest)
    assert least_s * 1000 <= int(retry_ms) <= least_s * 2000
    assert rest.endswith(TOLD % b"drain" + b"\r\n"), "it is the last chunk that there is"
    assert client.ended == "fin"


def test_every_word_that_is_given_is_tried_here() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    tried = {case.ending for case in CASES.values()} | {word for word in Ending if any(word in name for name in tests)}
    assert tried == set(Ending) - {Ending.REVOKED}
