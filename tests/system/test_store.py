"""An acknowledged write is never lost: every process is killed with -9 while writes are being made, again and again."""

from __future__ import annotations

import http.client
import os
import random
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client import get
from tests.origin import Origin
from tests.running_program import Answer, Program

ROUNDS = 4
DATABASE = "config.sqlite3"


class Writer(threading.Thread):
    """Writes routes until the gateway is gone, and keeps what was acknowledged.

    ``new``: routes made, by id; ``last``: the highest number written to one route over and over; ``deleted``: ids.
    """

    def __init__(self, program: Program, name: str, node: str) -> None:
        super().__init__(name=name)
        self.new: dict[str, Answer] = {}
        self.deleted: set[str] = set()
        self.last = -1
        self.acknowledged = 0
        self.faults: list[Answer] = []
        self._program = program
        self._node = node

    def run(self) -> None:
        """Make, change and delete, one after the other."""
        number = 0
        try:
            while not self.faults:
                self._write(number)
                number += 1
        except (OSError, http.client.HTTPException):
            return  # killed

    def _write(self, number: int) -> None:
        made = f"{self.name}-{number}"
        document = {"uri": f"/{made}", "desc": made, "upstream": {"nodes": {self._node: 1}}}
        self.new[made] = self._call("PUT", f"routes/{made}", document)
        self._call("PUT", f"routes/{self.name}", {**document, "uri": f"/{self.name}", "desc": str(number)})
        self.last = number
        if number % 3 == 2:
            gone = f"{self.name}-{number - 1}"
            del self.new[gone]  # from here on it may be there or not
            self._call("DELETE", f"routes/{gone}")
            self.deleted.add(gone)

    def _call(self, method: str, path: str, body: object = None) -> Answer:
        answer = self._program.admin(method, path, body)
        if answer.status not in {200, 201}:
            self.faults.append(answer)
        self.acknowledged += 1
        return answer

    def check(self, stored: dict[str, dict[str, Any]]) -> None:
        """See that all that was acknowledged is stored, as it was acknowledged."""
        assert self.faults == []
        for identifier, answer in self.new.items():
            item = stored[identifier]
            assert item["value"] == answer.json["value"]
            assert answer.headers["etag"] == f'"{item["modifiedIndex"]}"'
        assert self.deleted.isdisjoint(stored)
        if self.last >= 0:
            assert int(stored[self.name]["value"]["desc"]) in {self.last, self.last + 1}


def wait_for_writes(program: Program, writers: list[Writer], wanted: int) -> None:
    """Wait until that many writes were acknowledged, by all writers together."""
    program.wait_for(lambda: sum(writer.acknowledged for writer in writers) >= wanted, f"{wanted} writes")


