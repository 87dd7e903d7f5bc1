"""A reload among fake children: who takes over when, and what happens when something dies or does not come up."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.running import Running, Stream, children, eventually, wait_gone

NEW = ["fresh"]
"""A value of ``mask_query_keys``, by which the fakes tell the settings they were started with."""
QUICK = "quick_supervisor"


class Behaviour:
    """What fake workers that start from now on do."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "behaviour"
        self.environment = {"FAKE_WORKER_FILE": str(self._file)}
        self.become("good")

    def become(self, text: str) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self._file)


@pytest.fixture
def behaviour(tmp_path: Path) -> Behaviour:
    return Behaviour(tmp_path)


def worker_pids(running: Running) -> dict[str, int]:
    return {name: pid for name, pid in children(running.process.pid).items() if name != "control"}


def linked(running: Running, admin: str, pids: dict[str, int]) -> dict[str, Any] | None:
    state = running.ask_control(admin)
    return state if state["linked"] == {name.removeprefix("worker "): pid for name, pid in pids.items()} else None


def new_workers(running: Running, old: dict[str, int]) -> dict[str, int]:
    """Wait for a second process in every slot."""

    def look() -> dict[str, int] | None:
        now = worker_pids(running)
        return now if now.keys() == old.keys() and not {*now.values()} & {*old.values()} else None

    return eventually(look)


def test_new_workers_take_over_on_the_same_sockets_and_then_control_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        ready = running.wait_ready()
        listen, admin = ready["listen"][0], ready["admin"][0]
        before = children(running.process.pid)
        stream = Stream(listen)
        assert stream.mask == []
        running.write_settings(mask_query_keys=NEW)
        running.signal(signal.SIGHUP)
        assert stream.lines.readline() == b"drained\n"
        running.wait_reload(1, "serving")
        running.log("reloaded")
        running.log("reload ended")
        after = children(running.process.pid)
        assert not {*before.values()} & {*after.values()}
        again = Stream(listen)
        assert again.mask == NEW
        assert again.pid == after[f"worker {again.worker}"]
        state = eventually(lambda: linked(running, admin, worker_pids(running)))
        assert (state["pid"], state["mask"], state["readiness"]) == (after["control"], NEW, ["ready"])
        stream.close()
        again.close()


def test_old_workers_serve_until_all_new_ones_could(tmp_path: Path, behaviour: Behaviour) -> None:
    with Running(tmp_path / "data", environment=behaviour.environment) as running:
        listen = running.wait_ready()["listen"][0]
        old = worker_pids(running)
        behaviour.become("held")
        running.signal(signal.SIGHUP)
        new = new_workers(running, old)
        for _ in range(20):
            stream = Stream(listen)
            assert stream.pid in old.values()
            stream.close()
        behaviour.become("good")
        running.wait_reload(1, "serving")
        for _ in range(20):
            stream = Stream(listen)
            assert stream.pid in new.values()
            stream.close()


def test_what_takes_a_restart_stays_and_is_said(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        listen = running.wait_ready()["listen"]
        running.write_settings(workers=3, listen=["127.0.0.1:1"], mask_query_keys=NEW)
        running.signal(signal.SIGHUP)
        assert running.log("listen takes a restart")["asked"] == ["127.0.0.1:1"]
        said = running.log("workers takes a restart")
        assert (said["level"], said["served"], said["asked"]) == ("warning", 2, 3)
        running.wait_reload(1, "serving")
        stream = Stream(listen[0])
        assert stream.mask == NEW
        assert len(worker_pids(running)) == 2
        stream.close()


def without_keys(running: Running) -> str:
    """The Admin API would stay open to others, as its address takes a restart, and have no keys any more."""
    running.write_settings(admin="127.0.0.1:0", admin_keys=[])
    return "without a restart, which admin takes: 0.0.0.0:0 can be reached from other machines, and there are no admin_keys"


def unknown(running: Running) -> str:
    running.config.write_text('{"wrkers": 2}')
    return 'settings.json:1:2: wrkers: no such setting; did you mean "workers"?'


def no_file(running: Running) -> str:
    running.config.unlink()
    return "settings.json: cannot be read: No such file or directory"


@pytest.mark.parametrize("spoil", [without_keys, unknown, no_file])
def test_settings_that_cannot_be_used_change_nothing(tmp_path: Path, spoil: Any) -> None:
    keys = [{"name": "me", "key": "k3y", "role": "admin"}]
    with Running(tmp_path / "data", admin="0.0.0.0:0", admin_keys=keys) as running:
        running.wait_ready()
        before = children(running.process.pid)
        text = spoil(running)
        running.signal(signal.SIGHUP)
        assert text in running.log("reload given up, serving on as before: ")["event"]
        (problem,) = running.wait_reload(1, "given_up").problems
        assert text in problem
        assert children(running.process.pid) == before
        running.write_settings()
        running.signal(signal.SIGHUP)
        running.wait_reload(2, "serving")


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        ("crash", "worker . does not come up"),
        ("failed", "worker .: the log cannot be opened: disk is cheese"),
        ("mute", "the new workers were not ready within 1.5 s"),
    ],
)
def test_new_workers_that_do_not_come_up_change_nothing(
    tmp_path: Path, behaviour: Behaviour, trouble: str, text: str
) -> None:
    supervisor = {"supervisor": QUICK} if trouble == "mute" else {}
    with Running(tmp_path / "data", environment=behaviour.environment, **supervisor) as running:
        ready = running.wait_ready()
        before = children(running.process.pid)
        stream = Stream(ready["listen"][0])
        behaviour.become(trouble)
        running.write_settings(mask_query_keys=NEW)
        running.signal(signal.SIGHUP)
        (problem,) = running.wait_reload(1, "given_up").problems
        assert re.fullmatch(text, problem)
        running.log("reload ended")
        eventually(lambda: children(running.process.pid) == before)
        running.signal(signal.SIGUSR1)
        assert stream.lines.readline() == b"reopened\n"
        assert running.ask_control(ready["admin"][0])["lost"] == [0, 0]
        behaviour.become("good")
        running.signal(signal.SIGHUP)
        running.wait_reload(2, "serving")
        after = Stream(ready["listen"][0])
        assert after.mask == NEW
        after.close()
        stream.close()


