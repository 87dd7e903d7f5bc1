"""The supervisor: holds the sockets, starts control and workers, replaces those that die, and orders reload and stop.

Invariants: nothing third-party is imported, so the process that must not fall is small; the listening sockets and counters outlive every
child; children are started by exec; a child learns of the supervisor's death by its channel's end of file. One thread, one reactor.

    starting ──all ready──▶ serving ──SIGTERM, SIGINT──▶ leaving ──delay──▶ draining ──workers gone──▶ closing ──control gone──▶ ended
        └─────────────failed, SIGTERM────────────────────────────────────────▲

Reloads happen while it serves; one that is under way is given up or drains on when headgate stops.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from enum import IntEnum, auto
from pathlib import Path

from headgate.observe.counters import create_memory
from headgate.runtime import descriptors, pid_file
from headgate.runtime.channel import Channel, Message
from headgate.runtime.child import Child, Progress
from headgate.runtime.control_seat import ControlSeat
from headgate.runtime.crew import Crew, LoadedSettings
from headgate.runtime.listening import ListenError, name_of
from headgate.runtime.reactor import Reactor
from headgate.runtime.reload import WORKER_GRACE_S, Reload
from headgate.runtime.reload_record import ReloadRecord
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.sockets import Sockets
from headgate.runtime.start import RELOAD_SIGNALS, REOPEN_SIGNAL, STOP_SIGNALS, Start, read_whole
from headgate.runtime.supervisor_log import log, write_record

CONTROL = "headgate.runtime.control"
WORKER = "headgate.runtime.worker"
STARTING_DEATHS = 5
"""A child that dies this often before everything was ready once will not come up: the start has failed."""
CONTROL_GRACE_S = 1.0
"""What control gets to end before it is killed when headgate stops."""
CONTROL_REPLACED_S = 3.0
"""What control gets to finish requests before it is killed when it is replaced; others wait in its sockets."""

LINK_RETRY_S = 1.0


class StartError(Exception):
    """headgate cannot start; the text is one line for a person."""


class Stage(IntEnum):
    """How far the process is; see the module's picture."""

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()
    """Readiness says no, connections are still accepted."""
    DRAINING = auto()
    CLOSING = auto()
    ENDED = auto()


_READINESS = {Stage.STARTING: "starting", Stage.SERVING: "ready"}