def kill_whole(program: Program) -> None:
    """Kill supervisor, control and workers with SIGKILL, and wait until none of them runs any more."""
    pids = [program.process.pid, *program.children("control"), *program.children("worker")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    program.process.wait()
    while any(_runs(pid) for pid in pids):
        os.sched_yield()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def stored_routes(program: Program) -> dict[str, dict[str, Any]]:
    """Give what the Admin API lists, by id."""
    return {item["value"]["id"]: item for item in program.admin("GET", "routes").json["list"]}


def test_acknowledged_writes_survive_kill_9_of_everything(tmp_path: Path) -> None:
    chance = random.Random()
    past: list[Writer] = []
    with Origin() as origin:
        for turn in range(ROUNDS):
            with Program(tmp_path, workers=2, expect_status=-signal.SIGKILL) as program:
                stored = stored_routes(program)
                for writer in past:
                    writer.check(stored)
                writers = [Writer(program, f"w{turn}-{number}", origin.address) for number in range(3)]
                for writer in writers:
                    writer.start()
                wait_for_writes(program, writers, chance.randrange(1, 120))
                kill_whole(program)
                for writer in writers:
                    writer.join()
                past += writers

        with Program(tmp_path) as program:
            stored = stored_routes(program)
            for writer in past:
                writer.check(stored)
            served = [item["value"]["uri"] for item in list(stored.values())[::20]]
            assert {get(program.port, uri).body[:24] for uri in served} == {b"the origin has no handle"}
            made = program.put("routes/afterwards", {"uri": "/hello", "upstream": {"nodes": {origin.address: 1}}})
            assert int(made.headers["etag"].strip('"')) > max(item["modifiedIndex"] for item in stored.values())
            assert get(program.port, "/hello").status == 200
    assert sum(writer.acknowledged for writer in past) >= ROUNDS


def test_a_restart_keeps_every_document_and_index(tmp_path: Path) -> None:
    document = {"uri": "/a", "plugins": {"cors": {}}, "upstream_id": "1"}
    with Program(tmp_path) as program:
        assert program.put("upstreams/1", {"nodes": {"127.0.0.1:1": 1}}).status == 201
        assert program.put("services/1", {"upstream_id": "1"}).status == 201
        assert program.put("routes/1", document).status == 201
        assert program.put("routes/2", {**document, "uri": "/b"}).status == 201
        assert program.put("routes/1", {**document, "desc": "changed"}).status == 200
        assert program.put("global_rules/1", {"plugins": {"request-id": {}}}).status == 201
        kinds = ("upstreams", "services", "routes", "global_rules")
        before = {kind: program.admin("GET", kind).json for kind in kinds}
    routes = {item["value"]["id"]: item for item in before["routes"]["list"]}
    assert routes["1"]["createdIndex"] < routes["2"]["createdIndex"] < routes["1"]["modifiedIndex"]
    for path, mode in (((tmp_path / "data"), 0o700), (tmp_path / "data" / DATABASE, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    with Program(tmp_path) as program:
        assert {kind: program.admin("GET", kind).json for kind in kinds} == before
        assert get(program.port, "/a").get(b"access-control-allow-origin") == b"*"


def test_a_route_that_expired_while_nothing_ran_is_gone_after_the_restart(tmp_path: Path) -> None:
    with Program(tmp_path, expect_status=-signal.SIGKILL) as program:
        document = {"uri": "/hello", "plugins": {}}
        assert program.admin("PUT", "routes/short?ttl=0.001", document).status == 201
        assert program.admin("PUT", "routes/long?ttl=3600", document).status == 201
        kill_whole(program)
    with Program(tmp_path) as program:
        program.wait_for(lambda: program.admin("GET", "routes/short").status == 404, "the end of the short one")
        assert program.admin("GET", "routes/long").status == 200


def scribble(database: Path) -> None:
    """Damage pages that hold items."""
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))


def cut(database: Path) -> None:
    """Lose the second half of the file."""
    os.truncate(database, database.stat().st_size // 2)


def run_sql(statement: str) -> Callable[[Path], None]:
    """Make a change that only another program would make."""

    def change(database: Path) -> None:
        with sqlite3.connect(database) as connection:
            connection.execute(statement)
        connection.close()

    return change


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda database: database.write_bytes(b"not a database at all, " * 400), "is not a database"),
        (scribble, "restore it from a backup, or move it away"),
        (cut, "restore it from a backup, or move it away"),
        (run_sql("PRAGMA user_version = 99"), "was written by a newer headgate (format 99, this one knows 1)"),
        (run_sql("INSERT INTO items VALUES ('cats', '1', '{}', 1, 1, NULL)"), "no resource under cats/1"),
        (run_sql("UPDATE items SET value = '{' WHERE id = '0'"), "restore it from a backup, or move it away"),
    ],
    ids=["other file", "scribbled over", "cut", "newer", "unknown kind", "no JSON"],
)
def test_a_broken_store_is_said_in_one_line(
    tmp_path: Path, healthy: bytes, damage: Callable[[Path], None], text: str
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database = data / DATABASE
    database.touch(mode=0o600)
    database.write_bytes(healthy)
    damage(database)
    program = Program(tmp_path)
    try:
        status = program.wait()
        errors = [record["event"] for record in program.log("") if record["level"] == "error"]
        assert status == 1
        assert len(errors) == 1, errors
        assert str(database) in errors[0]
        assert text in errors[0]
        assert not any("Traceback" in line for line in program.errors)
    finally:
        program.kill()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a store with 100 routes, as a gateway left it."""
    directory = tmp_path_factory.mktemp("healthy")
    with Program(directory) as program:
        for number in range(100):
            document = {"uri": f"/{number}", "plugins": {}, "desc": "x" * 200}
            assert program.put(f"routes/{number}", document).status == 201
    return (directory / "data" / DATABASE).read_bytes()
