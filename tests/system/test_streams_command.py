"""``headgate streams`` against the running program, as a person uses it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client import Client
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program

WAIT_S = 60.0
EVENT = b"id: x\nevent: tick\ndata: b\x1b[2J\ndata: c\n\n"
COMMENT = b": c\n\n"


def environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
    return {**clean, "PYTHONUNBUFFERED": "1", **(more or {})}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headgate", "streams", *arguments]


def headgate_streams(
    directory: Path, *arguments: str, more: Mapping[str, str] | None = None
) -> tuple[int, list[str], list[str]]:
    """Run the command to its end; give exit status, lines on stdout and lines on stderr."""
    done = subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environ(more),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@contextmanager
def following(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command with its output to be read line by line."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=directory,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@contextmanager
def one_stream(directory: Path) -> Iterator[tuple[Program, Gate, str, str]]:
    """Run a stream that goes on until the gate is opened; give that, the flag's value for the Admin API, and its id."""
    finish = Gate()

    async def stream(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        while not finish.is_open:
            await wire.chunk(EVENT)
            await wire.chunk(COMMENT)
            await asyncio.sleep(0.05)
        await wire.last_chunk()

    with Origin() as origin, Program(directory) as program:
        origin.on("/events", stream)
        program.route("chat", "/*", origin.address)
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            record = program.wait_record(lambda record: record["event"] == "stream_opened")
            yield program, finish, f"127.0.0.1:{program.admin_port}", record["id"]


def test_the_list(tmp_path: Path) -> None:
    with one_stream(tmp_path) as (program, _, admin, identifier):
        for arguments in (
            ["--admin", admin],
            ["--admin", f"http://{admin}", "--route", "chat", "--client", "127.0.0.1"],
        ):
            status, lines, errors = headgate_streams(tmp_path, *arguments)
            assert (status, errors) == (0, [])
            assert lines[0].split() == ["ID", "ROUTE", "CLIENT", "AGE", "EVENTS", "BYTES", "STATE", "LAST", "EVENT"]
            row = rf"{identifier}  chat +127\.0\.0\.1  [\d.]+ s +\d+ +\d+ +open +[\d.]+ s ago"
            assert re.fullmatch(row, lines[1]), lines
            assert len(lines) == 2
        assert headgate_streams(tmp_path, "--admin", admin, "--route", "x") == (0, ["no open streams"], [])
        status, lines, errors = headgate_streams(tmp_path, "--admin", admin, "--json")
        assert (status, errors) == (0, [])
        assert json.loads(lines[0])["list"][0]["id"] == identifier
        # Where nothing is said the settings say where the Admin API is.
        assert headgate_streams(tmp_path, more={"HEADGATE_ADMIN": admin})[1][1].startswith(identifier)
        (tmp_path / "headgate.yaml").write_text(f"admin: {admin}\n")
        assert headgate_streams(tmp_path)[1][1].startswith(identifier)

        (worker,) = program.children("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            status, lines, errors = headgate_streams(tmp_path, "--admin", admin)
        finally:
            os.kill(worker, signal.SIGCONT)
        text = f"headgate: worker 0 (pid {worker}) does not answer: its streams are not shown"
        assert (status, lines, errors) == (0, ["no open streams"], [text])


def test_a_tail_line_by_line_to_the_end(tmp_path: Path) -> None:
    with (
        one_stream(tmp_path) as (_, finish, admin, identifier),
        following(tmp_path, "tail", identifier, "--admin", admin, "--data") as shown,
        following(tmp_path, "tail", identifier, "--admin", admin) as masked,
        following(tmp_path, "--admin", admin, "tail", identifier, "--json") as as_json,
    ):
        at, waited = r"\d\d:\d\d:\d\d\.\d{3}Z", r"\+\d+\.\d{3} s"
        event = rf"{at} +{waited}  #(\d+)  tick  id x  {len(EVENT)} bytes\n"
        comment = rf"{at}  comment  {len(COMMENT)} bytes\n"
        for process, data in ((shown, ["    b\\x1b[2J\n", "    c\n"]), (masked, [])):
            line = read_line(process)
            if re.fullmatch(comment, line):
                line = read_line(process)
            first = re.fullmatch(event, line)
            assert first is not None, line
            assert [read_line(process) for _ in data] == data
            assert re.fullmatch(comment, read_line(process))
            second = re.fullmatch(event, read_line(process))
            assert second is not None
            assert int(second[1]) == int(first[1]) + 1
        records = [json.loads(read_line(as_json)) for _ in range(2)]
        assert {record["event"] for record in records} == {"event", "comment"}
        assert {record.get("masked", True) for record in records} == {True}
        finish.open()
        assert shown.communicate(timeout=WAIT_S)[0].splitlines()[-1] == "ended: complete"
        assert masked.communicate(timeout=WAIT_S)[0].splitlines()[-1] == "ended: complete"
        last = as_json.communicate(timeout=WAIT_S)[0].splitlines()[-1]
        assert json.loads(last) == {"event": "end", "ending": "complete"}
        assert [process.wait(WAIT_S) for process in (shown, masked, as_json)] == [0, 0, 0]


def test_a_tail_that_is_not_wanted_any_more_stops_quietly(tmp_path: Path) -> None:
    with one_stream(tmp_path) as (_, _finish, admin, identifier):
        with following(tmp_path, "tail", identifier, "--admin", admin) as interrupted:
            read_line(interrupted)
            interrupted.send_signal(signal.SIGINT)
            assert interrupted.communicate(timeout=WAIT_S)[1] == ""
            assert interrupted.returncode == 0
        with following(tmp_path, "tail", identifier, "--admin", admin) as piped:
            read_line(piped)
            assert piped.stdout is not None
            piped.stdout.close()
            assert piped.stderr is not None
            assert (piped.wait(WAIT_S), piped.stderr.read()) == (0, "")


def test_kill(tmp_path: Path) -> None:
    with one_stream(tmp_path) as (program, _, admin, identifier):
        assert headgate_streams(tmp_path, "kill", identifier, "--admin", admin) == (0, ["killed"], [])
        assert program.wait_record(lambda record: record["event"] == "stream_ended")["ending"] == "killed"
        for what in ("kill", "tail"):
            gone = headgate_streams(tmp_path, what, identifier, "--admin", admin)
            assert gone == (1, [], ["headgate: no such stream"])


def test_keys(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(
        "admin_keys: [{name: ops, key: k-ops, role: admin}, {name: see, key: k-see, role: viewer}]\n"
    )
    wants = "headgate: the Admin API wants an admin key:"
    with Program(tmp_path) as program:
        admin = f"127.0.0.1:{program.admin_port}"
        how = "--key or HEADGATE_ADMIN_KEY gives one"
        for arguments, more, status, text in (
            ([], {}, 1, f"{wants} missing apikey; {how}"),
            (["--key", "x"], {}, 1, f"{wants} wrong apikey; {how}"),
            (["--key", "k-see"], {}, 0, ""),
            ([], {"HEADGATE_ADMIN_KEY": "k-see"}, 0, ""),
            (["kill", "x"], {"HEADGATE_ADMIN_KEY": "k-see"}, 1, f"{wants} invalid method for role viewer; {how}"),
            (["tail", "--data", "x"], {"HEADGATE_ADMIN_KEY": "k-see"}, 1, "headgate: role viewer may not see data: "),
            (["--key", "k-ops", "kill", "x"], {"HEADGATE_ADMIN_KEY": "k-see"}, 1, "headgate: no such stream"),
        ):
            result = headgate_streams(tmp_path, *arguments, more={"HEADGATE_ADMIN": admin, **more})
            assert result[0] == status, (arguments, result)
            assert len(result[2]) == bool(text)
            assert "".join(result[2]).startswith(text)


@pytest.mark.parametrize("arguments", [[], ["tail", "x"], ["kill", "x"]])
def test_nobody_there(tmp_path: Path, arguments: list[str]) -> None:
    with Origin() as origin:
        address = origin.address
    status, lines, (error,) = headgate_streams(tmp_path, *arguments, "--admin", address)
    assert (status, lines) == (1, [])
    assert error == (
        f"headgate: cannot reach the Admin API at http://{address}: Connection refused; --admin says where it is"
    )


def test_a_tail_that_is_cut_says_that_the_stream_may_go_on(tmp_path: Path) -> None:
    with (
        one_stream(tmp_path) as (program, _, admin, identifier),
        following(tmp_path, "tail", identifier, "--admin", admin) as tail,
    ):
        read_line(tail)
        (worker,) = program.children("worker")
        os.kill(worker, signal.SIGKILL)
        output, errors = tail.communicate(timeout=WAIT_S)
        text = f"headgate: the tail ended, the stream may go on: worker 0 (pid {worker}) has gone\n"
        assert (tail.returncode, errors) == (1, text)
        assert "ended" not in output
