"""Told to stop, headgate ends every stream between two events and in its own time, lets requests finish, and is gone with the window."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from tests.client import Client
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program
from tests.system.marked_processes import Mark
from tests.system.numbered_streams import NumberedEvents, Stream, Swarm

STREAMS = 100
REQUESTS = 10
WINDOW_S = 3.0
WITHIN_S = WINDOW_S + 15.0
"""It takes the window and some 0.3 s; a loaded machine gets more before it counts as broken."""
AT_ONCE_S = 15.0
RETRY = re.compile(rb"retry: ([0-9]+)\n\n$")


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway with 100 running streams, and what is around it."""

    origin: Origin
    program: Program
    swarm: Swarm
    events: NumberedEvents

    def wait_requested(self, path: bytes, requests: int) -> None:
        """Wait until that many requests for ``path`` are with the origin."""
        self.origin.wait_for(lambda: sum(one.path == path for one in self.origin.requests) == requests)

    def check_drained(self) -> None:
        """Every stream has whole events up to some one, then when to come back, and no last chunk: nobody takes it for complete."""
        self.swarm.wait_ended()
        retries = [self._check_drained(stream) for stream in self.swarm.streams]
        assert 3000 <= min(retries) < max(retries) <= 6000
        assert len(set(retries)) > STREAMS / 2, "they would come back together"

    def _check_drained(self, stream: Stream) -> int:
        body, complete = stream.body()
        assert not complete
        assert stream.ended == "fin"
        retry = RETRY.search(body)
        assert retry, body[-100:]
        events = body[: retry.start()]
        assert events.endswith(b"\n\n")
        assert self.events.sent(stream.target).startswith(events)
        return int(retry[1])


@contextmanager
def streaming(
    directory: Path, mark: Mark, *, expect_status: int = 0, window_s: float = WINDOW_S, streams: int = STREAMS
) -> Iterator[Scene]:
    events = NumberedEvents(0.1)
    targets = [f"/events/{number}" for number in range(streams)]
    environ = {**mark.environ, "HEADGATE_DRAIN_WINDOW_S": str(window_s)}
    with (
        Origin() as origin,
        Program(directory, workers=2, environ=environ, expect_status=expect_status) as program,
    ):
        origin.on("/events/*", events)
        origin.on("/silence", silence)
        program.route("1", "/*", origin.address)
        with Swarm(program.port, targets) as swarm:
            yield Scene(origin, program, swarm, events)


async def silence(_: Received, wire: Wire) -> None:
    """Never answer."""
    await wire.gone()


def exit_status(program: Program, since: float, within_s: float = WITHIN_S) -> int:
    """Wait for the end; see that it came in time."""
    status = program.wait()
    took_s = time.monotonic() - since
    print(f"stopped {took_s:.2f} s after the signal")  # noqa: T201 -- the figure belongs in the report of a run
    assert took_s < within_s
    return status


def endings(program: Program, event: str) -> Counter[str]:
    return Counter(record["ending"] for record in program.records if record.get("event") == event)


def check_spread(program: Program) -> None:
    """The streams' ends lie over the window, neither all at its beginning nor all at its end."""
    times = sorted(
        datetime.fromisoformat(record["timestamp"]).timestamp()
        for record in program.records
        if record.get("event") == "stream_ended"
    )
    middle = sum(time_s < times[0] + WINDOW_S / 2 for time_s in times)
    assert times[-1] - times[0] > WINDOW_S / 2
    assert STREAMS / 4 < middle < STREAMS * 3 / 4 + 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_over_the_window_requests_are_answered_and_the_exit_is_clean(tmp_path: Path, number: int) -> None:
    answering, mark = Gate(), Mark()

    async def slow(_: Received, wire: Wire) -> None:
        await answering.wait()
        await wire.respond(200, b"slow\n")

    with streaming(tmp_path, mark) as scene, ExitStack() as stack:
        program = scene.program
        scene.origin.on("/slow", slow)
        clients = [stack.enter_context(Client(program.port)) for _ in range(REQUESTS)]
        for client in clients:
            client.get("/slow")
        scene.wait_requested(b"/slow", REQUESTS)
        began = time.monotonic()
        program.process.send_signal(number)
        scene.swarm.wait_for(lambda: any(stream.ended for stream in scene.swarm.streams), "the first stream's end")
        answering.open()
        for client in clients:
            response = client.read_response()
            assert (response.status, response.body, response.get(b"connection")) == (200, b"slow\n", b"close")
        scene.check_drained()
        assert exit_status(program, began) == 0
        assert endings(program, "stream_ended") == {"drain": STREAMS}
        assert endings(program, "request_ended") == {"complete": REQUESTS}
        check_spread(program)
    mark.wait_none_left()


def test_what_does_not_end_by_itself_is_ended_in_time(tmp_path: Path) -> None:
    mark = Mark()

    async def half_an_event(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"data: the end of this event never co")
        await wire.gone()

    with streaming(tmp_path, mark) as scene:
        program = scene.program
        scene.origin.on("/half", half_an_event)
        with Client(program.port) as half, Client(program.port) as silent:
            half.get("/half")
            assert half.read_head().status == 200
            assert half.read_chunk().data.startswith(b"data: ")
            silent.get("/silence")
            scene.wait_requested(b"/silence", 1)
            began = time.monotonic()
            program.process.terminate()
            scene.check_drained()
            assert silent.read_response().status == 503
            assert half.read_rest() == b""
            assert exit_status(program, began) == 0
            assert time.monotonic() - began >= WINDOW_S
        assert endings(program, "stream_ended") == {"drain": STREAMS + 1}
        assert endings(program, "request_ended") == {"drain": 1}
    mark.wait_none_left()


@pytest.mark.parametrize("streams", [0, 1])
def test_where_there_is_nothing_to_spread_it_ends_at_once(tmp_path: Path, streams: int) -> None:
    mark = Mark()
    with streaming(tmp_path, mark, window_s=120, streams=streams) as scene:
        began = time.monotonic()
        scene.program.process.terminate()
        for stream in scene.swarm.streams:
            scene.swarm.wait_ended()
            assert RETRY.search(stream.body()[0])
        assert exit_status(scene.program, began, AT_ONCE_S) == 0
    mark.wait_none_left()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    mark = Mark()

    with streaming(tmp_path, mark, expect_status=1, window_s=120) as scene:
        program = scene.program
        with Client(program.port) as client:
            client.get("/silence")
            scene.wait_requested(b"/silence", 1)
            program.process.terminate()
            scene.swarm.wait_for(lambda: any(stream.ended for stream in scene.swarm.streams), "the first stream's end")
            began = time.monotonic()
            program.process.send_signal(signal.SIGINT)
            assert client.read_rest() == b""
            assert exit_status(program, began, AT_ONCE_S) == 1
        assert program.log("stopping at once")
    mark.wait_none_left()


def test_without_its_supervisor_everything_drains_and_goes(tmp_path: Path) -> None:
    mark = Mark()
    with streaming(tmp_path, mark, expect_status=-signal.SIGKILL) as scene:
        program = scene.program
        began = time.monotonic()
        program.process.kill()
        scene.check_drained()
        mark.wait_none_left(WITHIN_S)
        assert exit_status(program, began) == -signal.SIGKILL
        assert endings(program, "stream_ended") == {"drain": STREAMS}
        for port in (program.port, program.admin_port):
            with socket.create_server(("127.0.0.1", port)):
                pass
