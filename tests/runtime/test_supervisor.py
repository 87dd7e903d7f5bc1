from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.running import Running, Stream, eventually, wait_gone


def streams_on_all(listen: str, workers: int) -> list[Stream]:
    """Open streams until each worker has one; give one of each."""
    found: dict[int, Stream] = {}
    deadline = time.monotonic() + 20
    while len(found) < workers:
        assert time.monotonic() < deadline
        stream = Stream(listen)
        if stream.worker in found:
            stream.close()
        else:
            found[stream.worker] = stream
    return [found[slot] for slot in range(workers)]


def linked(running: Running, admin: str, pids: dict[str, int]) -> dict[str, Any] | None:
    state = running.ask_control(admin)
    return state if state["linked"] == pids else None


def test_imports_nothing_third_party() -> None:
    code = (
        "import sys; before = set(sys.modules); import headgate.runtime.supervisor;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"headgate", "headgate__mypyc"}  # the latter holds what of ours is compiled


def test_ready_names_where_it_listens_and_every_worker_is_linked(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        assert ready["pid"] == running.process.pid
        assert ready["workers"] == 2
        assert ready["timestamp"].endswith("Z")
        assert ready["listen"][0] in running.log("listening on")["event"]
        streams = streams_on_all(ready["listen"][0], 2)
        admin = ready["admin"][0]
        eventually(lambda: linked(running, admin, {str(s.worker): s.pid for s in streams}))
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains_and_exits_0(tmp_path: Path, number: int) -> None:
    with Running(tmp_path / "data") as running:
        streams = streams_on_all(running.wait_ready()["listen"][0], 2)
        running.signal(number)
        for stream in streams:
            assert stream.lines.readline() == b"drained\n"
            stream.close()
        assert running.end(within_s=20) == 0


def test_a_worker_that_does_not_drain_is_killed_in_time(tmp_path: Path) -> None:
    with Running(tmp_path / "data", environment={"FAKE_WORKER": "stubborn"}, drain={"window_s": 0.5}) as running:
        stream = Stream(running.wait_ready()["listen"][0])
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.end(within_s=20) == 0
        assert time.monotonic() - began >= 0.5
        stream.close()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Running(tmp_path / "data", environment={"FAKE_WORKER": "stubborn"}) as running:
        streams = streams_on_all(running.wait_ready()["listen"][0], 2)
        running.signal(signal.SIGTERM)
        began = time.monotonic()
        running.signal(signal.SIGINT)
        assert running.end(within_s=20) == 1
        assert time.monotonic() - began < 5  # a worker that does not drain would have had 8 s and more
        for stream in streams:
            wait_gone(stream.pid)
            stream.close()


def test_children_leave_signals_to_the_whole_group_alone(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        stream = Stream(ready["listen"][0])
        control = running.ask_control(ready["admin"][0])["pid"]
        for pid in (stream.pid, control):
            assert os.getsid(pid) == pid
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                os.kill(pid, number)
        assert running.ask_control(ready["admin"][0])["pid"] == control
        running.signal(signal.SIGUSR1)
        assert stream.lines.readline() == b"reopened\n"
        stream.close()


def test_a_killed_worker_is_replaced_on_the_same_socket_and_its_streams_are_counted(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        listen, admin = ready["listen"][0], ready["admin"][0]
        victim, other = streams_on_all(listen, 2)
        eventually(lambda: linked(running, admin, {"0": victim.pid, "1": other.pid}))
        held = running.ask_control(admin)["open"][0]
        os.kill(victim.pid, signal.SIGKILL)
        assert running.log("worker 0 ended")["streams_lost"] == held
        fresh = streams_on_all(listen, 2)
        assert fresh[0].pid != victim.pid
        assert fresh[1].pid == other.pid
        state = eventually(lambda: linked(running, admin, {"0": fresh[0].pid, "1": other.pid}))
        assert state["lost"] == [held, 0]
        for stream in (victim, other, *fresh):
            stream.close()


def test_no_connection_is_refused_while_a_worker_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path / "data", workers=1) as running:
        listen = running.wait_ready()["listen"][0]
        for _ in range(2):
            before = Stream(listen)
            os.kill(before.pid, signal.SIGKILL)
            after = Stream(listen)  # waits in the socket until the next worker accepts
            assert after.pid != before.pid
            before.close()
            after.close()


def test_killed_control_is_replaced_and_linked_to_the_same_workers(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        streams = streams_on_all(ready["listen"][0], 2)
        pids = {str(stream.worker): stream.pid for stream in streams}
        admin = ready["admin"][0]
        before = eventually(lambda: linked(running, admin, pids))
        os.kill(before["pid"], signal.SIGKILL)
        after = eventually(lambda: linked(running, admin, pids))
        assert after["pid"] != before["pid"]
        running.signal(signal.SIGUSR1)
        for stream in streams:
            assert stream.lines.readline() == b"reopened\n"  # the streams never noticed
            stream.close()


def test_a_silent_worker_is_killed_and_one_that_was_replaced_is_not(tmp_path: Path) -> None:
    with Running(tmp_path / "data", workers=1) as running:
        ready = running.wait_ready()
        listen, admin = ready["listen"][0], ready["admin"][0]
        silent = Stream(listen)
        running.ask_control(admin, f"silent 0 {silent.pid}")
        wait_gone(silent.pid)
        after = Stream(listen)
        running.ask_control(admin, f"silent 0 {silent.pid}")
        running.signal(signal.SIGUSR1)
        assert after.lines.readline() == b"reopened\n"
        for stream in (silent, after):
            stream.close()


def test_a_killed_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        streams = streams_on_all(ready["listen"][0], 2)
        control = running.ask_control(ready["admin"][0])["pid"]
        running.signal(signal.SIGKILL)
        for stream in streams:
            assert stream.lines.readline() == b"drained\n"
            stream.close()
        for pid in (control, *(stream.pid for stream in streams)):
            wait_gone(pid)


def busy_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize("setting", ["listen", "admin", "metrics"])
def test_a_port_in_use_is_one_line_and_exit_1(tmp_path: Path, setting: str) -> None:
    with busy_socket() as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        value: Any = [address] if setting == "listen" else address
        with Running(tmp_path / "data", metrics_explicit=True, **{"metrics": "off", setting: value}) as running:
            assert running.end(within_s=20) == 1
            errors = [line for line in running.rest() if '"error"' in line]
    assert len(errors) == 1
    assert f"cannot listen on {address}: the port is in use" in errors[0]
    assert f"--{setting}" in errors[0]


def test_a_port_of_another_headgate_is_in_use(tmp_path: Path) -> None:
    with Running(tmp_path / "one") as first:
        listen = first.wait_ready()["listen"]
        with Running(tmp_path / "two", listen=listen) as second:
            assert second.end(within_s=20) == 1
            assert "the port is in use" in second.log("cannot listen")["event"]


def test_the_default_metrics_port_in_use_is_a_warning(tmp_path: Path) -> None:
    with busy_socket() as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        with Running(tmp_path / "data", metrics=address, metrics_explicit=False) as running:
            assert running.log(address)["level"] == "warning"
            ready = running.wait_ready()
            assert ready["metrics"] == ready["admin"]
            assert running.ask_control(ready["admin"][0])["metrics"] == 0


def test_a_control_that_cannot_start_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with Running(tmp_path / "data", environment={"FAKE_CONTROL": "failed"}) as running:
        assert running.end(within_s=20) == 1
        errors = [line for line in running.rest() if '"error"' in line]
    assert len(errors) == 1
    assert "control: the store cannot be read: disk is cheese" in errors[0]


def test_a_worker_that_never_comes_up_ends_the_start(tmp_path: Path) -> None:
    with Running(tmp_path / "data", environment={"FAKE_WORKER": "crash"}) as running:
        assert running.log("worker 0 ended")["status"] == 7
        assert "does not come up" in running.log("does not come up")["event"]
        assert running.end(within_s=20) == 1


def open_to_others(path: Path) -> None:
    path.mkdir(mode=0o755)


def a_file(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "text"), [(open_to_others, "is open to other users (mode 0755): run chmod 700"), (a_file, "File exists")]
)
def test_a_bad_data_directory_is_one_line_and_exit_1(tmp_path: Path, make: Any, text: str) -> None:
    make(tmp_path / "data")
    with Running(tmp_path / "data") as running:
        assert running.end(within_s=20) == 1
        (line,) = running.rest()
    assert text in line


@pytest.fixture
def low_soft_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 100, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(tmp_path: Path, low_soft_limit: int) -> None:
    with Running(tmp_path / "data", workers=1) as running:
        stream = Stream(running.wait_ready()["listen"][0])
        limits = Path(f"/proc/{stream.pid}/limits").read_text()
        (files,) = (line.split() for line in limits.splitlines() if line.startswith("Max open files"))
        assert files[3:5] == [str(low_soft_limit)] * 2
        assert running.log("descriptors for about")["descriptors_per_process"] == low_soft_limit
        stream.close()
