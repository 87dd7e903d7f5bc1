"""The supervisor: holds the sockets, starts control and workers, replaces those that die, and orders the stop.

Invariants: nothing third-party is imported, so the process that must not fall is small; the listening sockets and counters outlive every
child; children are started by exec; a child learns of the supervisor's death by its channel's end of file. One thread, one selector;
signals arrive through ``signal.set_wakeup_fd``.

    starting ──all ready──▶ serving ──SIGTERM, SIGINT──▶ draining ──workers gone──▶ closing ──control gone──▶ ended
        └──────────────────────failed, SIGTERM──────────────▲
"""

from __future__ import annotations

import errno
import heapq
import itertools
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any

from headgate.observe.counters import Counters, create_memory
from headgate.runtime.channel import Channel, Message
from headgate.runtime.child import Child
from headgate.runtime.listening import ListenError, name_of, open_shared, open_single
from headgate.runtime.start import STOP_SIGNALS, Start, read_whole
from headgate.runtime.supervisor_log import log, write_record

CONTROL = "headgate.runtime.control"
WORKER = "headgate.runtime.worker"
STARTING_DEATHS = 5
"""A child that dies this often before everything was ready once will not come up: the start has failed."""
WORKER_GRACE_S = 0.25
CONTROL_GRACE_S = 0.5
"""What a child gets beyond its time before it is killed; together with ``stop.within_s`` = 4 less than 5 s."""
RESERVED_DESCRIPTORS = 48
"""What a worker's listener keeps for files, links and the resolver."""
DESCRIPTORS_PER_STREAM = 2


class StartError(Exception):
    """headgate cannot start; the text is one line for a person."""


class Stage(Enum):
    """How far the process is; see the module's picture."""

    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    CLOSING = auto()
    ENDED = auto()


