"""The plugin ``stream-guard`` on a running program: that what is written is what a client, an upstream and the log see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import End, Gate, Origin, Received, Steps, Wire
from tests.running_program import Program

from headgate.wire.sse import EventParser

EVENT = b'data: {"n":1}\n\n'
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = (b"Content-Type", b"text/event-stream")


class Gateway:
    """The program with two upstreams; each test writes its own route, ``/NAME``, with the plugin."""

    def __init__(self, program: Program, origin: Origin, other: Origin) -> None:
        self.program = program
        self.origin = origin
        self.other = other

    @property
    def port(self) -> int:
        return self.program.port

    def route(self, name: str, guard: dict[str, Any], *origins: Origin) -> None:
        """Write a route to these upstreams, by default the first one."""
        nodes = {origin.address: 1 for origin in origins or (self.origin,)}
        upstream = {"type": "roundrobin", "nodes": nodes}
        document = {"uri": f"/{name}", "plugins": {"stream-guard": guard}, "upstream": upstream}
        assert self.program.put(f"routes/{name}", document).status in {200, 201}

    def stream(self, name: str, guard: dict[str, Any], steps: Sequence[bytes], *, end: End = "proper") -> Steps:
        """Write a route and what its upstream sends."""
        self.route(name, guard)
        return self.origin.events(f"/{name}", steps=steps, end=end)

    def record(self, name: str, event: str = "stream_ended") -> dict[str, Any]:
        """Wait for a route's record in the access log."""
        return self.program.wait_record(lambda record: (record["event"], record.get("route")) == (event, name))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Origin() as origin, Origin() as other, Program(tmp_path_factory.mktemp("guard")) as program:
        yield Gateway(program, origin, other)


def test_what_it_says_to_both_sides(gateway: Gateway) -> None:
    gateway.route("heads", {})
    stream = Steps([EVENT], framing="chunked", end="proper", fields=[EVENT_STREAM, (b"Cache-Control", b"no-cache")])
    gateway.origin.on("/heads", stream)
    stream.confirm_all()
    response = get(gateway.port, "/heads", (b"Accept-Encoding", b"gzip"))
    assert (response.get(b"x-accel-buffering"), response.get(b"cache-control")) == (b"no", b"no-cache, no-transform")
    assert response.body == EVENT
    assert gateway.record("heads", "stream_opened")["id"].encode() == response.get(b"x-stream-id")
    asked = [one for one in gateway.origin.requests if one.path == b"/heads"]
    assert [one.get_all(b"accept-encoding") for one in asked] == [[b"identity"]]


def test_a_stream_without_its_end_marker_is_cut_though_it_ended_properly(gateway: Gateway) -> None:
    gateway.stream("short", {"completeness": "data: [DONE]"}, [EVENT]).confirm_all()
    with Client(gateway.port) as client:
        client.get("/short")
        client.read_head()
        assert client.read_event().data == EVENT
        assert client.read_rest() == b""
    assert gateway.record("short")["ending"] == "upstream_eof"


@pytest.mark.parametrize(
    "last", [DONE, b"data: [DONE]\n", b"data: [DONE]"], ids=["whole", "without blank line", "without line end"]
)
@pytest.mark.parametrize("guard", [{}, {"terminal_event": "openai-chat"}], ids=["alone", "with a terminal event"])
def test_a_stream_with_its_end_marker_is_complete(gateway: Gateway, guard: dict[str, Any], last: bytes) -> None:
    name = f"done{len(last)}{len(guard)}"
    gateway.stream(name, {"completeness": "data: [DONE]", **guard}, [EVENT, last]).confirm_all()
    assert get(gateway.port, f"/{name}").body == EVENT + last
    assert gateway.record(name)["ending"] == "complete"