class Supervisor:
    """``sources``: where ``settings`` came from; ``control``, ``worker``: the modules that run as such.

    The signals that ``reactor`` has caught are orders.
    """

    def __init__(
        self,
        reactor: Reactor,
        settings: LoadedSettings,
        sources: SettingsSources,
        *,
        control: str = CONTROL,
        worker: str = WORKER,
    ) -> None:
        slots = settings.values["workers"]
        self.reactor = reactor
        self._sources = sources
        self._control_module, self._worker_module = control, worker
        self._memories = [[create_memory() for _ in range(slots)] for _ in range(2)]
        self._sockets = Sockets(settings.values)
        self._record = ReloadRecord(Path(settings.values["data_dir"]))
        self._stage = Stage.STARTING
        self._exit_status = 0
        self._reload: Reload | None = None
        self._reload_wanted = False
        self.crew = self._make_crew(settings, self._memories[0])
        self.seat = ControlSeat(
            reactor,
            self.hire_control(settings),
            workers=lambda: self._workers,
            readiness=lambda: _READINESS.get(self._stage, "draining"),
        )
        descriptors.try_room(slots)

    def run(self) -> int:
        """Run until stopped; give the exit status."""
        self.reactor.watch_signals(self._on_signals)
        self.crew.open()
        for child in (self.seat.holder, *self.crew.workers):
            self.spawn(child)
        while self._stage is not Stage.ENDED:
            self.reactor.turn()
        return self._exit_status

    # Crews and control

    @property
    def _children(self) -> list[Child]:
        coming = self._reload.coming_control if self._reload else None
        return [*self.seat.children, *([coming] if coming else ()), *self._workers]

    @property
    def _crews(self) -> list[Crew]:
        return [self.crew, *(self._reload.crews if self._reload else ())]

    @property
    def _workers(self) -> list[Child]:
        return [worker for crew in self._crews for worker in crew.workers]

    def hire(self, settings: LoadedSettings) -> Crew:
        """Make a crew that counts apart from the one that serves."""
        even, odd = self._memories
        return self._make_crew(settings, odd if self.crew.memories is even else even)

    def hire_control(self, settings: LoadedSettings) -> Child:
        """Make a control, which waits for the order to begin."""

        def start(channel: int) -> Start:
            return Start(
                channel=channel,
                settings=settings.descriptor,
                counters=[memory for memories in self._memories for memory in memories],
                admin=[opened.fileno() for opened in self._sockets.admin],
                metrics=[opened.fileno() for opened in self._sockets.metrics],
            )

        return Child(module=self._control_module, worker=None, start=start)

    def _make_crew(self, settings: LoadedSettings, memories: list[int]) -> Crew:
        return Crew(module=self._worker_module, settings=settings, memories=memories, sockets=self._sockets)

    # Children

    def spawn(self, child: Child) -> None:
        """Start a process, now or as soon as there is room, unless it is no longer wanted."""
        if not self._is_wanted(child) or child.pid is not None:
            return
        try:
            channel = child.spawn()
        except OSError as error:
            log("error", f"{child.name} cannot be started: {error.strerror}")
            self._replace(child)
            return
        self.reactor.watch(channel, lambda: self._on_channel(child, channel))
        if child is self.seat.holder:
            self.seat.begin()
        elif child.worker is not None:
            self.seat.link(child)

    def _is_wanted(self, child: Child) -> bool:
        if child is self.seat.holder:
            return self._stage < Stage.CLOSING and not self._exit_status
        wanted = [*self.crew.workers, *(self._reload.coming if self._reload else ())]
        return child in wanted and self._stage < Stage.DRAINING

    def _on_channel(self, child: Child, channel: Channel) -> None:
        """Take every message that waits; stop looking at the end of file, as SIGCHLD tells the rest."""
        try:
            while received := channel.receive():
                self._on_message(child, received[0])
        except BlockingIOError:
            return
        self.reactor.unwatch(channel)

    def _on_message(self, child: Child, message: Message) -> None:
        match message["type"]:
            case "loaded":
                child.progress = Progress.LOADED
                if child.worker is not None:
                    self._crew_of(child).admit(child)
            case "ready":
                child.progress = Progress.READY
                self._check_ready()
            case "draining":
                child.progress = Progress.LEAVING
            case "failed":
                self._on_failed(child, message["error"])
            case "silent":
                self._on_silent(message["pid"])
        self.advance()

    def _on_failed(self, child: Child, error: str) -> None:
        if self._exit_status:
            return  # the start has failed already; what keeps one worker from starting keeps the others too
        if self._reload is not None and self._reload.on_failed(child, error):
            return
        log("error", f"{child.name}: {error}")
        if self._stage is Stage.STARTING:
            self._exit_status = 1
            self._stop()

    def _on_silent(self, pid: int) -> None:
        for worker in self._workers:
            if worker.pid == pid:  # it may have been replaced meanwhile
                log("error", f"{worker.name} does not answer, it is killed", pid=pid)
                worker.kill()

    def _check_ready(self) -> None:
        if self._stage is not Stage.STARTING or not (self.seat.holder.is_ready and self.crew.are_ready):
            return
        self._stage = Stage.SERVING
        self.seat.tell_readiness()
        listen, admin, metrics = (
            [name_of(opened) for opened in group]
            for group in (self._sockets.listen[0], self._sockets.admin, self._sockets.metrics)
        )
        log(
            "info",
            f"listening on {', '.join(listen)}; Admin API on {', '.join(admin)}; metrics on {', '.join(metrics or admin)}",
        )
        record = {"event": "ready", "level": "info", "pid": os.getpid(), "workers": len(self.crew.workers)}
        write_record(sys.stdout.fileno(), {**record, "listen": listen, "admin": admin, "metrics": metrics or admin})

    def _reap(self) -> None:
        for child in self._children:
            pid = child.pid
            status = child.reap()
            if status is not None:
                self._on_death(child, pid, status)
        if self._reload is not None:
            self._reload.reap()
        self.advance()

    def _on_death(self, child: Child, pid: int | None, status: int) -> None:
        if child.channel is not None:
            if self.reactor.is_watched(child.channel):
                self._on_channel(child, child.channel)  # its last words
            self.reactor.unwatch(child.channel)
            child.close_channel()
        lost = 0 if child.worker is None else self._crew_of(child).settle(child)
        if self.seat.has_left(child):
            return
        if self._is_wanted(child):
            log("error", f"{child.name} ended, it is replaced", pid=pid, status=status, streams_lost=lost)
            self._replace(child)
        elif lost:
            log("warning", f"{child.name} ended before its streams did", pid=pid, status=status, streams_lost=lost)

    def _replace(self, child: Child) -> None:
        if self._stage is Stage.STARTING and child.deaths >= STARTING_DEATHS:
            log("error", f"{child.name} does not come up")
            self._exit_status = 1
            self._stop()
            return
        self.reactor.after(child.restart_delay_s(), lambda: self.spawn(child))

    def _crew_of(self, worker: Child) -> Crew:
        return next(crew for crew in self._crews if worker in crew.workers)

    # Reloading and stopping

    def advance(self) -> None:
        """Go on with what is under way, as far as things are."""
        if self._reload is not None:
            self._reload.advance()
            if self._reload.is_over:
                self._reload = None
        if self._reload is None and self._reload_wanted and self._stage is Stage.SERVING:
            self._reload_wanted = False
            self._reload = Reload(self, self._sources, self._record)
        if self._stage is Stage.DRAINING and all(crew.are_gone for crew in self._crews):
            self._stage = Stage.CLOSING
            for control in self._children:
                control.send({"type": "stop"})
                self.reactor.after(CONTROL_GRACE_S, control.kill)
        if self._stage is Stage.CLOSING and not any(child.pid for child in self._children):
            self._stage = Stage.ENDED

    def _stop(self) -> None:
        """Have readiness say no and then workers drain; or, if that was ordered before, kill everything."""
        if self._stage >= Stage.LEAVING:
            self._kill_all()
            return
        delay_s = self.crew.settings.drain("delay_s") if self._stage is Stage.SERVING else 0.0
        if not self._exit_status:
            log("info", "stopping", delay_s=delay_s, window_s=self.crew.settings.drain("window_s"))
        self._stage = Stage.LEAVING
        self.seat.tell_readiness()
        if self._reload is not None:
            self._reload.abandon()
        if delay_s:
            self.reactor.after(delay_s, self._drain)
        else:
            self._drain()

    def _drain(self) -> None:
        self._stage = Stage.DRAINING
        window_s = self.crew.settings.drain("window_s")
        self._sockets.close_listen()
        self.crew.retire(window_s=window_s, idle_s=0.0, close=True)
        self.reactor.after(window_s + WORKER_GRACE_S, self.crew.kill)
        self.advance()

    def _kill_all(self) -> None:
        log("warning", "stopping at once, streams are cut")
        children = self._children
        for child in children:
            child.kill()
        if self._reload is not None:
            self._reload.kill()
        for child in children:
            child.wait(0.5)
        self._exit_status = 1
        self._stage = Stage.ENDED

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()
        for number in numbers:
            if number in STOP_SIGNALS:
                self._stop()
            elif number in RELOAD_SIGNALS:
                self._reload_wanted = True
                self.advance()
            elif number == REOPEN_SIGNAL:
                for worker in self._workers:
                    worker.send({"type": "reopen_access_log"})