def test_a_new_worker_that_dies_is_replaced_and_the_reload_goes_on(tmp_path: Path, behaviour: Behaviour) -> None:
    with Running(tmp_path / "data", environment=behaviour.environment) as running:
        listen = running.wait_ready()["listen"][0]
        old = worker_pids(running)
        behaviour.become("held")
        running.signal(signal.SIGHUP)
        victim = new_workers(running, old)["worker 1"]
        os.kill(victim, signal.SIGKILL)
        assert running.log("worker 1 ended, it is replaced")["pid"] == victim
        behaviour.become("good")
        running.wait_reload(1, "serving")
        stream = Stream(listen)
        assert stream.pid in worker_pids(running).values()
        assert stream.pid not in old.values()
        stream.close()


def test_an_old_worker_that_dies_is_replaced_and_then_leaves_as_the_others(
    tmp_path: Path, behaviour: Behaviour
) -> None:
    with Running(tmp_path / "data", environment=behaviour.environment, workers=1) as running:
        ready = running.wait_ready()
        listen, admin = ready["listen"][0], ready["admin"][0]
        old = worker_pids(running)
        lost = Stream(listen)
        behaviour.become("held")
        running.write_settings(mask_query_keys=NEW)
        running.signal(signal.SIGHUP)
        new = new_workers(running, old)
        behaviour.become("good")  # for the next one; the new worker is asked again soon
        os.kill(new["worker 0"], signal.SIGSTOP)
        os.kill(old["worker 0"], signal.SIGKILL)
        assert running.log("worker 0 ended, it is replaced")["streams_lost"] == 1
        between = Stream(listen)
        assert between.mask == []  # the new settings are not in force yet
        os.kill(new["worker 0"], signal.SIGCONT)
        assert between.lines.readline() == b"drained\n"
        running.wait_reload(1, "serving")
        after = Stream(listen)
        assert (after.pid, after.mask) == (new["worker 0"], NEW)
        state = running.ask_control(admin)
        assert (state["opened"], state["lost"], state["open"]) == ([3], [1], [1])
        for stream in (lost, between, after):
            stream.close()


def test_counts_go_on_over_any_number_of_reloads(tmp_path: Path) -> None:
    with Running(tmp_path / "data", workers=1) as running:
        ready = running.wait_ready()
        for number in range(1, 4):
            stream = Stream(ready["listen"][0])
            assert running.ask_control(ready["admin"][0])["opened"] == [number]
            running.signal(signal.SIGHUP)
            running.wait_reload(number, "serving")
            running.log("reload ended")
            stream.close()
        state = running.ask_control(ready["admin"][0])
        assert (state["opened"], state["open"], state["lost"]) == ([3], [0], [0])


def test_an_old_worker_that_does_not_drain_is_killed_and_reloads_wait_for_that(
    tmp_path: Path, behaviour: Behaviour
) -> None:
    behaviour.become("stubborn")
    with Running(tmp_path / "data", environment=behaviour.environment, drain={"window_s": 1.0}) as running:
        listen = running.wait_ready()["listen"][0]
        old = worker_pids(running)
        stream = Stream(listen)
        behaviour.become("good")
        running.signal(signal.SIGHUP)
        running.wait_reload(1, "serving")
        first = worker_pids(running)
        for _ in range(3):
            running.signal(signal.SIGHUP)
            running.signal(signal.SIGUSR2)
        assert stream.lines.readline() == b""
        for pid in old.values():
            wait_gone(pid)
        running.wait_reload(2, "serving")  # the six are one
        running.log("reload ended")
        running.log("reload ended")
        assert not {*worker_pids(running).values()} & {*first.values(), *old.values()}
        running.signal(signal.SIGHUP)
        running.wait_reload(3, "serving")
        stream.close()


