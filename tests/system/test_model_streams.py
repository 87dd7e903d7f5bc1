"""Answers of language models as their clients ask for them: POST with JSON, tokens as events, errors in a 200.

The configurations are those of the how-to page on LLM streams.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.client import Client, Head, Response
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.server.dead_ends import closed_port
from tests.system.guarded_routes import CHUNKED, GuardedRoutes, read_to_end

Handler = Callable[[Received, Wire], Awaitable[None]]

REQUEST = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Grüße"}]}).encode()
TOKENS = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % word for word in (b"The", b" answer", b" is")]
DONE = b"data: [DONE]\n\n"
OPENAI_ERROR = b'data: {"error":{"message":"over capacity","type":"server_error","code":503}}\n\n'
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
ANTHROPIC_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
ANTHROPIC_ERROR = b"event: error\ndata: %b\n\n" % json.dumps(OVERLOADED).encode()
ANTHROPIC_START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
ANTHROPIC_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
SUCCESS = (b"[DONE]", b"message_stop", b"response.completed")

OPENAI: dict[str, Any] = {
    "completeness": "data: [DONE]",
    "terminal_event": "openai-chat",
    "first_event_s": 60,
    "event_gap_s": 60,
    "peek": {"rules": [{"json": "error"}, {"empty": True}]},
}
ANTHROPIC: dict[str, Any] = {
    "completeness": "event: message_stop",
    "terminal_event": "anthropic",
    "first_event_s": 60,
    "event_gap_s": 60,
    "peek": {
        "skip_events": ["ping"],
        "rules": [
            {"json": "error.type", "values": ["overloaded_error", "rate_limit_error"], "status": 529},
            {"event": "error"},
            {"empty": True},
        ],
    },
}


class Models(GuardedRoutes):
    """Two services of which the first is asked first."""

    def __init__(self, program: Program, origin: Origin, second: Origin) -> None:
        super().__init__(program, origin)
        self.second = second

    def serve(self, name: str, guard: dict[str, Any], first: Handler, second: Handler | None = None) -> None:
        """Write a route to the first, and to the second if it has something to say."""
        self.route(name, guard, *([self.origin] if second is None else [self.origin, self.second]))
        self.origin.on(f"/{name}", first)
        if second is not None:
            self.second.on(f"/{name}", second)

    def asked(self, origin: Origin, name: str) -> list[Received]:
        """Give the requests that an origin has had for a route."""
        return [one for one in origin.requests if one.path == f"/{name}".encode()]

    def peeks(self) -> Counter[str]:
        """Give what came of the looks into first events."""
        return Counter({outcome: count for (_, outcome), count in self.counts("headgate_peeks_total").items()})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with Origin() as origin, Origin() as second, Program(tmp_path_factory.mktemp("models")) as program:
        yield Models(program, origin, second)


def saying(*pieces: bytes, end: str = "proper") -> Handler:
    """Read the request, and stream these pieces."""

    async def stream(request: Received, wire: Wire) -> None:
        await request.body()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for piece in pieces:
            await wire.chunk(piece)
        await (wire.last_chunk() if end == "proper" else wire.gone())

    return stream


def post(client: Client, name: str, body: bytes = REQUEST, *, chunked: bool = False) -> None:
    """Ask as an SDK does."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    client.send(
        b"POST /%b HTTP/1.1\r\nHost: api\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer k\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n%b\r\n\r\n"
        % (name.encode(), framing)
    )
    if chunked:
        for piece in (body[:10], body[10:]):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        body = b"0\r\n\r\n"
    client.send(body)