class Sockets:
    """Everything listened on: ``listen[slot]`` for each worker, ``admin``, ``metrics``. Raises ListenError."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.listen: list[list[socket.socket]] = [[] for _ in range(settings["workers"])]
        for address in settings["listen"]:
            for slot, opened in enumerate(open_shared(address, len(self.listen), setting="listen")):
                self.listen[slot] += opened
        self.admin = open_single(settings["admin"], setting="admin")
        self.metrics = self._open_metrics(settings["metrics"], explicit=settings["metrics_explicit"])

    def _open_metrics(self, address: str, *, explicit: bool) -> list[socket.socket]:
        if address == "off":
            return []
        try:
            return open_single(address, setting="metrics")
        except ListenError as error:
            if explicit or not error.in_use:
                raise
            log("warning", f"{error}; metrics are served on the Admin API's address only")
            return []


class Supervisor:
    """``settings``: a ``Settings`` as decoded JSON, ``descriptor``: where children read it."""

    def __init__(
        self, settings: dict[str, Any], descriptor: int, *, control: str = CONTROL, worker: str = WORKER
    ) -> None:
        self._within_s: float = settings["stop"]["within_s"]
        self._settings_descriptor = descriptor
        self._memories = [create_memory() for _ in range(settings["workers"])]
        self._counters = [Counters(memory) for memory in self._memories]
        self._sockets = Sockets(settings)
        self._stage = Stage.STARTING
        self._exit_status = 0
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._control = Child(module=control, worker=None, start=self._start_control)
        self._workers = [self._make_worker(worker, slot) for slot in range(settings["workers"])]

    @property
    def _children(self) -> list[Child]:
        return [self._control, *self._workers]

    def run(self) -> int:
        """Run until stopped; give the exit status."""
        self._watch_signals()
        for child in self._children:
            self._spawn(child)
        while self._stage is not Stage.ENDED:
            for key, _ in self._selector.select(self._next_timeout_s()):
                key.data()
            self._run_due()
        return self._exit_status

    # Children

    def _make_worker(self, module: str, slot: int) -> Child:
        def start(channel: int) -> Start:
            return Start(
                channel=channel,
                settings=self._settings_descriptor,
                counters=[self._memories[slot]],
                worker=slot,
                listen=[opened.fileno() for opened in self._sockets.listen[slot]],
            )

        return Child(module=module, worker=slot, start=start)

    def _start_control(self, channel: int) -> Start:
        return Start(
            channel=channel,
            settings=self._settings_descriptor,
            counters=self._memories,
            admin=[opened.fileno() for opened in self._sockets.admin],
            metrics=[opened.fileno() for opened in self._sockets.metrics],
        )

    def _spawn(self, child: Child) -> None:
        if self._stage not in (Stage.STARTING, Stage.SERVING):
            return
        channel = child.spawn()
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._on_channel(child, channel))
        for worker in self._workers if child is self._control else [child]:
            self._link(worker)

    def _link(self, worker: Child) -> None:
        """Give control and ``worker`` the ends of a new connection, if both run."""
        if self._control.pid is None or worker.pid is None:
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._control.send({"type": "link", "worker": worker.worker, "pid": worker.pid}, [ours.fileno()])
            worker.send({"type": "link"}, [theirs.fileno()])

    def _on_channel(self, child: Child, channel: Channel) -> None:
        """Take every message that waits; stop looking at the end of file, as SIGCHLD tells the rest."""
        if channel.fileno() < 0:  # closed by SIGCHLD, which came in the same turn
            return
        try:
            while received := channel.receive():
                self._on_message(child, received[0])
        except BlockingIOError:
            return
        self._selector.unregister(channel)

    def _on_message(self, child: Child, message: Message) -> None:
        match message["type"]:
            case "ready":
                child.ready = True
                self._check_ready()
            case "failed":
                self._on_failed(child, message["error"])
            case "silent":
                self._on_silent(message["worker"], message["pid"])

    def _on_failed(self, child: Child, error: str) -> None:
        if self._exit_status:
            return  # the start has failed already; what keeps one worker from starting keeps the others too
        log("error", f"{child.name}: {error}")
        if self._stage is Stage.STARTING:
            self._exit_status = 1
            self._stop()

    def _on_silent(self, slot: int, pid: int) -> None:
        worker = self._workers[slot]
        if worker.pid == pid:  # it may have been replaced meanwhile
            log("error", f"{worker.name} does not answer, it is killed", pid=pid)
            worker.kill()

    def _check_ready(self) -> None:
        if self._stage is not Stage.STARTING or not all(child.ready for child in self._children):
            return
        self._stage = Stage.SERVING
        listen, admin, metrics = (
            [name_of(opened) for opened in group]
            for group in (self._sockets.listen[0], self._sockets.admin, self._sockets.metrics)
        )
        log(
            "info",
            f"listening on {', '.join(listen)}; Admin API on {', '.join(admin)}; metrics on {', '.join(metrics or admin)}",
        )
        record = {"event": "ready", "level": "info", "pid": os.getpid(), "workers": len(self._workers)}
        write_record(sys.stdout.fileno(), {**record, "listen": listen, "admin": admin, "metrics": metrics or admin})

    def _reap(self) -> None:
        for child in self._children:
            pid = child.pid
            status = child.reap()
            if status is not None:
                self._on_death(child, pid, status)
        self._advance_stop()

    def _on_death(self, child: Child, pid: int | None, status: int) -> None:
        if child.channel is not None:
            if child.channel.fileno() in self._selector.get_map():
                self._on_channel(child, child.channel)  # its last words
            if child.channel.fileno() in self._selector.get_map():
                self._selector.unregister(child.channel)
            child.close_channel()
        lost = 0 if child.worker is None else self._counters[child.worker].bury()
        if self._stage in (Stage.STARTING, Stage.SERVING):
            log("error", f"{child.name} ended, it is replaced", pid=pid, status=status, streams_lost=lost)
            self._replace(child)

    def _replace(self, child: Child) -> None:
        if self._stage is Stage.STARTING and child.deaths >= STARTING_DEATHS:
            log("error", f"{child.name} does not come up")
            self._exit_status = 1
            self._stop()
            return
        self._after(child.restart_delay_s(), lambda: self._spawn(child))

    # Stopping

    def _stop(self) -> None:
        """Order workers to drain, or, if that was ordered before, kill everything."""
        if self._stage in (Stage.DRAINING, Stage.CLOSING):
            self._kill_all()
            return
        self._stage = Stage.DRAINING
        for worker in self._workers:
            worker.send({"type": "drain", "within_s": self._within_s})
            self._after(self._within_s + WORKER_GRACE_S, worker.kill)
        self._advance_stop()

    def _advance_stop(self) -> None:
        if self._stage is Stage.DRAINING and not any(worker.pid for worker in self._workers):
            self._stage = Stage.CLOSING
            self._control.send({"type": "stop"})
            self._after(CONTROL_GRACE_S, self._control.kill)
        if self._stage is Stage.CLOSING and self._control.pid is None:
            self._stage = Stage.ENDED

    def _kill_all(self) -> None:
        log("warning", "stopping at once, streams are cut")
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait(0.5)
        self._exit_status = 1
        self._stage = Stage.ENDED

    # Signals and time

    def _watch_signals(self) -> None:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.detach())
        for number in (*STOP_SIGNALS, signal.SIGUSR1, signal.SIGCHLD):
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup stays in force
                signal.signal(number, lambda *_: None)
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._on_signals(reader.recv(256)))

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()
        for number in numbers:
            if number in STOP_SIGNALS:
                self._stop()
            elif number == signal.SIGUSR1:
                for worker in self._workers:
                    worker.send({"type": "reopen_access_log"})

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._timer_numbers), action))

    def _next_timeout_s(self) -> float | None:
        return max(self._timers[0][0] - time.monotonic(), 0.0) if self._timers else None

    def _run_due(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()


def prepare_data_directory(path: Path) -> None:
    """Make the data directory, mode 0700, or check it. Raises StartError if it is open to others or cannot be made."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise StartError(f"data directory {path}: {error.strerror}; choose another with --data-dir") from error
    if mode & 0o077:
        raise StartError(f"data directory {path} is open to other users (mode {mode:04o}): run chmod 700 {path}")


def raise_descriptor_limit(workers: int) -> None:
    """Raise the soft limit of open descriptors to the hard one, and log how many streams that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:  # Linux has no process without a limit; where there is one, what is set stays
        soft = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    streams = max(soft - RESERVED_DESCRIPTORS, 0) // DESCRIPTORS_PER_STREAM * workers
    log("info", f"descriptors for about {streams} streams", descriptors_per_process=soft, streams=streams)


def main(arguments: list[str]) -> int:
    """Run with the descriptor of the settings and, in tests, the modules of control and worker; give the exit status."""
    descriptor = int(arguments[0])
    modules = dict(zip(("control", "worker"), arguments[1:], strict=False))
    settings = json.loads(read_whole(descriptor))
    try:
        prepare_data_directory(Path(settings["data_dir"]))
        raise_descriptor_limit(settings["workers"])
        supervisor = Supervisor(settings, descriptor, **modules)
    except (StartError, ListenError) as error:
        log("error", str(error))
        return 1
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        workers = settings["workers"]
        log("error", f"not enough file descriptors for {workers} workers: lower --workers, or raise `ulimit -n`")
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
