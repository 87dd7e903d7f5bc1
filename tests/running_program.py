"""``headgate run`` as a real process, for the system tests.

Started on free ports of 127.0.0.1 with a data directory of its own::

    with Program(tmp_path, workers=2) as program:
        assert program.put("routes/1", {"uri": "/*", "upstream": {"nodes": {origin.address: 1}}}).status == 201
        assert get(program.port, "/hello").status == 200

At the end it is told to stop, must exit with 0, and must have written no traceback.
"""

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the Admin API; ``json`` is its decoded body, None where that is no JSON."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.text)


class Program:
    """One gateway. ``arguments`` are further flags; ``environ`` further variables; ``wrapper`` a command to run it with.

    ``without`` are flags that are otherwise given (``--listen``, ``--admin``, ``--metrics``, ``--data-dir``).
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        expect_status: int = 0,
        without: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.records: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.ready: dict[str, Any] = {}
        self._expect_status = expect_status
        self._changed = threading.Condition()
        command = [sys.executable, "-m", "headgate", "run", "--workers", str(workers)]
        given = " ".join(arguments)
        for flag, value in (
            ("--listen", "127.0.0.1:0"),
            ("--admin", "127.0.0.1:0"),
            ("--metrics", "off"),
            ("--data-dir", str(self.data_dir)),
        ):
            if flag not in given and flag not in without:
                command += [flag, value]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
        self.process = subprocess.Popen(
            [*wrapper, *command, *arguments],
            cwd=directory,
            env={**clean, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read_records, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        """Wait until it is ready."""
        try:
            self.ready = self.wait_record(lambda record: record.get("event") == "ready")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and look at how it went."""
        self.process.terminate()
        try:
            status = self.wait()
        finally:
            self.kill()
        if kind is None:
            assert status == self._expect_status, f"exit status {status}; {self.errors}"
            assert not any("Traceback" in line for line in self.errors), self.errors

    @property
    def port(self) -> int:
        """The proxy's port."""
        return int(self.ready["listen"][0].rpartition(":")[2])

    @property
    def admin_port(self) -> int:
        """The Admin API's port."""
        return int(self.ready["admin"][0].rpartition(":")[2])

    # -- the Admin API ------------------------------------------------------------------------------------------------

    def admin(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Call the Admin API; ``path`` is below ``/apisix/admin/``, or absolute; ``body`` as JSON, or str as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=WAIT_S)
        try:
            content = body if isinstance(body, str | None) else json.dumps(body)
            target = path if path.startswith("/") else f"/apisix/admin/{path}"
            connection.request(method, target, content, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def put(self, path: str, body: object) -> Answer:
        """PUT a resource."""
        return self.admin("PUT", path, body)

    def route(self, identifier: str, uri: str, upstream: str, **more: object) -> None:
        """Write a route to one node and see that it was taken."""
        document = {"uri": uri, "upstream": {"type": "roundrobin", "nodes": {upstream: 1}}, **more}
        answer = self.put(f"routes/{identifier}", document)
        assert answer.status in {200, 201}, answer

    def metric(self, sample: str) -> float:
        """Give a sample of the metrics by its name and labels as they are exposed: ``headgate_x_total{ending="drain"}``."""
        lines = self.admin("GET", "/apisix/prometheus/metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == sample)

    # -- the processes ------------------------------------------------------------------------------------------------

    def children(self, module: str) -> list[int]:
        """Give the pids of the children that run ``headgate.runtime.<module>``, by their age."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().decode().split("\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid and f"headgate.runtime.{module}" in command:
                found.append(int(entry.name))
        return sorted(found)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Wait for the end; give the exit status."""
        status = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        return status

    def kill(self) -> None:
        """End whatever is left of it."""
        for pid in (*self.children("worker"), *self.children("control")):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(WAIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    # -- what it says -------------------------------------------------------------------------------------------------

    def wait_record(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Wait for a record on stdout (access log, ``ready``) and give it."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [record for record in self.records if wanted(record)][:1]
            return bool(found)

        self.wait_for(look, "a record", timeout_s)
        return found[0]

    def log(self, event: str) -> list[dict[str, Any]]:
        """Give the records on stderr (the processes' own log) whose ``event`` matches the pattern ``event``."""
        decoded = (json.loads(line) for line in list(self.errors) if line.startswith("{"))
        return [record for record in decoded if re.search(event, record["event"])]

    def wait_log(self, event: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Wait for a record on stderr whose ``event`` matches the pattern ``event``, and give it."""
        self.wait_for(lambda: bool(self.log(event)), f"{event!r} in the log", timeout_s)
        return self.log(event)[0]

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        """Wait until ``condition`` holds; it is looked at whenever a line arrives, and every 50 ms."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                waited_for = f"waited for {what}; stderr: {self.errors[-20:]}"
                assert self.process.poll() is None, f"it has ended; {waited_for}"
                assert time.monotonic() < deadline, waited_for
                self._changed.wait(0.05)

    def _read_records(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._note(self.records, json.loads(line))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._note(self.errors, line.rstrip("\n"))

    def _note(self, where: list[Any], item: Any) -> None:
        with self._changed:
            where.append(item)
            self._changed.notify_all()
