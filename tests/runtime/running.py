"""A supervisor in a process of its own, and what a test needs to watch it."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from headgate.config.settings import Settings
from headgate.runtime import reload_record
from headgate.runtime.launch import SUPERVISOR, supervisor_command
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import write_whole
from headgate.runtime.supervisor import CONTROL, WORKER

DEADLINE_S = 20.0
FAKES = ("fake_control", "fake_worker")

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, within_s: float = DEADLINE_S) -> Found:
    """Look until what is found is true, every 10 ms; give it. Fails after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {within_s} s"
        threading.Event().wait(0.01)
    return found


async def turn_until(look: Callable[[], bool]) -> None:
    """Let the loop turn until what is looked at is so."""
    while not look():  # noqa: ASYNC110 - what is looked at sets no event
        await asyncio.sleep(0.001)


def children(pid: int) -> dict[str, int]:
    """Give the process ids of the children of a process: ``control`` and ``worker 0`` …; of two, the younger one."""
    modules = {module.encode() for module in (*FAKES, CONTROL, WORKER)}
    found = {}
    for child in sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        try:
            arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if len(arguments) > 4 and arguments[3] in modules:  # else it is between fork and exec, has ended, or is another
            start = json.loads(arguments[4])
            found["control" if start["worker"] is None else f"worker {start['worker']}"] = child
    return found


def wait_gone(pid: int, *, within_s: float = DEADLINE_S) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], within_s)[0], f"{pid} still runs after {within_s} s"
    finally:
        os.close(descriptor)


class Stream:
    """A client's connection to the proxy port; ``worker`` and ``pid`` say who serves it."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.connection = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        self.lines = self.connection.makefile("rb")
        hello = json.loads(self.lines.readline())
        self.worker: int = hello["worker"]
        self.pid: int = hello["pid"]
        self.mask: list[str] = hello["mask"]

    def close(self) -> None:
        self.lines.close()
        self.connection.close()


class Running:
    """A supervisor with ``modules`` as control and worker; a context that kills what is left of it.

    ``supervisor`` is the module that runs as such, ``wrapper`` a command to run it with.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        modules: Iterable[str] = FAKES,
        environment: Mapping[str, str] | None = None,
        supervisor: str = SUPERVISOR,
        wrapper: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.data_dir = data_dir
        self.admin = ""
        self.config = data_dir.parent / f"{data_dir.name}.settings.json"
        self._values = {
            "listen": ["127.0.0.1:0"],
            "admin": "127.0.0.1:0",
            "metrics": "off",
            "workers": 2,
            "data_dir": data_dir,
            **settings,
        }
        self.write_settings()
        descriptor = write_whole(Settings(**self._values).model_dump_json().encode())
        command = supervisor_command(descriptor, SettingsSources.of(self.config, {}), *modules)
        command[3] = supervisor
        self.process = subprocess.Popen(
            [*wrapper, *command],
            pass_fds=[descriptor],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **(environment or {})},
        )
        os.close(descriptor)
        self._stdout = _Lines(self.process.stdout)
        self._stderr = _Lines(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM, signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        for lines in (self._stdout, self._stderr):
            lines.close()

    def write_settings(self, **changes: Any) -> None:
        """Write what a reload reads: the settings that it was started with, but for ``changes``."""
        settings = Settings(**{**self._values, **changes})
        self.config.write_text(settings.model_dump_json(exclude={"metrics_explicit", "authorities"}))

    def wait_reload(self, number: int, state: str) -> reload_record.ReloadState:
        """Wait until the record says this of this reload; give the record."""

        def look() -> reload_record.ReloadState | None:
            record = reload_record.read(self.data_dir, self.process.pid)
            return record if (record.reload, record.state) == (number, state) else None

        return eventually(look)

    def signal(self, *numbers: int) -> None:
        """Send signals one after the other, each once the one before has been handled by the kernel."""
        for number in numbers:
            self.process.send_signal(number)

    def wait_ready(self) -> dict[str, Any]:
        """Give the ready record."""
        record = self._stdout.find(lambda record: record["event"] == "ready")
        self.admin = record["admin"][0]
        return record

    def log(self, text: str) -> dict[str, Any]:
        """Give the next line on stderr whose event holds ``text``."""
        return self._stderr.find(lambda record: text in record["event"])

    def end(self, *, within_s: float) -> int:
        """Give the exit status."""
        return self.process.wait(within_s)

    def rest(self) -> list[str]:
        """Give what is left on stderr once all processes have ended."""
        return self._stderr.rest()

    def ask_control(self, address: str, order: str = "") -> dict[str, Any]:
        """Give what the fake control knows."""
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
            connection.sendall(order.encode() + b"\n")
            with connection.makefile("rb") as answer:
                state: dict[str, Any] = json.loads(answer.read())
                return state


class _Lines:
    """Lines of a pipe as they come, read by a thread so that the writer never waits."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def find(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Give the next line that is JSON and matches."""
        passed: list[str] = []
        while True:
            try:
                line = self._queue.get(timeout=DEADLINE_S)
            except queue.Empty:
                line = None
            assert line is not None, f"not found in {passed}"
            passed.append(line)
            assert line.startswith("{"), f"no record: {line}"
            record: dict[str, Any] = json.loads(line)
            if matches(record):
                return record

    def rest(self) -> list[str]:
        self._thread.join(DEADLINE_S)
        lines = []
        while (line := self._queue.get(timeout=DEADLINE_S)) is not None:
            lines.append(line)
        self._queue.put(None)
        return lines

    def close(self) -> None:
        self._thread.join(DEADLINE_S)
        self._pipe.close()

    def _read(self) -> None:
        for line in self._pipe:
            self._queue.put(line.decode())
        self._queue.put(None)
