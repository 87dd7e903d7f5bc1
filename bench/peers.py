"""The relays that are compared: how each is started in front of an origin, and which processes do its work.

Every peer runs with one worker, pinned to one core with all its processes, with its access log on and going to a file,
buffering off and connections to the origin kept alive where it has such settings.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import headgate
from bench import cpu

START_WITHIN_S = 20.0
STOP_WITHIN_S = 10.0
FILES = 65536
NGINX_PATHS = (
    os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
)  # root's, too: Debian puts it there

_NGINX_CONF = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 16384; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream origin {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


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
    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Write the configuration into ``directory`` and give the command that serves ``port`` in the foreground."""

    def environ(self) -> Mapping[str, str]:
        """Give variables of its environment beside the bench's own."""
        return {}

    def missing(self) -> str | None:
        """Say what must be installed first, or None."""
        return None

    def workers(self, pid: int) -> list[int]:
        """Give the pids of the processes that relay."""
        if not self.worker:
            return [pid]
        return [child for child in cpu.children(pid) if self.worker in cpu.command_line(child)]


class Headgate(Peer):
    """The gateway, from the environment that runs the bench, with the settings that it has by default.

    ``plugins`` are the route's, ``settings`` variables of the environment, ``source`` a checkout whose ``src`` is run in
    place of the one that is installed.
    """

    worker = "headgate.runtime.worker"

    def __init__(
        self,
        name: str,
        *,
        plugins: Mapping[str, Mapping[str, object]] | None = None,
        settings: Mapping[str, str] | None = None,
        source: Path | None = None,
    ) -> None:
        self.name = name
        self._plugins = dict(plugins or {})
        self._settings = dict(settings or {})
        self._source = None if source is None else source.resolve() / "src"

    def environ(self) -> Mapping[str, str]:
        """Give the settings, and the path of the other checkout."""
        return self._settings if self._source is None else {**self._settings, "PYTHONPATH": str(self._source)}

    def missing(self) -> str | None:
        """Say so if what would be run is not the checkout that was asked for."""
        if self._source is None or Path(self._imported("__file__")).is_relative_to(self._source):
            return None
        return f"there is no headgate in {self._source}"

    def version(self) -> str:
        """Give the package's version, and where another checkout is."""
        if self._source is None:
            return headgate.__version__
        return f"{self._imported('__version__')} in {self._source.parent}"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One route that takes every path."""
        upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{upstream_port}": 1}}
        route = {"id": "bench", "uri": "/*", "upstream": upstream, "plugins": self._plugins}
        routes = directory / "routes.json"
        routes.write_text(json.dumps({"routes": [route]}))
        program = [sys.executable, "-P", "-m", "headgate", "run", "--workers", "1"]
        addresses = ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}", "--metrics", "off"]
        return [*program, *addresses, "--routes", str(routes), "--data-dir", str(directory / "data")]

    def _imported(self, attribute: str) -> str:
        command = [sys.executable, "-P", "-c", f"import headgate; print(headgate.{attribute})"]
        environ = {**os.environ, **self.environ()}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout.strip()


class Nginx(Peer):
    """NGINX as its documentation sets it up for event streams (ngx_http_proxy_module, ngx_http_upstream_module)."""

    name = "nginx"
    worker = "nginx: worker process"

    def missing(self) -> str | None:
        """Say how to install it."""
        return None if _nginx() else "NGINX is not installed: sudo apt-get install --no-install-recommends nginx-light"

    def version(self) -> str:
        """Give what ``nginx -v`` says."""
        told = subprocess.run([_nginx() or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
        return told.strip().rpartition("/")[2]

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One location that takes every path."""
        conf = directory / "nginx.conf"
        conf.write_text(_NGINX_CONF.format(directory=directory, port=port, upstream_port=upstream_port, files=FILES))
        return [_nginx() or "nginx", "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(conf)]


class Bare(Peer):
    """:mod:`bench.bare_relay`."""

    name = "bare"
    worker = ""

    def version(self) -> str:
        """Give the loop's version."""
        return f"uvloop {metadata.version('uvloop')}"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Run the module."""
        del directory
        return [sys.executable, "-m", "bench.bare_relay", str(port), str(upstream_port)]


CLOCKS = {"first_event_s": 60, "event_gap_s": 60, "max_duration_s": 3600, "max_bytes": 1 << 40}
"""What the plugin ``stream-guard`` watches in the peer ``guarded``: every clock and limit, none of which is reached."""
OFF = {"HEADGATE_STREAMS_KEEPALIVE_S": "0", "HEADGATE_STREAMS_MAX_EVENT_BYTES": "0"}

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Headgate("headgate"),
        Headgate("guarded", plugins={"stream-guard": CLOCKS}),
        Headgate("plain", settings=OFF),
        Nginx(),
        Bare(),
    )
}


def against(path: Path) -> Peer:
    """Give the peer for another checkout of headgate, as it is by default."""
    return Headgate("against", source=path)


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that accepts connections: its port on 127.0.0.1 and its workers."""

    port: int
    pids: list[int]


@contextmanager
def running(peer: Peer, upstream_port: int, *, core: int) -> Iterator[Running]:
    """Run a peer on one core in front of ``127.0.0.1:upstream_port``. Raises PeerFailedError when it does not start."""
    port = free_port()
    with TemporaryDirectory(prefix="headgate-bench-") as name:
        directory = Path(name)
        with (directory / "output").open("wb") as output:
            command = ["taskset", "-c", str(core), *peer.command(directory, port, upstream_port)]
            environ = {**os.environ, **peer.environ()}
            process = subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_accepts(peer, process, port, directory / "output")
            yield Running(port, peer.workers(process.pid))
        finally:
            _stop(process)


def free_port() -> int:
    """Give a port of 127.0.0.1 that was free just now, below those that the system gives to outgoing connections."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise PeerFailedError("no free port from 20000 to 31999")


def _nginx() -> str | None:
    return shutil.which("nginx", path=NGINX_PATHS)


def _wait_until_it_accepts(peer: Peer, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not (_accepts(port) and peer.workers(process.pid)):
        if process.poll() is not None or time.monotonic() > deadline:
            ended = f"ended with {process.returncode}" if process.returncode is not None else "does not accept"
            raise PeerFailedError(f"{peer.name} {ended}: {output.read_text(errors='replace')[-1000:].strip()}")
        time.sleep(0.02)


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
