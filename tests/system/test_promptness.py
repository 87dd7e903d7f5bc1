"""Nothing is held back: the upstream sends event n+1 only after the client has confirmed event n."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.client import Client
from tests.origin import Framing, Origin
from tests.running_program import Program

STEPS = [b"id: %d\ndata: event %d\n\n" % (number, number) for number in range(20)]


@pytest.mark.parametrize("plugins", [{}, {"sse": {}}, {"proxy-buffering": {"disable_proxy_buffering": True}}])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_event_is_with_the_client_before_the_next_is_sent(
    tmp_path: Path, framing: Framing, plugins: dict[str, object]
) -> None:
    with Origin() as origin, Program(tmp_path) as program:
        events = origin.events("/events", framing=framing, steps=STEPS)
        program.route("1", "/events", origin.address, plugins=plugins)
        with Client(program.port) as client:
            client.get("/events", (b"Accept", b"text/event-stream"))
            assert client.read_head().status == 200
            for number, step in enumerate(STEPS):
                assert client.read_event().data == step
                events.confirm(number)
            assert client.read_body() == b""
        ended = program.wait_record(lambda record: record.get("event") == "stream_ended")
        assert (ended["ending"], ended["events"]) == ("complete", len(STEPS))


def test_the_head_is_with_the_client_before_the_first_byte_of_the_body(tmp_path: Path) -> None:
    with Origin() as origin, Program(tmp_path) as program:
        events = origin.events("/events", framing="length", steps=[b"", b"data: late\n\n"])
        program.route("1", "/events", origin.address)
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            events.confirm_all()
            assert client.read_event().data == b"data: late\n\n"