def ask(models: Models, name: str, body: bytes = REQUEST, *, chunked: bool = False) -> Response:
    """Ask, and read the whole answer."""
    with Client(models.port) as client:
        post(client, name, body, chunked=chunked)
        return client.read_response()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(
    ("guard", "refusal", "answer"),
    [
        (OPENAI, [OPENAI_ERROR], [*TOKENS, DONE]),
        (OPENAI, [OPENAI_ERROR[:20], OPENAI_ERROR[20:], DONE], [b"".join(TOKENS), DONE]),
        (OPENAI, [b": nothing else\n\n"], [*TOKENS, DONE]),
        (ANTHROPIC, [ANTHROPIC_PING, ANTHROPIC_ERROR], [ANTHROPIC_PING, ANTHROPIC_START, ANTHROPIC_STOP]),
    ],
    ids=["error", "error in pieces", "empty", "anthropic"],
)
def test_an_error_in_the_first_event_goes_to_the_next_service(
    models: Models, guard: dict[str, Any], refusal: list[bytes], answer: list[bytes], *, chunked: bool
) -> None:
    name = f"next-{len(guard['peek']['rules'])}-{len(b''.join(refusal))}-{len(refusal)}-{int(chunked)}"
    models.serve(name, guard, saying(*refusal), saying(*answer))
    before = models.peeks()
    response = ask(models, name, chunked=chunked)
    assert (response.status, response.body) == (200, b"".join(answer))
    [first], [second] = models.asked(models.origin, name), models.asked(models.second, name)
    assert bytes(first.body_so_far) == bytes(second.body_so_far) == REQUEST
    assert first.raw == second.raw
    assert (second.get(b"authorization"), second.get(b"accept-encoding")) == (b"Bearer k", b"identity")
    record = models.record(name)
    assert (record["ending"], record["status"], record["upstream"]) == ("complete", 200, models.second.address)
    assert models.peeks() - before == {"next_upstream": 1, "passed": 1}


def test_there_is_no_other_way_back_once_a_token_is_out(models: Models) -> None:
    models.serve("mid", OPENAI, saying(TOKENS[0], OPENAI_ERROR, DONE), saying(*TOKENS, DONE))
    assert ask(models, "mid").body == TOKENS[0] + OPENAI_ERROR + DONE
    assert models.asked(models.second, "mid") == []


@pytest.mark.parametrize("services", [1, 2])
def test_an_error_that_is_left_is_a_status_with_what_was_said(models: Models, services: int) -> None:
    name = f"overloaded{services}"
    models.serve(name, ANTHROPIC, *[saying(ANTHROPIC_PING, ANTHROPIC_ERROR)] * services)
    response = ask(models, name)
    assert (response.status, response.get(b"content-type")) == (529, b"application/json")
    assert json.loads(response.body) == OVERLOADED
    record = models.record(name, "request_ended")
    assert (record["status"], record["ending"]) == (529, "upstream_unreachable")
    assert len(models.asked(models.second, name)) == services - 1


def test_a_status_of_the_services_own_passes_as_it_is(models: Models) -> None:
    body = json.dumps(OVERLOADED).encode()

    async def refuse(request: Received, wire: Wire) -> None:
        await request.body()
        fields = ((b"Content-Type", b"application/json"), (b"Retry-After", b"7"), (b"X-Should-Retry", b"true"))
        await wire.respond(529, body, *fields)

    models.serve("own", ANTHROPIC, refuse, saying(ANTHROPIC_START, ANTHROPIC_STOP))
    response = ask(models, "own")
    assert (response.status, response.body) == (529, body)
    assert (response.get(b"retry-after"), response.get(b"x-should-retry")) == (b"7", b"true")
    assert models.asked(models.second, "own") == [], "a POST that was answered is not sent again"


def test_an_answer_that_is_no_stream_passes_as_it_is(models: Models) -> None:
    body = b'{"choices":[{"message":{"content":"The answer is 42."}}]}'

    async def answer(request: Received, wire: Wire) -> None:
        await request.body()
        await wire.respond(200, body, (b"Content-Type", b"application/json"))

    models.serve("whole", OPENAI, answer)
    response = ask(models, "whole")
    assert (response.status, response.body) == (200, body)
    assert models.record("whole", "request_ended")["ending"] == "complete"


def test_the_first_service_may_be_away(models: Models) -> None:
    with closed_port() as nowhere:
        models.route("away", OPENAI, nowhere, models.second)
        models.second.on("/away", saying(*TOKENS, DONE))
        assert ask(models, "away").body == b"".join(TOKENS) + DONE
    assert [bytes(one.body_so_far) for one in models.asked(models.second, "away")] == [REQUEST]


