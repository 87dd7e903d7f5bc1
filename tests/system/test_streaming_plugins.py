"""The two plugins for event streams, ``sse`` and ``proxy-buffering``: the headers, and that nothing is held back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import Framing, Origin
from tests.running_program import Program

EVENT = b"data: hello from upstream\n\n"
SSE_FIELDS = (b"content-type", b"x-accel-buffering", b"connection", b"cache-control")
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Gateway:
    """The program with one upstream; each test writes route 1 anew."""

    def __init__(self, program: Program, origin: Origin) -> None:
        self.program = program
        self.origin = origin

    def route(self, plugins: dict[str, Any]) -> None:
        """Write the route."""
        self.program.route("1", "/*", self.origin.address, plugins=plugins)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Origin() as origin, Program(tmp_path_factory.mktemp("streaming")) as program:
        yield Gateway(program, origin)


@pytest.mark.parametrize(
    ("plugins", "content_type", "expected"),
    [
        pytest.param({"sse": {}}, b"text/plain", (EVENT_STREAM, b"no", b"keep-alive", b"no-cache"), id="defaults"),
        pytest.param(
            {"sse": {"override_content_type": False}},
            b"application/json",
            (b"application/json", b"no", b"keep-alive", b"no-cache"),
            id="the upstream's type",
        ),
        pytest.param(
            {"sse": {"connection_header": "Upgrade", "cache_control": "public, max-age=86400"}},
            b"text/plain",
            (EVENT_STREAM, b"no", b"Upgrade", b"public, max-age=86400"),
            id="own values",
        ),
        pytest.param({}, b"text/plain", (b"text/plain", None, None, None), id="without the plugin"),
    ],
)
def test_sse_sets_the_headers(
    gateway: Gateway, plugins: dict[str, Any], content_type: bytes, expected: tuple[bytes | None, ...]
) -> None:
    stream = gateway.origin.events("/sse", steps=[EVENT], fields=[(b"Content-Type", content_type)])
    stream.confirm_all()
    gateway.route(plugins)
    response = get(gateway.program.port, "/sse")
    assert (response.status, response.body) == (200, EVENT)
    assert tuple(response.get(name) for name in SSE_FIELDS) == expected


@pytest.mark.parametrize("framing", ["close", "chunked", "length"])
@pytest.mark.parametrize(
    "plugins",
    [{}, {"proxy-buffering": {}}, {"proxy-buffering": {"disable_proxy_buffering": True}}, {"sse": {}}],
    ids=str,
)
def test_three_events_each_when_it_is_sent(gateway: Gateway, plugins: dict[str, Any], framing: Framing) -> None:
    steps = [b"data: event-%d\n\n" % number for number in (1, 2, 3)]
    stream = gateway.origin.events("/events", steps=steps, framing=framing)
    gateway.route(plugins)
    with Client(gateway.program.port) as client:
        client.get("/events")
        assert client.read_head().status == 200
        for number, step in enumerate(steps):
            assert client.read_event().data == step
            stream.confirm(number)
        assert client.read_body() == b""


def test_sse_limits_the_silence_of_the_upstream(gateway: Gateway) -> None:
    gateway.origin.events("/silent", steps=[EVENT])
    gateway.route({"sse": {"proxy_read_timeout": 1}})
    with Client(gateway.program.port) as client:
        client.get("/silent")
        assert client.read_head().status == 200
        assert client.read_event().data == EVENT
        assert client.read_rest() == b""  # no last chunk: the body is cut, and says so
    ended = gateway.program.wait_record(
        lambda record: record["event"] == "stream_ended" and record["target"] == "/silent"
    )
    assert ended["ending"] == "upstream_stall"
