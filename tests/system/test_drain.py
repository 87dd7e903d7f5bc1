"""One node can be taken out without a failed request: readiness says no first, what waits is answered, and the command waits for the end."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Answer, Program
from tests.system.commands import run_command, start_command
from tests.system.numbered_streams import NumberedEvents, Swarm

WAITING = 600
"""More than a worker accepts in a few turns of its loop."""
DELAY_S = 4.0
KEYS = '[{"name": "ops", "key": "a-secret", "role": "admin"}]'


def ready(program: Program, method: str = "GET", **headers: str) -> Answer:
    return program.admin(method, "/headgate/ready", headers=headers)


@pytest.mark.parametrize("environ", [{}, {"HEADGATE_ADMIN_KEYS": KEYS}])
def test_readiness_is_everybodys(tmp_path: Path, environ: dict[str, str]) -> None:
    with Program(tmp_path, environ=environ) as program:
        for headers in ({}, {"Host": "balancer.example", "Origin": "http://elsewhere", "Via": "1.1 proxy"}):
            answer = ready(program, **headers)
            assert (answer.status, answer.json) == (200, {"status": "ready"})
            assert ready(program, "HEAD", **headers).status == 200
            assert ready(program, "PUT", **headers).status in {401, 403, 404}


def test_with_a_delay_readiness_says_no_while_everything_is_still_served(tmp_path: Path) -> None:
    environ = {"HEADGATE_DRAIN_DELAY_S": str(DELAY_S), "HEADGATE_DRAIN_WINDOW_S": "1"}
    with Origin() as origin, Program(tmp_path, workers=2, environ=environ) as program:
        program.route("1", "/hello", origin.address)
        began = time.monotonic()
        program.process.terminate()
        program.wait_for(lambda: ready(program).status == 503, "readiness to say no")
        assert ready(program).json == {"status": "draining"}
        with Client(program.port) as client:
            for _ in range(3):
                client.get("/hello")
                response = client.read_response()
                assert (response.status, response.get(b"connection")) == (200, None)
        served_s = time.monotonic() - began
        assert program.wait() == 0
        assert time.monotonic() - began >= DELAY_S > served_s
        with pytest.raises(ConnectionRefusedError):
            get(program.port, "/hello")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_when_the_sockets_close_is_answered_and_the_next_is_refused(tmp_path: Path, workers: int) -> None:
    with Origin() as origin, Program(tmp_path, workers=workers) as program, ExitStack() as stack:
        program.route("1", "/hello", origin.address)
        for pid in program.children("worker"):
            os.kill(pid, signal.SIGSTOP)
        clients = [stack.enter_context(Client(program.port)) for _ in range(WAITING)]
        for client in clients:
            client.get("/hello")
        program.process.terminate()
        program.wait_log("^stopping$")
        for pid in program.children("worker"):
            os.kill(pid, signal.SIGCONT)
        for client in clients:
            assert client.read_response().body == b"hello world\n"
            assert client.read_end() == "fin"
        assert program.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            get(program.port, "/hello")


def test_the_command_returns_when_the_node_has_ended(tmp_path: Path) -> None:
    events = NumberedEvents(0.05)
    with Origin() as origin, Program(tmp_path, environ={"HEADGATE_DRAIN_WINDOW_S": "3"}) as program:
        origin.on("/events/*", events)
        program.route("1", "/*", origin.address)
        with Swarm(program.port, [f"/events/{number}" for number in range(10)]) as swarm:
            with start_command(tmp_path, "drain", "--data-dir", "data") as command:
                swarm.wait_for(lambda: any(stream.ended for stream in swarm.streams), "the first stream's end")
                assert command.poll() is None
                out, err = command.communicate(timeout=60)
            assert (command.returncode, out, err) == (0, "drained\n", "")
            assert program.process.wait(10) == 0
            swarm.wait_ended()
            for stream in swarm.streams:
                assert re.search(rb"retry: [0-9]+\n\n$", stream.body()[0])


class TestPidFile:
    """Who runs on a data directory is known by a lock that goes with the process."""

    @pytest.mark.parametrize("command", ["reload", "drain"])
    def test_where_nobody_runs_that_is_said(self, tmp_path: Path, command: str) -> None:
        said = "headgate: no headgate runs on data directory data"
        assert run_command(tmp_path, command, "--data-dir", "data") == (1, [], [said])
        with Program(tmp_path):
            pass
        assert (tmp_path / "data" / "headgate.pid").exists()
        assert run_command(tmp_path, command, "--data-dir", "data") == (1, [], [said])

    def test_a_number_without_a_lock_is_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
            (tmp_path / "data" / "headgate.pid").write_text(f"{bystander.pid}\n")
            assert run_command(tmp_path, "drain", "--data-dir", "data")[0] == 1
            assert bystander.poll() is None
            with Program(tmp_path) as program:
                assert int((tmp_path / "data" / "headgate.pid").read_text()) == program.process.pid
            bystander.communicate(b"\n")

    def test_a_lock_of_somebody_else_is_not_signalled(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        with (
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander,
            (tmp_path / "data" / "headgate.pid").open("w") as file,
        ):
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{bystander.pid}\n")
            file.flush()
            status, _, err = run_command(tmp_path, "drain", "--data-dir", "data")
            assert (status, bystander.poll()) == (1, None)
            assert err == ["headgate: a headgate runs on data directory data, but not where this command can see it"]
            bystander.communicate(b"\n")

    def test_a_second_headgate_on_the_directory_does_not_start(self, tmp_path: Path) -> None:
        with Program(tmp_path) as program:
            anywhere = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--metrics", "off")
            status, out, err = run_command(tmp_path, "run", *anywhere, "--data-dir", "data")
            assert (status, out) == (1, [])
            [line] = err
            assert json.loads(line)["event"] == (
                f"data directory data is in use by another headgate (process {program.process.pid}): "
                "stop that one, or choose another with --data-dir"
            )
            assert ready(program).status == 200

    def test_the_lock_ends_with_the_supervisor_and_not_with_what_it_started(self, tmp_path: Path) -> None:
        events = NumberedEvents(0.05)
        environ = {"HEADGATE_DRAIN_WINDOW_S": "6"}
        with Origin() as origin, Program(tmp_path, environ=environ, expect_status=-signal.SIGKILL) as program:
            origin.on("/events/*", events)
            program.route("1", "/*", origin.address)
            with Swarm(program.port, [f"/events/{number}" for number in range(4)]) as swarm:
                program.process.kill()
                program.process.wait()
                with (program.data_dir / "headgate.pid").open() as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                assert not all(stream.ended for stream in swarm.streams)
                swarm.wait_ended()