def test_a_half_event_is_dropped_before_a_terminal_event(gateway: Gateway) -> None:
    guard = {"completeness": "data: [DONE]", "terminal_event": "openai-chat"}
    stream = gateway.stream("broken", guard, [EVENT, b'data: {"n":'], end="rst")
    with Client(gateway.port) as client:
        client.get("/broken")
        head = client.read_head()
        assert client.read_event().data == EVENT
        stream.confirm_all()
        said = client.read_event().data
        assert client.read_rest() == b"", "no last chunk: the cut shows too"
    error = json.loads(said.removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("upstream_reset", "the connection to the upstream broke")
    assert head.get(b"x-stream-id") is not None
    assert gateway.record("broken")["ending"] == "upstream_reset"


def test_a_clean_close_leaves_it_to_the_terminal_event(gateway: Gateway) -> None:
    guard = {"terminal_event": "event: gone\ndata: $ending $stream_id", "close": "clean"}
    gateway.stream("clean", guard, [EVENT], end="fin").confirm_all()
    response = get(gateway.port, "/clean")
    stream_id = response.get(b"x-stream-id") or b""
    assert response.body == EVENT + b"event: gone\ndata: upstream_eof %b\n\n" % stream_id
    assert gateway.record("clean")["ending"] == "upstream_eof"


@pytest.mark.parametrize(
    ("style", "expected"),
    [("comment", b":\n\n"), ("event:ping", b"event: ping\ndata: {}\n\n"), ("padded:64", b":" + b" " * 61 + b"\n\n")],
)
def test_a_silent_stream_is_kept_alive(gateway: Gateway, style: str, expected: bytes) -> None:
    name = style.replace(":", "-")
    stream = gateway.stream(name, {"keepalive_s": 0.1, "keepalive_style": style}, [EVENT, DONE])
    with Client(gateway.port) as client:
        client.get(f"/{name}")
        client.read_head()
        assert client.read_event().data == EVENT
        for _ in range(2):
            assert client.read_event().data == expected
        stream.confirm_all()
        assert client.read_body().replace(expected, b"") == DONE
    assert gateway.record(name)["keepalives"] >= 2


def test_an_early_keep_alive_goes_before_the_first_byte_and_takes_the_bom_away(gateway: Gateway) -> None:
    gateway.route("early", {"keepalive_s": 0.1, "early_keepalive": True})
    heard = Gate()

    async def wait(request: Received, wire: Wire) -> None:
        del request
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await heard.wait()
        await wire.chunk(b"\xef\xbb\xbf" + EVENT)
        await wire.last_chunk()

    gateway.origin.on("/early", wait)
    with Client(gateway.port) as client:
        client.get("/early")
        client.read_head()
        for _ in range(3):
            assert client.read_event().data == b":\n\n"
        heard.open()
        assert client.read_body().replace(b":\n\n", b"") == EVENT


def test_a_peek_goes_to_the_next_node(gateway: Gateway) -> None:
    refusal = b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n'
    peek = {"skip_events": ["ping"], "rules": [{"json": "error.type", "values": ["overloaded_error"]}]}
    gateway.route("peeked", {"peek": peek}, gateway.origin, gateway.other)
    for origin, steps in ((gateway.origin, [b": hi\n\nevent: ping\ndata: {}\n\n" + refusal]), (gateway.other, [EVENT])):
        origin.events("/peeked", steps=steps).confirm_all()
    for _ in range(2):  # whichever node is first
        assert get(gateway.port, "/peeked").body == EVENT


def test_a_peek_without_another_node_answers_with_what_was_said(gateway: Gateway) -> None:
    peek = {"rules": [{"event": "error", "status": 429}, {"empty": True, "status": 503}]}
    gateway.stream("answered", {"peek": peek}, [b'event: error\ndata: {"error":{"code":1}}\n\n'])
    response = get(gateway.port, "/answered")
    assert (response.status, json.loads(response.body)) == (429, {"error": {"code": 1}})
    gateway.stream("empty", {"peek": peek}, [b": nothing\n\n"]).confirm_all()
    assert get(gateway.port, "/empty").status == 503


def test_its_policy_holds_for_the_refusals_of_the_plugins_behind_it(gateway: Gateway) -> None:
    gateway.program.route(
        "refused", "/refused", "127.0.0.1:1", plugins={"stream-guard": {"refusals": "sse", "retry_s": 7}}
    )
    response = get(gateway.port, "/refused")
    assert (response.status, response.get(b"content-type")) == (200, b"text/event-stream")
    parser = EventParser()
    [event] = parser.feed(response.body)
    assert (event.type, json.loads(event.data)["status"]) == ("refused", 502)
    assert 7000 <= (parser.reconnection_time_ms or 0) <= 14000


def test_a_route_takes_the_place_of_a_global_rule(gateway: Gateway) -> None:
    rule = {"plugins": {"stream-guard": {"keepalive_s": 0.1, "terminal_event": "plain"}}}
    assert gateway.program.put("global_rules/1", rule).status == 201
    try:
        gateway.program.route("plain", "/plain", gateway.origin.address)
        gateway.origin.events("/plain", steps=[EVENT], end="fin").confirm_all()
        with Client(gateway.port) as client:
            client.get("/plain")
            client.read_head()
            assert b'"ending":"upstream_eof"' in client.read_rest()
        stream = gateway.stream("own", {"keepalive_style": "event:ping"}, [EVENT, EVENT], end="fin")
        with Client(gateway.port) as client:
            client.get("/own")
            client.read_head()
            assert client.read_event().data == EVENT
            assert client.read_event().data == b"event: ping\ndata: {}\n\n"
            stream.confirm_all()
            assert b"ending" not in client.read_rest()
    finally:
        assert gateway.program.admin("DELETE", "global_rules/1").status == 200


def test_a_bad_configuration_is_refused_when_it_is_written(gateway: Gateway) -> None:
    document = {"uri": "/x", "plugins": {"stream-guard": {"terminal_event": "data: [DONE]"}}}
    answer = gateway.program.put("routes/bad", document)
    assert answer.status == 400
    assert answer.json["error_msg"] == (
        'failed to check the configuration of plugin stream-guard err: property "terminal_event" validation failed: '
        "the template says that the stream is complete, which it is not when this is sent"
    )


def test_other_responses_pass_as_they_are(gateway: Gateway) -> None:
    async def answer(request: Received, wire: Wire) -> None:
        del request
        await wire.respond(200, b"hello", (b"Cache-Control", b"max-age=60"))

    gateway.route("json", {"completeness": "data: [DONE]", "keepalive_s": 0.1, "terminal_event": "plain"})
    gateway.origin.on("/json", answer)
    response = get(gateway.port, "/json")
    assert (response.status, response.body, response.get(b"cache-control")) == (200, b"hello", b"max-age=60")
    assert response.get(b"x-stream-id") is None
