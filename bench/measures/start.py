"""How long a gateway takes to start, and what it weighs when nothing has happened yet."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from bench.measures.idle_memory import settled_bytes
from bench.measures.measure import Cores, Outcome
from bench.peers.headgate import Headgate
from bench.peers.peer import START_WITHIN_S, STOP_WITHIN_S, Peer, PeerFailedError, free_port

from bench.machine import cpu

LOOK_EVERY_S = 0.001
REQUEST = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


@dataclass(frozen=True, slots=True)
class Start:
    """Starts a peer once, and headgate's worker ``workers`` times more.

    * ``start_s``: from the command to an answer of the origin through the gateway, tried every millisecond from the start on.
    * ``idle_memory_bytes``: Pss of the peer's processes, all of them, once it has answered and come to rest.

    For headgate only, medians:

    * ``worker_start_s``: a worker is killed; from the moment at which the process that replaces it is there to the answer to a request
      that waited for it (known to a millisecond or two). How long the supervisor waited before is not in it.
    * ``import_s``: what importing ``headgate.runtime.worker`` takes in a new interpreter, the interpreter's own start not counted.
    """

    workers: int = 3
    imports: int = 5

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when it does not start, or its worker does not start anew."""
        with _origin() as upstream_port, TemporaryDirectory(prefix="headgate-bench-") as name:
            directory = Path(name)
            with _Command(peer, directory, upstream_port, cores.gateway) as command:
                figures = {"start_s": command.answered(), "idle_memory_bytes": float(command.settled_bytes())}
                if isinstance(peer, Headgate):
                    starts = [command.replace_worker() for _ in range(self.workers)]
                    figures["worker_start_s"] = statistics.median(starts)
            if isinstance(peer, Headgate):
                imports = [_import_s(peer, directory, cores.gateway) for _ in range(self.imports)]
                figures["import_s"] = statistics.median(imports)
        return Outcome(figures)


class _Command:
    """A peer's command, from just before it is started until the block ends."""

    def __init__(self, peer: Peer, directory: Path, upstream_port: int, core: int) -> None:
        self._peer = peer
        self._port = free_port()
        self._output = directory / "output"
        command = peer.command(directory, self._port, upstream_port)
        if command is None:
            raise PeerFailedError(f"{peer.name} is nothing that could be started")
        environ = {**os.environ, **peer.environ(directory)}
        pinned = ["taskset", "-c", str(core), *command]
        with self._output.open("wb") as output:
            self._began_s = time.monotonic()
            self._process = subprocess.Popen(pinned, env=environ, stdout=output, stderr=subprocess.STDOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def answered(self) -> float:
        """Give the seconds from the command to the first answer."""
        while not _is_answered(self._port):
            self._look(self._began_s)
        return time.monotonic() - self._began_s

    def settled_bytes(self) -> int:
        """Give the memory of all processes."""
        return settled_bytes(_family(self._process.pid))

    def replace_worker(self) -> float:
        """Kill the worker; give the seconds from the start of the next one to its first answer."""
        known = set(_family(self._process.pid))
        killed_s = time.monotonic()
        for pid in self._peer.workers(self._process.pid):
            os.kill(pid, signal.SIGKILL)
        while not set(cpu.children(self._process.pid)) - known:
            self._look(killed_s)
        began_s = time.monotonic()
        while not _is_answered(self._port):
            self._look(killed_s)
        return time.monotonic() - began_s

    def _look(self, since_s: float) -> None:
        """Wait for the next look. Raises PeerFailedError when there has been none for too long."""
        if self._process.poll() is not None or time.monotonic() > since_s + START_WITHIN_S:
            raise PeerFailedError(
                f"{self._peer.name} does not answer: {self._output.read_text(errors='replace')[-1000:]}"
            )
        time.sleep(LOOK_EVERY_S)


@contextmanager
def _origin() -> Iterator[int]:
    """Answer every request, one connection at a time in a thread, while the block lasts; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_all, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept, as a close does not
        thread.join()


def _answer_all(listener: socket.socket) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        with sock, contextlib.suppress(ConnectionError):
            if sock.recv(65536):
                sock.sendall(ANSWER)


def _is_answered(port: int) -> bool:
    """Ask once, waiting for the answer as long as the connection lasts."""
    try:
        with socket.create_connection(("127.0.0.1", port), START_WITHIN_S) as sock:
            sock.sendall(REQUEST)
            return sock.recv(65536).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _family(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    return [pid, *(one for child in cpu.children(pid) for one in _family(child))]


def _import_s(peer: Headgate, directory: Path, core: int) -> float:
    command = ["taskset", "-c", str(core), sys.executable, "-P", "-c", _IMPORT.format(peer.worker)]
    environ = {**os.environ, **peer.environ(directory)}
    return float(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)
