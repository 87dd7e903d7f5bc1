"""The gateway under soak: ``headgate run`` as a process of its own, its Admin API, its metrics and what it logs."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.machine import cpu

READY_WITHIN_S = 60.0
ANSWER_WITHIN_S = 30.0
STOP_WITHIN_S = 60.0
METRICS = "/apisix/prometheus/metrics"
_SAMPLE = re.compile(r"^(\w+(?:\{[^}]*\})?) ([-+0-9.eE]+|NaN)$")

SETTINGS = {
    "HEADGATE_STREAMS_RETRY_S": "1",  # so that visitors are back soon, and the load is what it should be
    "HEADGATE_HTTP_SEND_TIMEOUT_S": "10",  # so that a client that has stopped reading is given up within a minute
}


class GatewayFailedError(Exception):
    """headgate did not start, or has ended; with what it logged last."""


class Gateway:
    """A running headgate with its data in ``directory``; ended with the block, by SIGTERM if it still runs.

    ``log`` are the records on stderr, ``port`` is the proxy's. ``exit_status`` is None until it was stopped.
    """

    def __init__(self, directory: Path, *, workers: int) -> None:
        self.log: list[dict[str, Any]] = []
        self.garbage: list[str] = []
        self.port = 0
        self.exit_status: int | None = None
        self._admin_port = 0
        self._ready = threading.Event()
        places = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--metrics", "off"]
        command = [sys.executable, "-P", "-m", "headgate", "run", "--workers", str(workers), *places]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(directory / "data")],
            cwd=directory,
            env={**environ, **SETTINGS, "HEADGATE_ACCESS_LOG": str(directory / "access.log")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for target, pipe in ((self._take_record, self._process.stdout), (self._take_log, self._process.stderr)):
            assert pipe is not None
            threading.Thread(target=_read, args=(pipe, target), daemon=True).start()

    def __enter__(self) -> Self:
        """Wait until it is ready."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._ready.wait(0.1):
            if self._process.poll() is not None or time.monotonic() > deadline:
                status = self.stop()
                raise GatewayFailedError(f"not ready, ended with {status}: {self.last_words()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def check_running(self) -> None:
        """Raise GatewayFailedError if it has ended."""
        if self._process.poll() is not None:
            raise GatewayFailedError(f"ended with {self._process.returncode}: {self.last_words()}")

    def reload(self) -> None:
        """Order a reload."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Order the stop and wait for it; give the exit status. Killed when it takes too long."""
        if self.exit_status is None:
            self._process.terminate()
            try:
                self.exit_status = self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                for pid in (*cpu.children(self.pid), self.pid):
                    os.kill(pid, signal.SIGKILL)
                self.exit_status = self._process.wait()
        return self.exit_status

    def last_words(self) -> str:
        """Give what stood last on stderr."""
        return "; ".join([*(json.dumps(record) for record in self.log[-5:]), *self.garbage[-20:]])

    def logged(self, event: str) -> int:
        """Count the records whose ``event`` begins so."""
        return sum(str(record.get("event", "")).startswith(event) for record in self.log)

    def errors(self) -> list[str]:
        """Give what it logged as an error, and whatever else is no record, such as a traceback."""
        bad = [json.dumps(record) for record in self.log if record.get("level") in {"error", "critical"}]
        return bad + self.garbage

    def admin(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Call the Admin API; give status and text. Raises OSError or HTTPException when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=ANSWER_WITHIN_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Give every sample by its name with its labels, as they are exposed."""
        _, text = self.admin("GET", METRICS)
        matches = map(_SAMPLE.match, text.splitlines())
        return {match[1]: float(match[2]) for match in matches if match is not None}

    def _take_record(self, line: str) -> None:
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("event") == "ready":
            self.port, self._admin_port = (int(record[name][0].rpartition(":")[2]) for name in ("listen", "admin"))
            self._ready.set()

    def _take_log(self, line: str) -> None:
        try:
            self.log.append(json.loads(line))
        except ValueError:
            self.garbage.append(line.rstrip())


def _read(pipe: IO[str], take: Any) -> None:
    for line in pipe:
        take(line)