@pytest.mark.parametrize(("size", "reaches_second"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
def test_a_request_is_kept_for_the_next_service_up_to_a_mebibyte(
    models: Models, size: int, *, reaches_second: bool
) -> None:
    name = f"large{size}"
    body = b'"' + b"x" * (size - 2) + b'"'
    models.serve(name, OPENAI, saying(OPENAI_ERROR), saying(*TOKENS, DONE))
    response = ask(models, name, body)
    assert response.status == (200 if reaches_second else 502)
    assert [bytes(one.body_so_far) for one in models.asked(models.second, name)] == [body] * reaches_second
    if not reaches_second:
        assert json.loads(response.body)["error"]["message"] == "over capacity"


# -- endings ------------------------------------------------------------------------------------------------------------------

CUTS = {
    "fin": "upstream_eof",
    "rst": "upstream_reset",
    "proper": "upstream_eof",
    "half": "upstream_eof",
}


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_half_an_answer_never_looks_whole(models: Models, dialect: str, how: str) -> None:
    name = f"cut-{dialect}-{how}"
    arrived = Gate()

    async def stop(request: Received, wire: Wire) -> None:
        await request.body()
        await wire.head(200, EVENT_STREAM, CHUNKED)
        for token in TOKENS:
            await wire.chunk(token)
        await arrived.wait()
        if how == "half":
            await wire.chunk(DONE[:-3])  # data: [DONE
        if how == "proper":
            await wire.last_chunk()
        elif how == "rst":
            wire.rst()
        else:
            wire.fin()

    models.serve(name, OPENAI if dialect == "openai" else ANTHROPIC, stop, saying(*TOKENS, DONE))
    with Client(models.port) as client:
        post(client, name)
        client.read_head()
        for token in TOKENS:
            assert client.read_event().data == token
        arrived.open()
        said = client.read_event().data
        assert client.read_rest() == b"", "no last chunk"
    assert not any(word in said for word in SUCCESS)
    *event_type, data, blank, rest = said.split(b"\n")
    assert (blank, rest) == (b"", b"")
    error = json.loads(data.removeprefix(b"data: "))
    if dialect == "openai":
        assert (event_type, set(error), error["error"]["code"]) == ([], {"error"}, CUTS[how])
    else:
        assert (event_type, error["type"], error["error"]["type"]) == ([b"event: error"], "error", "api_error")
    assert models.record(name)["ending"] == CUTS[how]
    assert models.asked(models.second, name) == []


def test_a_whole_answer_is_what_the_service_sent_and_nothing_else(models: Models) -> None:
    models.serve("done", OPENAI, saying(*TOKENS, DONE))
    with Client(models.port) as client:
        post(client, "done")
        seen = read_to_end(client)
    assert (seen.data, seen.is_whole) == (b"".join(TOKENS) + DONE, True)
    record = models.record("done")
    assert (record["ending"], record["events"], record["keepalives"]) == ("complete", len(TOKENS) + 1, 0)


def test_each_token_comes_when_it_is_made(models: Models) -> None:
    """The service makes the next one only when the client has the one before."""
    models.route("prompt", OPENAI)
    steps = models.origin.events("/prompt", steps=[*TOKENS, DONE])
    with Client(models.port) as client:
        post(client, "prompt", b"")
        head: Head = client.read_head()
        assert head.get(b"x-accel-buffering") == b"no"
        for step, token in enumerate([*TOKENS, DONE]):
            assert client.read_event().data == token
            steps.confirm(step)
        assert client.read_body() == b""


@pytest.mark.parametrize("when", ["before the first token", "between tokens"])
def test_a_stopped_answer_stops_the_model(models: Models, when: str) -> None:
    name = when.replace(" ", "-")
    models.serve(name, OPENAI, saying(*([] if when.startswith("before") else TOKENS[:1]), end="hold"))
    with Client(models.port) as client:
        post(client, name)
        models.origin.wait_for(lambda: bool(models.asked(models.origin, name)))
        if when == "between tokens":
            client.read_head()
            assert client.read_event().data == TOKENS[0]
    [asked] = models.asked(models.origin, name)
    models.origin.closed(asked.connection)
