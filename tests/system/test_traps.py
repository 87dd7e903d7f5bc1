"""Traps that gateways for streams have fallen into, one test each, against the running program."""

from __future__ import annotations

import asyncio
import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.client import Client, get
from tests.origin import Origin, Received, Wire
from tests.running_gateway import eventually
from tests.running_program import Program

EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")
SUCCESS = (b"[DONE]", b"message_stop", b"response.completed")
FIRST = b"data: first\n\n"


class Gateway:
    """The program; each test writes routes of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.port = program.port

    def route(self, identifier: str, uri: str, *origins: Origin, plugins: dict[str, Any] | None = None) -> None:
        """Write a route to these origins, the first of which is tried first."""
        nodes = [
            {"host": one.host, "port": one.port, "weight": 1, "priority": -index} for index, one in enumerate(origins)
        ]
        document = {"uri": uri, "upstream": {"type": "roundrobin", "nodes": nodes}, "plugins": plugins or {}}
        answer = self.program.put(f"routes/{identifier}", document)
        assert answer.status in {200, 201}, answer

    def ended(self, target: str) -> dict[str, Any]:
        """Wait for the record of the end of the exchange with this target."""
        return self.program.wait_record(
            lambda record: record["event"] in {"stream_ended", "request_ended"} and record.get("target") == target
        )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Program(tmp_path_factory.mktemp("traps")) as program:
        yield Gateway(program)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as origin:
        yield origin


@pytest.mark.parametrize("plugin", ["proxy-buffering", "sse", "stream-guard"])
def test_switching_buffering_off_does_not_switch_cancelling_off(gateway: Gateway, origin: Origin, plugin: str) -> None:
    origin.events("/trap1", steps=[FIRST], end="hold")
    gateway.route("1", "/trap1", origin, plugins={plugin: {"disable_proxy_buffering": True} if "buf" in plugin else {}})
    with Client(gateway.port) as client:
        client.get("/trap1")
        client.read_head()
        client.read_event()
    origin.closed()


def test_a_peek_with_a_slow_first_event_passes_the_stream_on(gateway: Gateway, origin: Origin) -> None:
    stream = origin.events("/trap2", steps=[b": still thinking\n\n", FIRST], end="proper")
    peek = {"timeout_s": 0.2, "rules": [{"event": "error"}]}
    gateway.route("2", "/trap2", origin, plugins={"stream-guard": {"peek": peek}})
    with Client(gateway.port) as client:
        client.get("/trap2")
        assert client.read_head().status == 200  # though the first event is not made before this
        assert client.read_event().data == b": still thinking\n\n"
        stream.confirm_all()
        assert client.read_event().data == FIRST


def test_there_is_no_second_start_after_the_first_event(gateway: Gateway, origin: Origin) -> None:
    with Origin() as second:
        origin.events("/trap3", steps=[b"event: message_start\ndata: 1\n\n"], end="rst").confirm_all()
        second.events("/trap3", steps=[b"event: message_start\ndata: 2\n\n"]).confirm_all()
        peek = {"rules": [{"event": "error"}, {"empty": True}]}
        gateway.route("3", "/trap3", origin, second, plugins={"stream-guard": {"peek": peek}})
        with Client(gateway.port) as client:
            client.get("/trap3")
            client.read_head()
            assert client.read_rest().count(b"message_start") == 1
        assert second.requests == []
        assert gateway.ended("/trap3")["ending"] == "upstream_reset"


@pytest.mark.parametrize("terminal", [None, "openai-chat", "openai-responses", "anthropic", "tyk", "plain"])
@pytest.mark.parametrize("marker", ["data: [DONE]", "event: message_stop"])
def test_no_success_is_made_up_for_a_stream_that_died(
    gateway: Gateway, origin: Origin, terminal: str | None, marker: str
) -> None:
    target = f"/trap4/{terminal}/{marker[:4]}"
    origin.events(target, steps=[FIRST], end="proper").confirm_all()  # ends well, as far as HTTP can tell
    guard = {"completeness": marker} | ({"terminal_event": terminal} if terminal else {})
    gateway.route("4", target, origin, plugins={"stream-guard": guard})
    with Client(gateway.port) as client:
        client.get(target)
        client.read_head()
        rest = client.read_rest()
    assert not any(word in rest for word in SUCCESS)
    assert not rest.endswith(b"0\r\n\r\n"), "the body looks complete"
    assert gateway.ended(target)["ending"] == "upstream_eof"


@pytest.mark.parametrize("guard", [{}, {"peek": {"timeout_s": 30, "rules": [{"event": "error"}]}}], ids=["", "peek"])
@pytest.mark.parametrize("waits_for", ["head", "event"])
def test_a_client_that_leaves_before_the_first_byte_is_noticed(
    gateway: Gateway, origin: Origin, waits_for: str, guard: dict[str, Any]
) -> None:
    async def think(_: Received, wire: Wire) -> None:
        if waits_for == "event":
            await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.gone()

    origin.on("/trap5", think)
    gateway.route("5", "/trap5", origin, plugins={"stream-guard": guard})
    with Client(gateway.port) as client:
        client.get("/trap5")
        origin.request()
        if waits_for == "event" and not guard:
            client.read_head()
    origin.closed()


@pytest.mark.parametrize("pieces", [1, 50, 500])
def test_a_limit_in_bytes_counts_bytes_whatever_the_chunks(gateway: Gateway, origin: Origin, pieces: int) -> None:
    events = [b"data: %05d\n\n" % number for number in range(500)]  # 13 bytes each
    per_chunk = len(events) // pieces
    chunks = [b"".join(events[at : at + per_chunk]) for at in range(0, len(events), per_chunk)]
    target = f"/trap6/{pieces}"
    origin.events(target, steps=chunks).confirm_all()
    gateway.route("6", target, origin, plugins={"stream-guard": {"max_bytes": 1000}})
    with Client(gateway.port) as client:
        client.get(target)
        client.read_head()
        body = _dechunked(client.read_rest())
    assert body == b"".join(events[:76]), "76 events are the most that fit into 1,000 bytes"
    assert gateway.ended(target)["ending"] == "max_bytes"


def test_nothing_is_cleaned_up_by_age_while_the_stream_runs(tmp_path: Path, origin: Origin) -> None:
    ages = {
        "HEADGATE_HTTP_KEEPALIVE_TIMEOUT_S": "0.2",
        "HEADGATE_HTTP_HEAD_TIMEOUT_S": "0.2",
        "HEADGATE_HTTP_BODY_TIMEOUT_S": "0.2",
    }
    stream = origin.events("/trap7", steps=[FIRST, b"data: second\n\n"])
    with Program(tmp_path, environ=ages) as program, Client(program.port) as client, Client(program.port) as idle:
        upstream = {"nodes": {origin.address: 1}, "keepalive_pool": {"idle_timeout": 0.2, "size": 1, "requests": 1}}
        program.put("routes/7", {"uri": "/trap7", "upstream": upstream})
        client.get("/trap7")
        client.read_head()
        client.read_event()
        stream.confirm(0)
        client.read_event()
        assert idle.read_end() == "fin"  # every age above has passed twice over by now
        with Client(program.port) as another:
            assert another.read_end() == "fin"
        stream.confirm(1)
        assert client.read_body() == b""
        assert program.wait_record(lambda one: one["event"] == "stream_ended")["ending"] == "complete"


def test_a_slow_opening_shows_in_the_latency_and_the_lifetime_does_not(gateway: Gateway, origin: Origin) -> None:
    async def slow_to_open(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(FIRST)
        await wire.gone()

    origin.on("/trap8", slow_to_open)
    gateway.route("8", "/trap8", origin, plugins={"sse": {}})
    before = Samples(gateway.program)
    with Client(gateway.port) as client:
        client.get("/trap8")
        client.read_head()
        client.read_event()
        threading.Event().wait(0.7)
    gateway.ended("/trap8")
    eventually(
        lambda: (
            Samples(gateway.program).of("headgate_stream_lifetime_seconds_count")
            > before.of("headgate_stream_lifetime_seconds_count")
        )
    )
    after = Samples(gateway.program)

    def grown(name: str, **labels: str) -> float:
        return after.of(name, **labels) - before.of(name, **labels)

    assert 0.3 <= grown("headgate_stream_open_seconds_sum") <= grown("headgate_stream_lifetime_seconds_sum") - 0.6
    latency_s = grown("apisix_http_latency_sum", type="request") / 1000
    assert latency_s == pytest.approx(grown("headgate_stream_open_seconds_sum"), abs=0.05)


def test_no_test_is_skipped() -> None:
    marks = re.compile(r"mark\.(skip|xfail)|pytest\.skip\(|importorskip|mark\.flaky|reruns")
    here = Path(__file__)
    offenders = [
        f"{path}: {line.strip()}"
        for path in sorted(here.parents[1].rglob("*.py"))
        if path != here
        for line in path.read_text().splitlines()
        if marks.search(line)
    ]
    assert offenders == []


def test_an_encoded_stream_keeps_its_bytes_and_its_header(gateway: Gateway, origin: Origin) -> None:
    encoded = gzip.compress(FIRST * 100)
    fields = [EVENT_STREAM, (b"Content-Encoding", b"gzip")]
    origin.events("/trap10", steps=[encoded[:20], encoded[20:]], fields=fields).confirm_all()
    guard = {"terminal_event": "plain", "keepalive_s": 0.1, "completeness": "any_eof"}
    gateway.route("10", "/trap10", origin, plugins={"stream-guard": guard, "stream-log": {}})
    with Client(gateway.port) as client:
        client.get("/trap10")
        head = client.read_head()
        assert head.get(b"content-encoding") == b"gzip"
        assert gzip.decompress(client.read_body()) == FIRST * 100
    assert gateway.ended("/trap10")["untouched"] == "encoded"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_the_gateway_cuts_events_where_the_client_does(gateway: Gateway, origin: Origin, end: bytes) -> None:
    """What a plugin is shown and what a browser dispatches are the same events, or a filter could be passed by."""
    lines = [
        b"data: one",
        b"",
        b"data:two",
        b"event:x",
        b"",
        b"data",
        b"",
        b": no event",
        b"",
        b"data: a",
        b"data: b",
        b"",
    ]
    body = end.join([*lines, b""])
    target = f"/trap11/{end.hex()}"
    origin.events(target, steps=[body[:17], body[17:18], body[18:]]).confirm_all()
    gateway.route("11", target, origin, plugins={"stream-log": {"data_bytes": 64}})
    with Client(gateway.port) as client:
        client.get(target)
        client.read_head()
        assert client.read_body() == body
    ended = gateway.ended(target)
    shown = [one for one in gateway.program.records if one["event"] == "event" and one["id"] == ended["id"]]
    assert [(one["event_type"], one["event_data"]) for one in shown] == [
        ("message", "one"),
        ("x", "two"),
        ("message", ""),
        ("message", "a\nb"),
    ]


def test_an_open_connection_is_no_ticket(gateway: Gateway, origin: Origin) -> None:
    gateway.route("12", "/trap12", origin)
    origin.events("/trap12", steps=[FIRST]).confirm_all()
    with Client(gateway.port) as client:
        client.get("/trap12")
        assert client.read_response().status == 200
        gateway.program.admin("DELETE", "routes/12")
        client.get("/trap12")
        assert client.read_response().status == 404


def test_keep_alives_do_not_hide_a_dead_upstream(gateway: Gateway, origin: Origin) -> None:
    async def only_pings(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(FIRST)
        while wire.closed_by_peer is None:
            await wire.chunk(b": ping\n\n")
            await asyncio.sleep(0.05)

    origin.on("/trap13/pings", only_pings)
    origin.events("/trap13/silent", steps=[FIRST], end="hold").confirm_all()
    gateway.route("13", "/trap13/*", origin, plugins={"stream-guard": {"event_gap_s": 0.6, "keepalive_s": 0.1}})
    for target in ("/trap13/pings", "/trap13/silent"):
        with Client(gateway.port) as client:
            client.get(target)
            client.read_head()
            body = client.read_rest()
        assert (b": ping" if "pings" in target else b":\n\n") in body
        ended = gateway.ended(target)
        assert ended["ending"] == "upstream_stall"
        assert ended["duration_s"] < 10


def test_a_cancelled_connection_is_never_used_again(gateway: Gateway, origin: Origin) -> None:
    origin.events("/trap14", steps=[FIRST, b"data: for the one who left\n\n"])
    gateway.route("14", "/trap14*", origin)
    for _ in range(20):
        with Client(gateway.port) as client:
            client.get("/trap14")
            client.read_head()
            client.read_event()
    origin.wait_for(lambda: sum(wire.closed_by_peer is not None for wire in origin.connections) == 20)
    assert get(gateway.port, "/trap14x").body == b"the origin has no handler for /trap14x\n"
    assert origin.requests_by_connection[-1] == 1
    eventually(lambda: gateway.program.metric("headgate_upstream_connections_open") <= 1, "no connection counted twice")


def test_streams_do_not_take_the_place_of_requests(gateway: Gateway, origin: Origin) -> None:
    origin.events("/trap15/stream", steps=[FIRST], end="hold")
    upstream = {"nodes": {origin.address: 1}, "keepalive_pool": {"size": 1, "idle_timeout": 60, "requests": 1000}}
    assert gateway.program.put("routes/15", {"uri": "/trap15/*", "upstream": upstream}).status in {200, 201}
    with ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(Client(gateway.port))
            client.get("/trap15/stream")
            client.read_head()
        for _ in range(20):
            assert get(gateway.port, "/trap15/x").status == 404  # the origin's own


class Samples:
    """The metrics as they are now."""

    def __init__(self, program: Program) -> None:
        text = program.admin("GET", "/apisix/prometheus/metrics").text
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Add up the samples of this name that have these labels."""
        return sum(
            sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()
        )


def _dechunked(raw: bytes) -> bytes:
    """Give the body of a chunked response that may have been cut off."""
    body = b""
    while line := re.match(rb"([0-9a-f]+)\r\n", raw):
        start, size = line.end(), int(line[1], 16)
        body += raw[start : start + size]
        raw = raw[start + size + 2 :]
    return body
