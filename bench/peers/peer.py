"""What a relay that is measured must say of itself, and how one is run: how each is started in front of an origin, and which processes do its work.

Every peer runs with one worker, pinned to one core with all its processes, with its access log on and going to a file,
connections to the origin kept alive where it has such settings, room for 9,000 streams, and no time limit that cuts one.
A case's streams are at ``/events/…``, where nothing is held back; whatever else it asks for is elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.machine import cpu

START_WITHIN_S = 120.0
STOP_WITHIN_S = 10.0
FILES = 65536
"""Descriptors and connections that a peer is allowed where it has a limit of its own; the system's may be lower."""
BACKLOG = 8192
"""Connections that may wait to be accepted; Linux takes ``net.core.somaxconn`` (4096) where that is less."""


class PeerFailedError(Exception):
    """A peer did not start; says what it printed."""


class Peer(ABC):
    """One relay. ``name`` is its word on the command line and in the table."""

    name: str
    worker: str
    """Part of the command line by which the worker is found among the children; empty: the started process itself."""

    @abstractmethod
    def version(self) -> str:
        """Give the version that is measured."""

    @abstractmethod
    def command(self, directory: Path, port: int, upstream_port: int) -> list[str] | None:
        """Write the configuration into ``directory`` and give the command that serves ``port`` in the foreground.

        None: there is nothing to run, clients connect to the origin itself.
        """

    def environ(self, directory: Path) -> Mapping[str, str]:
        """Give variables of its environment beside the bench's own; ``directory`` is the same as for the command."""
        del directory
        return {}

    def missing(self) -> str | None:
        """Say what must be installed first, or None."""
        return None

    def is_ready(self, output: str) -> bool:
        """Say by what it has printed whether it serves already: for a peer that has connections wait while it starts."""
        del output
        return True

    def workers(self, pid: int) -> list[int]:
        """Give the pids of the processes that relay: all of them, each with all its threads."""
        if not self.worker:
            return [pid]
        return [child for child in cpu.children(pid) if self.worker in cpu.command_line(child)]


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that accepts connections on ``port`` of 127.0.0.1.

    ``pids`` are the processes that relay, ``all_pids`` those and what supervises them. Both are empty where there is no
    gateway.
    """

    port: int
    pids: Sequence[int]
    all_pids: Sequence[int]


@contextmanager
def running(peer: Peer, upstream_port: int, *, core: int) -> Iterator[Running]:
    """Run a peer on one core in front of ``127.0.0.1:upstream_port``. Raises PeerFailedError when it does not start."""
    port = free_port()
    with TemporaryDirectory(prefix="headgate-bench-") as name:
        directory = Path(name)
        command = peer.command(directory, port, upstream_port)
        if command is None:
            yield Running(upstream_port, [], [])
            return
        with (directory / "output").open("wb") as output:
            environ = {**os.environ, **peer.environ(directory)}
            pinned = ["taskset", "-c", str(core), *command]
            process = subprocess.Popen(pinned, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_serves(peer, process, port, directory / "output")
            yield Running(port, peer.workers(process.pid), [process.pid, *_descendants(process.pid)])
        finally:
            _stop(process)


def free_port() -> int:
    """Give a port of 127.0.0.1 that was free just now, below those that the system gives to outgoing connections."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise PeerFailedError("no free port from 20000 to 31999")


def _wait_until_it_serves(peer: Peer, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not (_accepts(port) and peer.workers(process.pid) and peer.is_ready(output.read_text(errors="replace"))):
        if process.poll() is not None or time.monotonic() > deadline:
            ended = f"ended with {process.returncode}" if process.returncode is not None else "does not accept"
            raise PeerFailedError(f"{peer.name} {ended}: {output.read_text(errors='replace')[-1000:].strip()}")
        time.sleep(0.02)


def _descendants(pid: int) -> list[int]:
    return [one for child in cpu.children(pid) for one in (child, *_descendants(child))]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
