"""The access log loses no record by rotation, never holds the gateway up, and shows no secret."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client, get, request
from tests.origin import End, Origin, Received, Wire
from tests.running_program import WAIT_S, Program

DROPPED = "headgate_access_log_dropped_total"


def read_log(*files: Path) -> list[dict[str, Any]]:
    """Read records; every line must be whole."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def wait_for_requests(program: Program, answered: list[str], wanted: int) -> None:
    """Wait until that many requests were answered."""
    program.wait_for(lambda: len(answered) >= wanted, f"{wanted} answers")


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_rotation_loses_no_record(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    rotated = [tmp_path / f"access.{number}.log" for number in range(4)]
    answered: list[str] = []
    stop = threading.Event()

    def ask(client_number: int, port: int) -> None:
        number = 0
        with Client(port) as client:
            while not stop.is_set():
                target = f"/{client_number}/{number}"
                client.get(target)
                assert client.read_response().status == 404
                answered.append(target)
                number += 1

    with Program(tmp_path, workers=2, environ={"HEADGATE_ACCESS_LOG": str(file)}) as program:
        # So many that both workers have some: the kernel deals connections out by chance.
        clients = [threading.Thread(target=ask, args=(number, program.port)) for number in range(24)]
        for client in clients:
            client.start()
        try:
            for old in rotated:
                wait_for_requests(program, answered, len(answered) + 200)
                file.rename(old)
                program.process.send_signal(signal.SIGUSR1)
                program.wait_for(file.exists, "the new file")
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert program.metric(DROPPED) == 0
        assert [record["event"] for record in program.records] == ["ready"]
    records = read_log(*rotated, file)
    assert sorted(record["target"] for record in records) == sorted(answered)
    assert len({record["id"] for record in records}) == len(records)
    assert {record["id"].partition("-")[0] for record in records} == {"0", "1"}


def test_requests_after_a_rotation_are_in_the_new_file(tmp_path: Path) -> None:
    file, old = tmp_path / "access.log", tmp_path / "access.1.log"
    with Program(tmp_path, environ={"HEADGATE_ACCESS_LOG": str(file)}) as program:
        get(program.port, "/before")
        file.rename(old)
        program.process.send_signal(signal.SIGUSR1)
        program.wait_for(file.exists, "the new file")
        get(program.port, "/after")
    assert [record["target"] for record in read_log(old)] == ["/before"]
    assert [record["target"] for record in read_log(file)] == ["/after"]
    assert file.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_opened_again_leaves_the_log_where_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    moved = tmp_path / "moved"
    with Program(tmp_path, environ={"HEADGATE_ACCESS_LOG": str(directory / "access.log")}) as program:
        get(program.port, "/before")
        directory.rename(moved)
        program.process.send_signal(signal.SIGUSR1)
        program.wait_log("access log not reopened")
        get(program.port, "/after")
    assert [record["target"] for record in read_log(moved / "access.log")] == ["/before", "/after"]


def test_off_writes_nothing(tmp_path: Path) -> None:
    with Program(tmp_path, environ={"HEADGATE_ACCESS_LOG": "off"}) as program:
        for _ in range(20):
            assert get(program.port, "/none").status == 404
        program.process.send_signal(signal.SIGUSR1)
        assert get(program.port, "/none").status == 404
    assert [record["event"] for record in program.records] == ["ready"]


# -- nobody reads ------------------------------------------------------------------------------------------------------


class Unread(Program):
    """Nobody reads its stdout from ``ready`` until ``resume`` is set."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.resume = threading.Event()
        super().__init__(*arguments, **options)

    def _read_records(self) -> None:
        assert self.process.stdout is not None
        self._note(self.records, json.loads(self.process.stdout.readline()))
        self.resume.wait()
        super()._read_records()

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Wait for the end of the process, then let the reader go too."""
        try:
            self.process.wait(timeout_s)
        finally:
            self.resume.set()
        return super().wait(timeout_s)


REQUESTS, PIPELINED = 6000, 50
LONG = "/" + "x" * 1900


def test_a_pipe_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    with Origin() as origin, Unread(tmp_path) as program:
        steps = [b"data: %d\n\n" % number for number in range(2)]
        stream = origin.events("/events", steps=steps)
        program.route("1", "/events", origin.address)
        with Client(program.port) as watcher, Client(program.port) as client:
            watcher.get("/events")
            assert watcher.read_head().status == 200
            assert watcher.read_event().data == steps[0]
            batch = f"GET {LONG} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * PIPELINED
            for _ in range(REQUESTS // PIPELINED):
                client.send(batch)
                for _ in range(PIPELINED):
                    assert client.read_response().status == 404
            stream.confirm(0)
            assert watcher.read_event().data == steps[1]
            stream.confirm(1)
            assert watcher.read_body() == b""
        dropped = int(program.metric(DROPPED))
        assert dropped > 0
        assert program.metric("headgate_requests_total") == REQUESTS + 1

        # What was not dropped was kept, and comes once somebody reads.
        program.resume.set()
        program.wait_for(
            lambda: len(program.records) + int(program.metric(DROPPED)) == 1 + REQUESTS + 2, "the rest of the records"
        )


def test_it_stops_although_nobody_reads(tmp_path: Path) -> None:
    with Unread(tmp_path) as program, Client(program.port) as client:
        batch = f"GET {LONG} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * PIPELINED
        for _ in range(4):  # more than a pipe holds
            client.send(batch)
            for _ in range(PIPELINED):
                assert client.read_response().status == 404
        program.process.terminate()
        assert program.wait() == 0


# -- what a record says ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Origin]]:
    """Give a program and an upstream, with a route ``r7`` for every path below ``/up/``."""
    environ = {"HEADGATE_MASK_QUERY_KEYS": "room,User"}
    with Origin() as origin, Program(tmp_path_factory.mktemp("records"), environ=environ) as program:
        program.route("r7", "/up/*", origin.address)
        yield program, origin


def ended_of(program: Program, target: str) -> dict[str, Any]:
    """Wait for the last record of an exchange."""
    return program.wait_record(lambda record: record.get("target") == target and "ending" in record)


def test_a_stream_has_a_record_when_it_opens_and_one_when_it_ends(shared: tuple[Program, Origin]) -> None:
    program, origin = shared
    steps = [b"id: 1\ndata: a\n\n", b"data: b\n\ndata: c\n\n", b": comment only\n\n"]
    stream = origin.events("/up/events", steps=steps)
    with Client(program.port) as client:
        client.get("/up/events?a=1", host=b"events.example")
        assert client.read_head().status == 200
        opened = program.wait_record(lambda record: record["event"] == "stream_opened")
        stream.confirm_all()
        assert client.read_body() == b"".join(steps)
    ended = ended_of(program, "/up/events?a=1")
    assert ended["event"] == "stream_ended"
    same = {
        "route": "r7",
        "client": "127.0.0.1",
        "method": "GET",
        "host": "events.example",
        "target": "/up/events?a=1",
        "status": 200,
        "upstream": origin.address,
    }
    assert opened.items() >= same.items()
    assert ended.items() >= same.items()
    assert opened["id"] == ended["id"]
    assert opened["head_s"] >= 0
    assert (ended["ending"], ended["bytes"]) == ("complete", len(b"".join(steps)))
    assert ended["events"] == 3  # a comment is none (WHATWG HTML §9.2.6)
    assert 0 <= opened["head_s"] <= ended["first_byte_s"] <= ended["first_event_s"] <= ended["duration_s"]


@pytest.mark.parametrize(
    ("ending", "end"), [("client_gone", "hold"), ("upstream_eof", "fin"), ("upstream_reset", "rst")]
)
def test_the_reason_of_a_streams_end(shared: tuple[Program, Origin], ending: str, end: End) -> None:
    program, origin = shared
    stream = origin.events(f"/up/{ending}", steps=[b"data: a\n\n"], end=end)
    with Client(program.port) as client:
        client.get(f"/up/{ending}")
        assert client.read_head().status == 200
        assert client.read_event().data == b"data: a\n\n"
        stream.confirm(0)
        if ending != "client_gone":
            client.read_rest()
    ended = ended_of(program, f"/up/{ending}")
    assert (ended["ending"], ended["events"], ended["status"]) == (ending, 1, 200)
    assert program.metric(f'headgate_streams_ended_total{{ending="{ending}"}}') == 1


def test_requests_that_are_no_streams_have_one_record(shared: tuple[Program, Origin]) -> None:
    async def ten(_: Received, wire: Wire) -> None:
        await wire.respond(200, b"0123456789", (b"Content-Type", b"text/plain"))

    program, origin = shared
    origin.on("/up/ten", ten)
    before = len(program.records)
    assert get(program.port, "/up/ten").status == 200
    assert get(program.port, "/none").status == 404
    assert request(program.port, b"GET / HTTP/1.1\r\n\r\n").status == 400
    program.wait_for(lambda: len(program.records) >= before + 3, "three records")
    served, missed, refused = program.records[before:]
    assert {record["event"] for record in (served, missed, refused)} == {"request_ended"}
    assert (served["target"], served["status"], served["ending"], served["bytes"]) == ("/up/ten", 200, "complete", 10)
    assert served["first_byte_s"] <= served["duration_s"]
    assert (missed["route"], missed["status"], missed["ending"], missed["upstream"]) == (None, 404, "refused", None)
    assert (refused["status"], refused["ending"], refused["error"]) == (400, "refused", "bad_request")


SECRET = "hunter2"
NAMES = ("access_token", "api_key", "Token", "X-Amz-Signature", "password", "sid", "%74oken", "room", "user", "key")


def test_secrets_in_queries_are_masked(shared: tuple[Program, Origin]) -> None:
    program, origin = shared
    stream = origin.events("/up/secret", steps=[b"data: a\n\n"])
    stream.confirm_all()
    seen = len(origin.requests)
    for name in NAMES:
        assert get(program.port, f"/up/secret?page=2&{name}={SECRET}&last=3").status == 200
        assert get(program.port, f"/none/{name}?{name}={SECRET};x={SECRET}").status == 404
    assert origin.requests[seen].query == f"page=2&access_token={SECRET}&last=3".encode()
    for name in NAMES:
        assert ended_of(program, f"/up/secret?page=2&{name}=***&last=3")["event"] == "stream_ended"
        assert ended_of(program, f"/none/{name}?{name}=***")["status"] == 404
    assert SECRET not in json.dumps(program.records) + "\n".join(program.errors)
