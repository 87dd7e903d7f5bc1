"""Where there are more clients than descriptors, the ones beyond wait; nobody is reset, and no stream notices."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Program
from tests.system.numbered_streams import NumberedEvents, Swarm

LIMITED = ("sh", "-c", 'ulimit -n 256; exec "$0" "$@"')
CAPACITY = (256 - 48) // 2
"""Connections that a worker holds with 256 descriptors: one more of each for its upstream, and 48 for all else."""
WAITING = 40
PAUSED = "^accepting paused"


def cpu_s(pid: int) -> float:
    """Give the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_clients_beyond_the_limit_wait_and_are_served_when_others_leave(tmp_path: Path) -> None:
    events = NumberedEvents(0.25)
    with Origin() as origin, Program(tmp_path, wrapper=LIMITED) as program, ExitStack() as stack:
        origin.on("/events/*", events)
        program.route("1", "/*", origin.address)
        with Swarm(program.port, [f"/events/{number}" for number in range(CAPACITY)]) as swarm:
            clients = [stack.enter_context(Client(program.port)) for _ in range(WAITING)]
            for client in clients:
                client.get("/hello")
            assert program.wait_log(PAUSED)["capacity"] == CAPACITY

            [worker] = program.children("worker")
            began, used_s = time.monotonic(), cpu_s(worker)
            swarm.wait_flowing(swarm.streams, 5)  # a second and more
            busy = (cpu_s(worker) - used_s) / (time.monotonic() - began)
            assert busy < 0.5, "the worker is busy while nothing but some events passes"
            assert len(origin.requests) == CAPACITY, "somebody beyond the limit was served"
            assert program.metric("headgate_connections_open") == CAPACITY

            events.finish()
            swarm.wait_ended()
            for client in clients:
                assert client.read_response().body == b"hello world\n"
        for stream in swarm.streams:
            assert stream.body() == (events.sent(stream.target), True)
        assert len(program.log(PAUSED)) == 1
        assert program.metric("headgate_accept_pauses_total") >= 1


def test_running_out_again_and_again_leaves_nothing_behind(tmp_path: Path) -> None:
    """Full three times over, each time with another upstream, whose connections the one before left in their pool."""
    with ExitStack() as stack, Program(tmp_path, wrapper=LIMITED) as program:
        for turn in range(3):
            origin = stack.enter_context(Origin())
            program.route(str(turn), f"/{turn}/*", origin.address)
            stream = origin.events(f"/{turn}/events", framing="length", steps=[b"data: one\n\n", b"data: two\n\n"])
            with ExitStack() as connections:
                clients = [connections.enter_context(Client(program.port)) for _ in range(CAPACITY + WAITING)]
                for client in clients:
                    client.get(f"/{turn}/events")
                for client in clients[:CAPACITY]:
                    assert client.read_head().status == 200
                    assert client.read_event().data == b"data: one\n\n"
                stream.confirm_all()
                for client in clients[:CAPACITY]:
                    assert client.read_event().data == b"data: two\n\n"
                    client.close()
                for client in clients[CAPACITY:]:
                    assert client.read_response().status == 200
        assert get(program.port, "/0/events").status == 200
        assert not program.log("Too many open files")
        assert not [record for record in program.records if record.get("error")]
        assert len(program.log(PAUSED)) == 1
