"""``headgate demo``: an upstream, a gateway before it, a route written through the Admin API, and each event as it passes.

Both run as processes of their own, as they would in earnest, and end with the demo. Ports and the data directory come
from the environment; nothing that is set up for another headgate on this machine (``HEADGATE_…``, ``headgate.yaml``)
is used or touched.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headgate.cli.demo_screen import Screen

START_S = 20.0
"""How long the two processes may take to accept connections."""
STOP_S = 8.0
ECHO_VARIABLE = "DEMO_ECHO_PORT"
PROXY_VARIABLE = "DEMO_PROXY_PORT"
ADMIN_VARIABLE = "DEMO_ADMIN_PORT"
DATA_VARIABLE = "DEMO_DATA_DIR"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """The demo cannot run; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on 127.0.0.1."""

    echo: int
    proxy: int
    admin: int

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Ports:
        """Read the ports from the environment; raises DemoError for one that is no port or is taken."""
        return cls(
            _free_port(environ, ECHO_VARIABLE, 8080, "the echo upstream"),
            _free_port(environ, PROXY_VARIABLE, 9080, "the proxy"),
            _free_port(environ, ADMIN_VARIABLE, 9180, "the Admin API"),
        )


class Demo:
    """See the module."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._ports = Ports.of(environ)
        self._data_dir = Path(environ.get(DATA_VARIABLE) or ".demo").absolute()
        self._environ = {name: value for name, value in environ.items() if not name.startswith("HEADGATE_")}
        self._environ["HEADGATE_X_FORWARDED_HOST"] = "legacy"  # the walk-through shows X-Forwarded-Host without a port
        self._environ["HEADGATE_DRAIN_WINDOW_S"] = "1"  # who ends a demo does not want to wait for its streams
        self._started: list[subprocess.Popen[str]] = []
        self._is_starting = False
        self._is_stopping = False

    def run(self) -> None:
        """Show events until SIGINT, SIGTERM or SIGHUP (the terminal was closed)."""
        try:
            for number in _STOP_SIGNALS:
                signal.signal(number, self._interrupt)
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._start("echo", "--listen", f"127.0.0.1:{self._ports.echo}", stdout=subprocess.DEVNULL)
            records = self._start_gateway()
            self._write_route()
            screen = Screen(sys.stdout)
            screen.welcome(echo=self._ports.echo, proxy=self._ports.proxy, admin=self._ports.admin)
            for record in records:
                screen.show(record)
            raise DemoError("the gateway has ended; its messages are above")
        except KeyboardInterrupt:
            print()
        finally:
            self._stop()

    def _start(self, *arguments: str, stdout: int) -> IO[str] | None:
        command = [sys.executable, "-m", "headgate", *arguments]
        self._is_starting = True
        # A session of its own: Ctrl-C reaches the demo, which ends the others in order.
        process = subprocess.Popen(  # noqa: S603 -- our own program
            command, env=self._environ, cwd=self._data_dir, stdout=stdout, text=True, start_new_session=True
        )
        self._started.append(process)
        self._is_starting = False
        if self._is_stopping:
            raise KeyboardInterrupt
        return process.stdout

    def _start_gateway(self) -> Iterator[dict[str, object]]:
        output = self._start(
            *("run", "--listen", f"127.0.0.1:{self._ports.proxy}", "--admin", f"127.0.0.1:{self._ports.admin}"),
            *("--metrics", "off", "--data-dir", str(self._data_dir / "data")),
            stdout=subprocess.PIPE,
        )
        assert output is not None
        records = _records(output)
        for record in records:
            if record.get("event") == "ready":
                self._wait_for_echo()
                return records
        raise DemoError("the gateway did not start; its messages are above")

    def _wait_for_echo(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._ports.echo), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or self._started[0].poll() is not None:
                    raise DemoError("the echo upstream did not start") from None
                time.sleep(0.05)
            else:
                return

    def _write_route(self) -> None:
        route = {
            "name": "demo",
            "uri": "/*",
            "plugins": {"proxy-buffering": {"disable_proxy_buffering": True}, "stream-log": {"data_bytes": 48}},
            "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{self._ports.echo}": 1}},
        }
        admin = http.client.HTTPConnection("127.0.0.1", self._ports.admin, timeout=START_S)
        admin.request("PUT", "/apisix/admin/routes/demo", json.dumps(route))
        answer = admin.getresponse()
        text = answer.read().decode()
        admin.close()
        if answer.status not in {200, 201}:
            raise DemoError(f"the Admin API refused the route: {answer.status} {text}")

    def _interrupt(self, *_: object) -> None:
        """Stop, once, and not while a process is being started that is not in the list of those to end yet."""
        is_first, self._is_stopping = not self._is_stopping, True
        if is_first and not self._is_starting:
            raise KeyboardInterrupt

    def _stop(self) -> None:
        self._is_stopping = True
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _records(output: IO[str]) -> Iterator[dict[str, object]]:
    """Give the records among the gateway's lines; what is for people is left out."""
    for line in output:
        if line.startswith("{"):
            yield json.loads(line)


def _free_port(environ: Mapping[str, str], variable: str, default: int, what: str) -> int:
    text = environ.get(variable) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise DemoError(f"{variable}={text} is no port; give a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            reason = "is taken" if error.errno == 98 else f"cannot be used ({os.strerror(error.errno or 0)})"
            raise DemoError(
                f"port {text} {reason}: move {what} with {variable}, e.g. `{variable}={int(text) + 10000} make demo`"
            ) from None
    return int(text)
