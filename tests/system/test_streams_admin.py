"""Every open stream can be seen, looked into and ended by its id, on whichever worker it is, without disturbing it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from tests.client import Client
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Steps, Wire
from tests.running_program import Answer, Program
from tests.system.numbered_streams import NumberedEvents, Swarm

PATH = "/headgate/streams"
STREAMS = 24
"""So many that both workers have some: the kernel deals connections out by chance, once in 2^23 all to one."""
BOUND_S = 20.0
"""Ten times the 2 s after which a worker counts as silent; a hanging Admin API shows as 60 s."""


class Tail:
    """A live tail over the Admin API; ``events`` gives what it shows, one by one."""

    def __init__(self, program: Program, stream_id: str, query: str = "", *fields: tuple[bytes, bytes]) -> None:
        self.client = Client(program.admin_port)
        self.client.get(f"{PATH}/{stream_id}/events{query}", *fields, host=b"127.0.0.1:%d" % program.admin_port)
        self.head = self.client.read_head()

    def __enter__(self) -> Self:
        assert self.head.status == 200
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def next(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the decoded data of the next event, passing over comments."""
        while True:
            lines = self.client.read_event().data.decode().splitlines()
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":") and line)
            if fields:
                return fields["event"], json.loads(fields["data"])


def listing(program: Program, query: str = "", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """List streams."""
    answer = program.admin("GET", PATH + query, headers=headers)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def stream_id(program: Program, target: str) -> str:
    """Give the id of the stream at a target."""
    (found,) = (row["id"] for row in listing(program)["list"] if row["target"] == target)
    return str(found)


def kill(program: Program, identifier: str) -> Answer:
    return program.admin("DELETE", f"{PATH}/{identifier}")


@contextmanager
def streaming(tmp_path: Path, drain_s: float = 8.0) -> Iterator[tuple[Program, Swarm, NumberedEvents]]:
    """Run two workers with :data:`STREAMS` numbered streams, on two routes."""
    events = NumberedEvents(0.05)
    targets = [f"/{'ab'[number % 2]}/{number}" for number in range(STREAMS)]
    environ = {"HEADGATE_DRAIN_WINDOW_S": str(drain_s)}
    with Origin() as origin, Program(tmp_path, workers=2, environ=environ) as program:
        origin.on("/*", events)
        for name in "ab":
            program.route(name, f"/{name}/*", origin.address)
        with Swarm(program.port, targets) as swarm:
            yield program, swarm, events


def test_the_list_has_the_streams_of_all_workers_with_filters_and_pages(tmp_path: Path) -> None:
    with streaming(tmp_path) as (program, swarm, events):
        found = listing(program)
        rows = found["list"]
        assert (found["total"], found["missing_workers"]) == (STREAMS, [])
        assert {row["target"] for row in rows} == {stream.target for stream in swarm.streams}
        assert {row["worker"] for row in rows} == {0, 1}
        assert {row["pid"] for row in rows} == set(program.children("worker"))
        assert [row["opened_at"] for row in rows] == sorted(row["opened_at"] for row in rows)
        opened = {record["id"]: record for record in program.records if record["event"] == "stream_opened"}
        for row in rows:
            assert {name: row[name] for name in ("route", "target", "upstream", "host")} == {
                name: opened[row["id"]][name] for name in ("route", "target", "upstream", "host")
            }
            assert (row["state"], row["generation"], row["consumer"]) == ("open", "new", None)
            assert row["events"] >= 1

        assert {row["route"] for row in listing(program, "?route=a")["list"]} == {"a"}
        assert listing(program, "?route=a")["total"] == STREAMS / 2
        assert listing(program, "?client=127.0.0.1")["total"] == STREAMS
        assert listing(program, "?client=127.0.0.2")["total"] == 0
        assert listing(program, "?consumer=somebody")["total"] == 0
        pages = [listing(program, f"?page={page}&page_size=10") for page in (1, 2, 3, 4)]
        assert [row["id"] for page in pages for row in page["list"]] == [row["id"] for row in rows]
        assert [len(page["list"]) for page in pages] == [10, 10, 4, 0]
        assert {page["total"] for page in pages} == {STREAMS}

        one = program.admin("GET", f"{PATH}/{rows[0]['id']}")
        assert one.json["events"] >= rows[0]["events"]
        assert one.json["pid"] == rows[0]["pid"]
        events.finish()
        swarm.wait_ended()
        program.wait_for(lambda: listing(program)["total"] == 0, "an empty list")
        assert program.admin("GET", f"{PATH}/{rows[0]['id']}").status == 404


def test_kill_ends_just_the_one_and_its_client_can_tell(tmp_path: Path) -> None:
    with streaming(tmp_path) as (program, swarm, events):
        victim, *others = swarm.streams
        identifier = stream_id(program, victim.target)
        answer = kill(program, identifier)
        assert (answer.status, answer.json) == (200, {"id": identifier, "ending": "killed"})
        swarm.wait_for(lambda: victim.ended is not None, "the victim's end")
        body, is_complete = victim.body()
        assert not is_complete
        assert events.sent(victim.target).startswith(body)
        record = program.wait_record(lambda record: record["event"] == "stream_ended" and record["id"] == identifier)
        assert record["ending"] == "killed"
        answer = kill(program, identifier)
        assert (answer.status, answer.json) == (404, {"error_msg": "no such stream"})
        swarm.wait_flowing(others, 2)
        assert listing(program)["total"] == STREAMS - 1
        events.finish()
        swarm.wait_ended()
        for stream in others:
            assert stream.body() == (events.sent(stream.target), True)


@contextmanager
def one_stream(tmp_path: Path, *steps: bytes, **options: Any) -> Iterator[tuple[Program, Client, Steps]]:
    """Run a stream whose events are sent one by one; its client has the first one."""
    with Origin() as origin, Program(tmp_path, **options) as program:
        events = origin.events("/events", steps=steps)
        program.put("routes/1", {"uri": "/*", "upstream": {"nodes": {origin.address: 1}}})
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            assert client.read_event().data == steps[0]
            yield program, client, events


def test_a_tail_shows_each_event_before_the_next_one_is_sent(tmp_path: Path) -> None:
    steps = [b"id: 1\ndata: a\n\n", b"event: tick\nid: 2\ndata: b\ndata: c\n\n", b": hello\n\n", b"data: d\n\n"]
    with one_stream(tmp_path, *steps) as (program, client, events):
        identifier = stream_id(program, "/events")
        with Tail(program, identifier, "?data=true") as tail, Tail(program, identifier) as masked:
            assert tail.head.get(b"content-type") == b"text/event-stream"
            assert tail.head.get(b"cache-control") == b"no-cache"
            assert tail.head.get(b"x-accel-buffering") == b"no"
            seen = []
            for number in range(3):
                events.confirm(number)  # the next one is sent now, and none behind it
                seen.append(tail.next())
                assert client.read_event().data == steps[number + 1]
            events.confirm(3)
            assert tail.next() == ("end", {"ending": "complete"})
            assert tail.client.read_body() == b""
            client.read_body()
            hidden = [masked.next() for _ in range(4)]

    assert [name for name, _ in seen] == ["event", "comment", "event"]
    tick, comment, last = (value for _, value in seen)
    assert {name: tick[name] for name in ("n", "event_id", "type", "bytes", "data", "masked")} == {
        "n": 2,
        "event_id": "2",
        "type": "tick",
        "bytes": len(steps[1]),
        "data": "b\nc",
        "masked": False,
    }
    assert tick["since_previous_s"] > 0
    assert comment.keys() == {"at", "bytes"}
    assert (last["n"], last["event_id"], last["type"], last["data"]) == (3, None, "message", "d")
    assert [name for name, _ in hidden] == ["event", "comment", "event", "end"]
    assert [(value["data"], value["masked"]) for name, value in hidden if name == "event"] == [(None, True)] * 2


def test_curl_follows_a_tail(tmp_path: Path) -> None:
    with one_stream(tmp_path, b"data: a\n\n", b"data: b\n\n") as (program, _, events):
        url = f"http://127.0.0.1:{program.admin_port}{PATH}/{stream_id(program, '/events')}/events?data=true"
        with subprocess.Popen(["curl", "-sSN", url], stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            assert [curl.stdout.readline(), curl.stdout.readline()] == [":\n", "\n"]
            events.confirm(0)
            assert curl.stdout.readline() == "event: event\n"
            assert '"data":"b"' in curl.stdout.readline()
            events.confirm(1)
            assert curl.stdout.read().splitlines()[1:3] == ["event: end", 'data: {"ending":"complete"}']


def test_a_tail_that_nobody_reads_slows_nothing_down_and_says_what_it_lost(tmp_path: Path) -> None:
    events, size = 20_000, 400
    begin = Gate()

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"data: first\n\n")
        await begin.wait()
        for number in range(events):
            await wire.chunk(b"data: %d %s\n\n" % (number, b"x" * size))
        await wire.last_chunk()

    with Origin() as origin, Program(tmp_path) as program:
        origin.on("/events", flood)
        program.route("1", "/*", origin.address)
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            client.read_event()
            with Tail(program, stream_id(program, "/events"), "?data=true") as tail:
                begin.open()
                # The client gets all of it while the tail's reader has not read a byte behind the head.
                body = client.read_body()
                assert body == b"".join(b"data: %d %s\n\n" % (number, b"x" * size) for number in range(events))
                shown = [tail.next()]
                while shown[-1][0] != "end":
                    shown.append(tail.next())
        lost = program.metric("headgate_tail_events_lost_total")
    gaps = [value["lost"] for name, value in shown if name == "gap"]
    numbers = [value["n"] for name, value in shown if name == "event"]
    assert shown[-1] == ("end", {"ending": "complete"})
    assert sum(gaps) + len(numbers) == events
    assert numbers == sorted(numbers)
    assert lost == sum(gaps) > 0


KEYS = """
admin_keys:
  - {name: ops, key: secret-1, role: admin}
  - {name: dashboard, key: secret-2, role: viewer}
"""


def test_with_keys_only_admins_see_data_and_end_streams(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(KEYS)
    admin, viewer = {"X-API-KEY": "secret-1"}, {"X-API-KEY": "secret-2"}
    with Origin() as origin, Program(tmp_path) as program:
        events = origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"])
        document = {"uri": "/*", "upstream": {"nodes": {origin.address: 1}}}
        assert program.admin("PUT", "routes/1", document, admin).status == 201
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            client.read_event()
            assert program.admin("GET", PATH).status == 401
            (row,) = listing(program, headers=viewer)["list"]
            one = f"{PATH}/{row['id']}"
            assert program.admin("GET", one, headers=viewer).status == 200
            refused = program.admin("GET", f"{one}/events?data=true", headers=viewer)
            assert (refused.status, "viewer" in refused.json["error_msg"]) == (403, True)
            assert program.admin("DELETE", one, headers=viewer).status == 401
            with (
                Tail(program, row["id"], "", (b"X-API-KEY", b"secret-2")) as masked,
                Tail(program, row["id"], "?data=true&api_key=secret-1") as tail,
            ):
                events.confirm(0)
                assert (masked.next()[1]["data"], tail.next()[1]["data"]) == (None, "b")
                assert program.admin("DELETE", one, headers=admin).json["ending"] == "killed"
                assert masked.next() == tail.next() == ("end", {"ending": "killed"})
        events.confirm(1)


def test_a_worker_that_stands_still_is_named_and_holds_nothing_up(tmp_path: Path) -> None:
    with streaming(tmp_path) as (program, swarm, events):
        rows = listing(program)["list"]
        stopped = rows[0]["pid"]
        (running,) = set(program.children("worker")) - {stopped}
        os.kill(stopped, signal.SIGSTOP)
        try:
            began = time.monotonic()
            found = listing(program)
            assert time.monotonic() - began < BOUND_S
            assert found["missing_workers"] == [{"worker": rows[0]["worker"], "pid": stopped}]
            assert {row["pid"] for row in found["list"]} == {running}
            assert found["total"] == len([row for row in rows if row["pid"] == running])
            one = f"{PATH}/{rows[0]['id']}"
            with ThreadPoolExecutor(3) as threads:
                answers = [
                    threads.submit(program.admin, *call)
                    for call in (("GET", one), ("DELETE", one), ("GET", f"{one}/events"))
                ]
            for answer in (answered.result() for answered in answers):
                assert (answer.status, answer.json["missing_workers"]) == (503, found["missing_workers"])
                assert f"pid {stopped}" in answer.json["error_msg"]
            other = next(row for row in rows if row["pid"] == running)
            assert program.admin("GET", f"{PATH}/{other['id']}").status == 200
            assert kill(program, other["id"]).json["ending"] == "killed"
        finally:
            os.kill(stopped, signal.SIGCONT)
        # The order to end a stream was given, and is carried out late; what nobody waits for any more harms nothing.
        program.wait_record(lambda record: record.get("id") == rows[0]["id"] and record.get("ending") == "killed")
        program.wait_for(lambda: listing(program)["missing_workers"] == [], "all workers")
        assert listing(program)["total"] == STREAMS - 2
        assert program.children("worker") == sorted([stopped, running])
        events.finish()
        swarm.wait_ended()


def test_a_write_is_acknowledged_among_tails_and_lists(tmp_path: Path) -> None:
    with streaming(tmp_path) as (program, _, _events), ExitStack() as stack:
        for row in listing(program)["list"]:
            stack.enter_context(Tail(program, row["id"], "?data=true"))
        for number in range(20):
            answer = program.put(f"routes/more-{number}", {"uri": "/more", "upstream": {"nodes": {"127.0.0.1:1": 1}}})
            assert answer.status == 201
            assert listing(program)["total"] == STREAMS


def test_a_reader_that_leaves_makes_room_for_others(tmp_path: Path) -> None:
    with one_stream(tmp_path, b"data: a\n\n") as (program, _, _events), ExitStack() as stack:
        identifier = stream_id(program, "/events")
        tails = [stack.enter_context(Tail(program, identifier)) for _ in range(64)]
        refused = program.admin("GET", f"{PATH}/{identifier}/events")
        assert (refused.status, refused.json["error_msg"]) == (503, "64 tails are open on worker 0 already")
        tails[7].client.close()

        def has_room() -> bool:
            tail = Tail(program, identifier)
            tail.client.close()
            return tail.head.status == 200

        program.wait_for(has_room, "room for another tail")


@pytest.mark.parametrize("encoding", [b"gzip", b""])
def test_what_cannot_be_read_can_still_be_seen_and_ended(tmp_path: Path, encoding: bytes) -> None:
    async def unreadable(_: Received, wire: Wire) -> None:
        fields = [(b"Content-Encoding", encoding)] if encoding else []
        kind = EVENT_STREAM if encoding else (b"Content-Type", b"application/x-ndjson")
        await wire.head(200, kind, *fields, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"{}\n")
        await wire.gone()

    with Origin() as origin, Program(tmp_path) as program:
        origin.on("/events", unreadable)
        program.route("1", "/*", origin.address)
        with Client(program.port) as client:
            client.get("/events")
            client.read_head()
            client.read_chunk()
            (row,) = listing(program)["list"]
            assert (row["events"], row["bytes"], row["untouched"]) == (None, 3, "encoded" if encoding else "type")
            refused = program.admin("GET", f"{PATH}/{row['id']}/events")
            assert (refused.status, "cannot be read" in refused.json["error_msg"]) == (409, True)
            assert kill(program, row["id"]).json["ending"] == "killed"


def test_a_tail_hears_that_its_worker_has_gone(tmp_path: Path) -> None:
    with (
        one_stream(tmp_path, b"data: a\n\n") as (program, _, _events),
        Tail(program, stream_id(program, "/events")) as tail,
    ):
        (worker,) = program.children("worker")
        os.kill(worker, signal.SIGKILL)
        name, value = tail.next()
        assert (name, value["ending"]) == ("end", None)
        assert f"(pid {worker}) has gone" in value["error_msg"]


def test_a_tail_hears_how_its_stream_ended_when_headgate_stops(tmp_path: Path) -> None:
    with (
        one_stream(tmp_path, b"data: a\n\n") as (program, _, _events),
        Tail(program, stream_id(program, "/events")) as tail,
    ):
        program.process.terminate()
        assert tail.next() == ("end", {"ending": "drain"})
        assert tail.client.read_body() == b""
        assert program.wait() == 0


def test_streams_that_a_reload_has_left_to_drain_are_seen_and_ended_too(tmp_path: Path) -> None:
    with streaming(tmp_path, drain_s=60.0) as (program, swarm, events):
        before = set(program.children("worker"))
        program.process.send_signal(signal.SIGHUP)
        program.wait_log("^reloaded")
        target = "/b/new"
        with Client(program.port) as client:
            client.get(target)
            assert client.read_head().status == 200
            rows: list[dict[str, Any]] = []

            def has_all_drained() -> bool:
                rows[:] = listing(program)["list"]
                return {(row["generation"], row["state"]) for row in rows if row["target"] != target} == {
                    ("old", "draining")
                }

            program.wait_for(has_all_drained, "only draining streams on old workers")
            old = [row for row in rows if row["target"] != target]
            (new,) = (row for row in rows if row["target"] == target)
            assert (new["generation"], new["state"]) == ("new", "open")
            assert new["pid"] not in before
            assert {row["pid"] for row in old} <= before
            assert STREAMS / 2 < len(old) <= STREAMS
            victim = old[-1]["id"]
            with Tail(program, victim) as tail:
                assert tail.next()[0] == "event"
                assert kill(program, victim).json["ending"] == "killed"
                shown = tail.next()
                while shown[0] != "end":
                    shown = tail.next()
                assert shown == ("end", {"ending": "killed"})
            events.finish()
            client.read_body()
        swarm.wait_ended()


def test_a_reload_does_not_wait_for_the_reader_of_a_tail(tmp_path: Path) -> None:
    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        while True:
            await wire.chunk(b"data: %s\n\n" % (b"x" * 50_000))

    with Origin() as origin, Program(tmp_path) as program:
        origin.on("/events", flood)
        program.route("1", "/*", origin.address)
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            with Tail(program, stream_id(program, "/events"), "?data=true") as tail:
                # Its reader takes nothing from here on; once events are lost, all buffers on the way to it are full.
                while not program.metric("headgate_tail_events_lost_total"):
                    for _ in range(50):
                        client.read_chunk()
                program.process.send_signal(signal.SIGHUP)
                program.wait_log("^reloaded")
                assert listing(program)["total"] <= 1
                assert tail.client.read_rest()