def test_an_old_worker_that_does_not_answer_is_killed(tmp_path: Path) -> None:
    with Running(tmp_path / "data", supervisor=QUICK) as running:
        running.wait_ready()
        stuck = worker_pids(running)["worker 0"]
        os.kill(stuck, signal.SIGSTOP)
        running.signal(signal.SIGHUP)
        assert running.log("worker 0 does not answer, it is killed")["pid"] == stuck
        running.wait_reload(1, "serving")


@pytest.mark.parametrize("step", ["loading", "draining"])
def test_a_stop_in_a_reload_ends_both_crews(tmp_path: Path, behaviour: Behaviour, step: str) -> None:
    behaviour.become("good" if step == "loading" else "stubborn")
    with Running(tmp_path / "data", environment=behaviour.environment, drain={"window_s": 1.0}) as running:
        listen = running.wait_ready()["listen"][0]
        old = worker_pids(running)
        stream = Stream(listen)
        behaviour.become("held" if step == "loading" else "good")
        running.signal(signal.SIGHUP)
        new = new_workers(running, old)
        if step == "draining":
            running.wait_reload(1, "serving")
        running.signal(signal.SIGTERM)
        assert running.end(within_s=20) == 0
        for pid in (*old.values(), *new.values()):
            wait_gone(pid)
        assert stream.lines.readline() == (b"drained\n" if step == "loading" else b"")
        stream.close()
        assert any("reload given up" in line for line in running.rest()) == (step == "loading")


def test_control_that_dies_in_a_reload_comes_back_and_the_reload_goes_on(tmp_path: Path, behaviour: Behaviour) -> None:
    with Running(tmp_path / "data", environment=behaviour.environment) as running:
        ready = running.wait_ready()
        old = worker_pids(running)
        control = children(running.process.pid)["control"]
        behaviour.become("held")
        running.signal(signal.SIGHUP)
        new_workers(running, old)
        os.kill(control, signal.SIGKILL)
        running.log("control ended, it is replaced")
        behaviour.become("good")
        running.wait_reload(1, "serving")
        assert eventually(lambda: linked(running, ready["admin"][0], worker_pids(running)))["readiness"] == ["ready"]


def test_nohup_stays_in_force_and_sigusr2_reloads_all_the_same(tmp_path: Path) -> None:
    with Running(tmp_path / "data", wrapper=["sh", "-c", 'trap "" HUP; exec "$0" "$@"']) as running:
        running.wait_ready()
        before = children(running.process.pid)
        running.signal(signal.SIGHUP)
        running.signal(signal.SIGUSR1)
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
        assert ignored & (1 << signal.SIGHUP - 1)
        assert children(running.process.pid) == before
        running.signal(signal.SIGUSR2)
        running.wait_reload(1, "serving")


def test_a_reload_asked_for_while_it_starts_comes_after_the_start(tmp_path: Path, behaviour: Behaviour) -> None:
    behaviour.become("held")
    with Running(tmp_path / "data", environment=behaviour.environment) as running:
        eventually(lambda: len(worker_pids(running)) == 2)
        running.signal(signal.SIGUSR2)
        running.write_settings(mask_query_keys=NEW)
        behaviour.become("good")
        listen = running.wait_ready()["listen"][0]
        running.wait_reload(1, "serving")
        stream = Stream(listen)
        assert stream.mask == NEW
        stream.close()


def test_a_stop_with_a_delay_serves_on_and_says_that_it_leaves(tmp_path: Path) -> None:
    with Running(tmp_path / "data", drain={"delay_s": 1.0}) as running:
        ready = running.wait_ready()
        listen, admin = ready["listen"][0], ready["admin"][0]
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        state = eventually(
            lambda: (
                found
                if (found := running.ask_control(admin))["readiness"] == ["starting", "ready", "draining"]
                else None
            )
        )
        victim = Stream(listen)
        os.kill(victim.pid, signal.SIGKILL)
        running.log("ended, it is replaced")  # what is still served is served by as many as ever
        stream = Stream(listen)
        assert state["linked"]
        assert stream.lines.readline() == b"drained\n"
        assert time.monotonic() - began >= 1.0
        assert running.end(within_s=20) == 0
        victim.close()
        stream.close()


def test_a_second_signal_in_the_delay_ends_it_at_once(tmp_path: Path) -> None:
    with Running(tmp_path / "data", drain={"delay_s": 60.0}) as running:
        running.wait_ready()
        running.signal(signal.SIGTERM)
        running.log("stopping")
        running.signal(signal.SIGTERM)
        assert running.end(within_s=20) == 1
