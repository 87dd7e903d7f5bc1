"""A worker that dies takes only its own streams along, control takes none, and no configuration is lost."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Program
from tests.system.numbered_streams import NumberedEvents, Stream, Swarm

STREAMS = 1000
INTERVAL_S = 0.5
WRITES = 200
VISITORS = 4


@dataclass(frozen=True, slots=True)
class Visit:
    """One request on a new connection: when it began and ended, and its status or what went wrong."""

    began: float
    ended: float
    outcome: int | str


class Visitors:
    """Threads that open one new connection after the other, for a ``with`` block, and note how each request went."""

    def __init__(self, port: int, target: str) -> None:
        self.visits: list[Visit] = []
        self._port, self._target = port, target
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(VISITORS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.005):
            began = time.monotonic()
            outcome: int | str
            try:
                with Client(self._port) as client:
                    client.get(self._target)
                    outcome = client.read_response().status
            except (OSError, AssertionError) as error:
                outcome = f"{type(error).__name__}: {error}"
            self.visits.append(Visit(began, time.monotonic(), outcome))


class Writer:
    """A thread that makes ``WRITES`` Admin writes, to the streams' own route and to others; ``before[n]`` precedes write n."""

    def __init__(self, program: Program, route: dict[str, object], before: dict[int, Callable[[], object]]) -> None:
        self.statuses: list[int] = []
        self._program, self._route, self._before = program, route, before
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether all writes are answered; raises what kept one from it."""
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for number in range(WRITES):
                self._before.get(number, lambda: None)()
                if number % 2:
                    answer = self._program.put("routes/streams", {**self._route, "desc": f"write {number}"})
                else:
                    answer = self._program.put(f"routes/other-{number}", {**self._route, "uri": f"/other/{number}"})
                self.statuses.append(answer.status)
        except BaseException as error:  # noqa: BLE001 -- told to the test's thread
            self._failure = error


@pytest.fixture(autouse=True)
def descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert soft <= hard
    assert hard >= 3 * STREAMS, "this test needs a limit of 3,000 open descriptors"


def workers_of(program: Program, event: str, targets: set[str]) -> dict[str, int]:
    """Wait for a record of each target; give the slot of the worker that wrote it."""
    found: dict[str, int] = {}

    def look() -> bool:
        for record in program.records:
            if record.get("event") == event and record["target"] in targets:
                found[record["target"]] = int(record["id"].partition("-")[0])
        return len(found) == len(targets)

    program.wait_for(look, f"a {event} of {len(targets)} targets")
    return found


def wait_replaced(program: Program, module: str, old: int) -> None:
    program.wait_for(
        lambda: old not in program.children(module) and bool(program.children(module)), f"another {module}"
    )


def see_live_on_both_workers(program: Program, origin: Origin) -> None:
    """Write a route, and have both workers answer by it, none of them otherwise."""
    assert get(program.port, "/fresh/0").status == 404
    program.route("fresh", "/fresh/*", origin.address)
    targets: set[str] = set()
    slots: set[int] = set()
    while slots != {0, 1}:
        targets.add(f"/fresh/{len(targets) + 1}")
        assert len(targets) < 200, f"only worker {slots} gets connections"
        assert get(program.port, f"/fresh/{len(targets)}").body == b"fresh\n"
        slots = set(workers_of(program, "request_ended", targets).values())


@pytest.mark.slow
def test_a_thousand_streams_through_200_writes_a_killed_worker_and_a_killed_control(tmp_path: Path) -> None:
    events = NumberedEvents(INTERVAL_S)
    targets = [f"/events/{number}" for number in range(STREAMS)]
    with Origin() as origin, Program(tmp_path, workers=2) as program:
        origin.on("/events/*", events)
        origin.on("/fresh/*", lambda _, wire: wire.respond(200, b"fresh\n"))
        route: dict[str, object] = {"uri": "/events/*", "upstream": {"nodes": {origin.address: 1}}}
        assert program.put("routes/streams", route).status == 201
        program.route("visit", "/hello", origin.address)
        with Swarm(program.port, targets) as swarm, Visitors(program.port, "/hello") as visitors:
            assert {stream.status for stream in swarm.streams} == {200}
            slots = workers_of(program, "stream_opened", set(targets))
            [control] = program.children("control")
            writer = Writer(program, route, {WRITES * 2 // 3: partial(os.kill, control, signal.SIGKILL)})

            swarm.wait_for(lambda: len(writer.statuses) >= WRITES // 3, "a third of the writes")
            victim = program.children("worker")[0]
            killed_at = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            lost_record = program.wait_log("^worker . ended, it is replaced")
            slot = int(lost_record["event"].split()[1])
            lost = [stream for stream in swarm.streams if slots[stream.target] == slot]
            survivors = [stream for stream in swarm.streams if stream not in lost]
            swarm.wait_for(lambda: all(stream.ended for stream in lost), "the end of the killed worker's streams")

            swarm.wait_for(lambda: writer.done, "the last write")
            wait_replaced(program, "control", control)
            wait_replaced(program, "worker", victim)
            swarm.wait_flowing(survivors, 2)
            see_live_on_both_workers(program, origin)
            events.finish()
            swarm.wait_ended()

        check_streams(events, survivors, lost)
        check_visits(visitors.visits, killed_at)
        assert len(writer.statuses) == WRITES
        assert set(writer.statuses) <= {200, 201}
        assert lost_record["streams_lost"] == len(lost) > 0
        assert program.metric('headgate_streams_ended_total{ending="gateway_error"}') == len(lost)
        assert program.metric('headgate_streams_ended_total{ending="complete"}') == len(survivors)
        assert program.metric("headgate_streams_open") == 0


def check_streams(events: NumberedEvents, survivors: list[Stream], lost: list[Stream]) -> None:
    """Each surviving stream has every byte and its end; a lost one has no end, and nothing that was not sent."""
    assert len(survivors) > STREAMS / 4  # the kernel shares connections out by hash
    for stream in survivors:
        assert stream.body() == (events.sent(stream.target), True), stream.target
    for stream in lost:
        body, complete = stream.body()
        assert not complete, stream.target
        assert events.sent(stream.target).startswith(body), stream.target


def check_visits(visits: list[Visit], killed_at: float) -> None:
    """Only what the killed worker had accepted may fail: at most one request of each visitor, under way at the kill."""
    failed = [visit for visit in visits if visit.outcome != 200]
    assert len(failed) <= VISITORS, failed
    for visit in failed:
        assert visit.began <= killed_at <= visit.ended, (visit, killed_at)
    assert len([visit for visit in visits if visit.began > killed_at]) > 50, "hardly anybody came after the kill"
