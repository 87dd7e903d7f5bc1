"""A reload takes over code and settings, and no client notices but streams, which end so that their clients come back."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Program
from tests.system.commands import run_command
from tests.system.numbered_streams import NumberedEvents, Swarm

REQUESTS = 10_000
RELOADS = 5
KEPT = 20
"""Connections that each visitor of the second kind keeps."""
WAIT_S = 60.0


def reload(program: Program, *notes: str) -> None:
    status, out, err = run_command(program.directory, "reload", "--data-dir", str(program.data_dir))
    assert (status, out, err) == (0, ["reloaded"], [f"headgate: {note}" for note in notes])


def wait_settled(program: Program, reloads: int) -> None:
    """Wait until nothing is left of that many reloads."""
    program.wait_for(lambda: len(program.log("^reload ended$")) == reloads, f"the end of {reloads} reloads")


def worker_of(program: Program, target: str) -> int:
    """Wait for the record of a stream's opening; give the process id in its exchange's id."""
    record = program.wait_record(lambda one: one.get("event") == "stream_opened" and one["target"] == target)
    return int(record["id"].split("-")[1][:-6], 16)


class Visitors:
    """Threads that make one request after the other, for a ``with`` block; what does not go as it should is in ``failures``.

    Some open a connection for each request; some go round over connections that they keep until told ``Connection: close``.
    """

    def __init__(self, port: int, target: str, body: bytes) -> None:
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self._address = ("127.0.0.1", port)
        self._request = b"GET %s HTTP/1.1\r\nHost: visitors\r\n" % target.encode()
        self._body = body
        self._done = threading.Event()
        kinds = (self._visit_anew, self._visit_kept) * 2
        self._threads = [threading.Thread(target=self._run, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, visit: Callable[[dict[int, socket.socket], int], None]) -> None:
        kept: dict[int, socket.socket] = {}
        number = 0
        while not self._done.wait(0.001):
            number += 1
            try:
                visit(kept, number % KEPT)
            except (OSError, AssertionError) as error:
                self.failures.append(f"{visit.__name__}: {type(error).__name__}: {error}")
                if (broken := kept.pop(number % KEPT, None)) is not None:
                    broken.close()
            self.counts[visit.__name__] += 1
        for connection in kept.values():
            connection.close()

    def _visit_anew(self, _: dict[int, socket.socket], __: int) -> None:
        with socket.create_connection(self._address, timeout=WAIT_S) as connection:
            self._ask(connection, b"Connection: close\r\n")
            assert connection.recv(1) == b""

    def _visit_kept(self, kept: dict[int, socket.socket], which: int) -> None:
        if which not in kept:
            kept[which] = socket.create_connection(self._address, timeout=WAIT_S)
        if self._ask(kept[which], b""):
            kept.pop(which).close()
            self.counts["told to close"] += 1

    def _ask(self, connection: socket.socket, fields: bytes) -> bool:
        """Ask for the page and see that it comes; say whether the connection is to be closed."""
        connection.sendall(self._request + fields + b"\r\n")
        answer = b""
        while not answer.endswith(self._body):
            piece = connection.recv(65536)
            assert piece, f"ended after {answer!r}"
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        return b"\r\nconnection: close\r\n" in answer.partition(b"\r\n\r\n")[0].lower() + b"\r\n"


class AdminVisitor:
    """A thread that asks for readiness, writes a route and sees that it is live, again and again, for a ``with`` block."""

    def __init__(self, program: Program, upstream: str) -> None:
        self.statuses: Counter[str] = Counter()
        self.longest_s = 0.0
        self._program, self._upstream = program, upstream
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._done.wait(0.02):
            number += 1
            began = time.monotonic()
            try:
                ready = self._program.admin("GET", "/headgate/ready")
                route = {"uri": f"/written/{number}", "upstream": {"nodes": {self._upstream: 1}}}
                written = self._program.put("routes/written", route)
                self.statuses[f"{ready.status} {ready.text.strip()}"] += 1
                self.statuses[f"PUT {written.status}"] += 1
                answer = get(self._program.port, f"/written/{number}").body
                self.statuses["live" if answer.startswith(b"the origin has no handler") else repr(answer)] += 1
            except (OSError, AssertionError) as error:
                self.statuses[f"{type(error).__name__}: {error}"] += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)


@pytest.mark.slow
def test_ten_thousand_requests_and_five_reloads_and_not_one_fails(tmp_path: Path) -> None:
    environ = {"HEADGATE_DRAIN_WINDOW_S": "2", "HEADGATE_DRAIN_IDLE_S": "1"}
    with Origin() as origin, Program(tmp_path, workers=2, environ=environ) as program:
        program.route("1", "/hello", origin.address)
        before = program.children("worker")
        with (
            Visitors(program.port, "/hello", b"hello world\n") as visitors,
            AdminVisitor(program, origin.address) as admin,
        ):
            for number in range(1, RELOADS + 1):
                reload(program)
                wait_settled(program, number)
                goal = REQUESTS / 2 * number / RELOADS
                program.wait_for(
                    lambda goal=goal: min(visitors.counts["_visit_anew"], visitors.counts["_visit_kept"]) >= goal,  # type: ignore[misc]  # a default binds the loop's value
                    "requests",
                    timeout_s=300,
                )
        counts, requests = visitors.counts, program.metric("headgate_requests_total")
        print(counts, admin.statuses, f"longest Admin round {admin.longest_s:.2f} s")  # noqa: T201 -- the figures belong in the report of a run
        assert not visitors.failures
        assert counts["told to close"] >= RELOADS * KEPT / 2
        assert set(admin.statuses) <= {'200 {"status":"ready"}', "PUT 200", "PUT 201", "live"}
        made = counts["_visit_anew"] + counts["_visit_kept"] + admin.statuses["live"]
        assert requests == made, "counts went back, or too far"
        assert not {*before} & {*program.children("worker")}
        assert not program.log("streams_lost|ended, it is replaced")


def test_a_stream_ends_between_two_events_and_its_reconnect_lands_on_a_new_worker(tmp_path: Path) -> None:
    events = NumberedEvents(0.05)
    with Origin() as origin, Program(tmp_path, workers=2) as program:
        origin.on("/events/*", events)
        program.route("1", "/*", origin.address)
        old = program.children("worker")
        with Swarm(program.port, ["/events/first"]) as swarm:
            [stream] = swarm.streams
            assert worker_of(program, "/events/first") in old
            reload(program)
            swarm.wait_ended()
            body, complete = stream.body()
        assert (complete, stream.ended) == (False, "fin")
        told = re.search(rb"retry: ([0-9]+)\n\n$", body)
        assert told
        assert 3000 <= int(told[1]) <= 6000
        assert body[: told.start()].endswith(b"\n\n")
        assert events.sent("/events/first").startswith(body[: told.start()])
        ended = program.wait_record(lambda record: record.get("event") == "stream_ended")
        assert ended["ending"] == "drain"
        with Swarm(program.port, ["/events/second"]) as swarm:
            assert worker_of(program, "/events/second") in {*program.children("worker")} - {*old}
            events.finish()
            swarm.wait_ended()
            assert swarm.streams[0].body() == (events.sent("/events/second"), True)
        wait_settled(program, 1)
        assert program.metric('headgate_streams_ended_total{ending="drain"}') == 1
        assert program.metric("headgate_streams_opened_total") == 2


def test_a_kept_connection_is_answered_and_closed_and_one_that_stays_idle_is_closed_too(tmp_path: Path) -> None:
    environ = {"HEADGATE_DRAIN_IDLE_S": "3"}
    with Origin() as origin, Program(tmp_path, environ=environ) as program:
        program.route("1", "/hello", origin.address)
        with Client(program.port) as asking, Client(program.port) as idle:
            for client in (asking, idle):
                client.get("/hello")
                assert client.read_response().get(b"connection") != b"close"
            [old] = program.children("worker")
            reload(program)
            asking.get("/hello")
            response = asking.read_response()
            assert (response.status, response.get(b"connection")) == (200, b"close")
            assert asking.read_end() == "fin"
            assert idle.read_end() == "fin"
        wait_settled(program, 1)
        assert old not in program.children("worker")


SETTINGS = "http: {{max_uri_bytes: {uri}}}\nadmin_keys: [{{name: me, key: {key}, role: admin}}]\n{more}"


def write_settings(program_directory: Path, *, uri: int, key: str, more: str = "") -> None:
    (program_directory / "headgate.yaml").write_text(SETTINGS.format(uri=uri, key=key, more=more))


def test_changed_settings_are_in_force_when_the_command_returns(tmp_path: Path) -> None:
    write_settings(tmp_path, uri=100, key="first")
    with Program(tmp_path, workers=2) as program:
        assert {get(program.port, "/" + "x" * 150).status for _ in range(8)} == {414}
        assert program.admin("GET", "routes", headers={"X-API-KEY": "first"}).status == 200
        write_settings(tmp_path, uri=200, key="second", more="routes: other.yaml\n")
        reload(program, "routes takes a restart, it stays as it is")
        assert {get(program.port, "/" + "x" * 150).status for _ in range(8)} == {404}
        assert program.admin("GET", "routes", headers={"X-API-KEY": "first"}).status == 401
        assert program.admin("GET", "routes", headers={"X-API-KEY": "second"}).status == 200
        [kept] = program.log("takes a restart, it stays as it is$")
        assert (kept["event"].split()[0], kept["served"], kept["asked"]) == ("routes", None, "other.yaml")


def test_settings_that_cannot_be_used_are_said_and_change_nothing(tmp_path: Path) -> None:
    write_settings(tmp_path, uri=100, key="k3y")
    with Program(tmp_path, workers=2) as program:
        before = program.children("worker") + program.children("control")
        write_settings(tmp_path, uri=200, key="k3y", more="listn: x\ndrain: {window_s: 0}\n")
        problems = [
            'headgate.yaml:3:1: listn: no such setting; did you mean "listen"?',
            "headgate.yaml:4:9: drain.window_s: must be more than 0",
        ]
        status, out, err = run_command(tmp_path, "reload", "--data-dir", str(program.data_dir))
        assert (status, out) == (1, [])
        assert err == [f"headgate: {problem}" for problem in problems]
        assert [one["event"] for one in program.log("given up")] == [
            f"reload given up, serving on as before: {problem}" for problem in problems
        ]
        # Without --data-dir the command has to read the settings itself, to find headgate.
        status, out, err = run_command(tmp_path, "reload")
        assert (status, out, err[: len(problems)]) == (1, [], [f"headgate: {problem}" for problem in problems])
        assert program.children("worker") + program.children("control") == before
        assert get(program.port, "/" + "x" * 150).status == 414
        write_settings(tmp_path, uri=200, key="k3y")
        reload(program)
        assert get(program.port, "/" + "x" * 150).status == 404


def test_workers_that_are_killed_in_a_reload_are_replaced_and_it_goes_on(tmp_path: Path) -> None:
    events = NumberedEvents(0.05)
    environ = {"HEADGATE_DRAIN_WINDOW_S": "120"}
    with Origin() as origin, Program(tmp_path, workers=2, environ=environ) as program:
        origin.on("/events/*", events)
        program.route("1", "/*", origin.address)
        old = program.children("worker")
        with Swarm(program.port, [f"/events/{number}" for number in range(20)]) as swarm:
            program.process.send_signal(signal.SIGHUP)
            program.wait_for(lambda: bool({*program.children("worker")} - {*old}), "a new worker")
            os.kill(max({*program.children("worker")} - {*old}), signal.SIGKILL)
            program.wait_log("^worker . ended, it is replaced")
            program.wait_log("^reloaded")
            swarm.wait_for(lambda: any(stream.ended for stream in swarm.streams), "the first stream's end")
            for pid in {*program.children("worker")} & {*old}:  # 20 streams end over two minutes
                os.kill(pid, signal.SIGKILL)
            swarm.wait_ended()
        wait_settled(program, 1)
        assert len(program.log("^worker . ended, it is replaced")) == 1
        lost = sum(record["streams_lost"] for record in program.log("^worker . ended before its streams did"))
        assert lost > 0
        assert program.metric('headgate_streams_ended_total{ending="gateway_error"}') == lost
        assert program.metric('headgate_streams_ended_total{ending="drain"}') == 20 - lost
        assert program.metric("headgate_streams_open") == 0
        assert get(program.port, "/hello").status == 200


def test_a_stop_in_a_reload_ends_old_and_new(tmp_path: Path) -> None:
    events = NumberedEvents(0.05)
    environ = {"HEADGATE_DRAIN_WINDOW_S": "3"}
    with Origin() as origin, Program(tmp_path, workers=2, environ=environ) as program:
        origin.on("/events/*", events)
        program.route("1", "/*", origin.address)
        targets = [f"/events/{number}" for number in range(10)]
        with Swarm(program.port, targets) as old, Swarm(program.port, [f"{target}/later" for target in targets]) as new:
            reload(program)
            program.process.terminate()
            old.wait_ended()
            new.wait_ended()
            assert program.wait() == 0
            for stream in (*old.streams, *new.streams):
                assert re.search(rb"retry: [0-9]+\n\n$", stream.body()[0])