def catch_orders(reactor: Reactor) -> None:
    """Let the signals that are orders wait for the supervisor, which is about to be made."""
    numbers = {*STOP_SIGNALS, *RELOAD_SIGNALS, REOPEN_SIGNAL, signal.SIGCHLD}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup stays in force
        numbers.remove(signal.SIGHUP)
    reactor.catch_signals(numbers)


def prepare_data_directory(path: Path) -> None:
    """Make the data directory, mode 0700, or check it. Raises StartError if it is open to others or cannot be made."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise StartError(f"data directory {path}: {error.strerror}; choose another with --data-dir") from error
    if mode & 0o077:
        raise StartError(f"data directory {path} is open to other users (mode {mode:04o}): run chmod 700 {path}")


def main(arguments: list[str]) -> int:
    """Run with the descriptor of the settings, their sources and, in tests, the modules of control and worker; give the exit status."""
    descriptor, sources = int(arguments[0]), SettingsSources.from_argument(arguments[1])
    modules = dict(zip(("control", "worker"), arguments[2:], strict=False))
    settings = LoadedSettings(json.loads(read_whole(descriptor)), descriptor)
    data_dir, workers = Path(settings.values["data_dir"]), settings.values["workers"]
    try:
        prepare_data_directory(data_dir)
        reactor = Reactor()
        catch_orders(reactor)
        pid_file.take(data_dir)
        descriptors.raise_limit(workers)
        supervisor = Supervisor(reactor, settings, sources, **modules)
    except (StartError, ListenError, pid_file.DataDirectoryTakenError) as error:
        log("error", str(error))
        return 1
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        log("error", f"not enough file descriptors for {workers} workers: lower --workers, or raise `ulimit -n`")
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
