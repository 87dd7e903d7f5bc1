"""One command shows headgate at work, and leaves nothing running behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.client import Client
from tests.system.marked_processes import Mark

REPOSITORY = Path(__file__).parents[2]
HEADGATE = [sys.executable, "-m", "headgate", "demo"]
VENV = os.path.relpath(sys.prefix, REPOSITORY)  # make cannot take a space in a name, which the checkout's own may have
MAKE = ["make", "--no-print-directory", "-C", str(REPOSITORY), f"VENV={VENV}"]
MAKE += ["--old-file", f"{VENV}/.installed", "demo"]  # what runs the tests is installed: nothing to install again
WAIT_S = 60.0
FOREIGN = {"HEADGATE_WORKERS": "nonsense", "HEADGATE_LISTEN": "192.0.2.1:1", "HEADGATE_ADMIN_KEYS": "[{}]"}
"""Settings of some other headgate on the machine, none of which would start."""


def free_ports() -> dict[str, str]:
    """Give three free ports by the demo's variables."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    names = ("DEMO_ECHO_PORT", "DEMO_PROXY_PORT", "DEMO_ADMIN_PORT")
    ports = {name: str(one.getsockname()[1]) for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return ports


class Demo:
    """The running demo, for a ``with`` block; at its end nothing of it may be left. ``shown`` is what it has printed."""

    def __init__(self, command: Sequence[str], directory: Path, ports: dict[str, str]) -> None:
        self.shown = ""
        self._mark = Mark()
        self._ports = ports
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **FOREIGN, **ports, "DEMO_DATA_DIR": str(directory / "demo"), **self._mark.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._mark.wait_none_left()
        finally:
            for pid in self._mark.processes():
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()
        if kind is None:
            assert "Traceback" not in self.shown, self.shown

    @property
    def processes(self) -> list[int]:
        """The processes that it consists of."""
        return list(self._mark.processes())

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            waited_for = f"waited for {what}; it has shown:\n{self.shown}"
            assert self._process.poll() is None, f"it has ended; {waited_for}"
            assert time.monotonic() < deadline, waited_for
            time.sleep(0.02)

    def wait_shown(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed something, and give the match."""
        self.wait_for(lambda: re.search(pattern, self.shown, re.MULTILINE) is not None, pattern)
        match = re.search(pattern, self.shown, re.MULTILINE)
        assert match is not None
        return match

    def wait_ready(self) -> None:
        """Wait until it says what to try."""
        self.wait_shown("^What passes is shown here until Ctrl-C")

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def wait_ended(self) -> int:
        """Wait for its end and all that it had to say; give the exit status."""
        status = self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return status

    def stop(self, number: int, *, group: bool = False) -> int:
        """Send a signal, to all in the foreground as a terminal does or to the one process; give the exit status."""
        (os.killpg if group else os.kill)(self.pid, number)
        return self.wait_ended()

    def url(self, variable: str) -> str:
        """Give the address of one of the three."""
        return f"http://127.0.0.1:{self._ports[variable]}"

    def watch_a_stream(self) -> None:
        """Open the stream that the demo names, see its events come, and see each of them shown."""
        with Client(int(self._ports["DEMO_PROXY_PORT"])) as client:
            client.get("/.sse", (b"Accept", b"text/event-stream"))
            assert client.read_head().status == 200
            events = [client.read_event().data for _ in range(4)]
            assert b"\ndata: X-Forwarded-Host: 127.0.0.1\n" in events[1]
            names = [event.split(b"\n")[0] for event in events]
            assert names == [b"event: server", b"event: request", b"event: time", b"event: time"]
        self.wait_shown(r"^stream 1 opens  GET /\.sse -> \S+ 200$")
        for number, name in enumerate(("server", "request", "time", "time"), 1):
            self.wait_shown(rf"^stream 1 event  id {number}  {name}  \S")
        self.wait_shown(r"^stream 1 ended  client_gone: \d events, \d+ bytes")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.shown += line


@pytest.mark.parametrize("command", [HEADGATE, MAKE], ids=["headgate demo", "make demo"])
def test_a_stream_through_it_is_shown_event_by_event(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "headgate.yaml").write_text("this: is some other headgate's\n")
    with Demo(command, tmp_path, ports := free_ports()) as demo:
        demo.wait_ready()
        proxy, admin = demo.url("DEMO_PROXY_PORT"), demo.url("DEMO_ADMIN_PORT")
        assert f"curl -N {proxy}/.sse -H 'Accept: text/event-stream'" in demo.shown
        demo.watch_a_stream()
        with urllib.request.urlopen(f"{admin}/apisix/admin/routes/demo", timeout=WAIT_S) as answer:
            nodes = json.load(answer)["value"]["upstream"]["nodes"]
        assert nodes == {f"127.0.0.1:{ports['DEMO_ECHO_PORT']}": 1}
        status = demo.stop(signal.SIGINT, group=True)
        # Ctrl-C reaches make as well, which says so in its own way.
        assert status == 0 if command is HEADGATE else status in {0, 2, 130, -signal.SIGINT}


def test_every_line_to_try_works(tmp_path: Path) -> None:
    with Demo(HEADGATE, tmp_path, free_ports()) as demo:
        demo.wait_ready()
        lines = re.findall(r"^  (curl .*?)(?:  +#.*)?$", demo.shown, re.MULTILINE)
        assert len(lines) == 5
        for line in lines[1:]:
            done = subprocess.run(
                ["sh", "-c", f"{line} -sS --fail"], capture_output=True, text=True, timeout=WAIT_S, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), line
        assert demo.stop(signal.SIGINT) == 0


@pytest.mark.slow
def test_twice_in_a_row_with_the_same_ports_and_directory(tmp_path: Path) -> None:
    ports = free_ports()
    for _ in range(2):
        with Demo(HEADGATE, tmp_path, ports) as demo:
            demo.wait_ready()
            demo.watch_a_stream()
            assert demo.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_with_a_stream_open_ends_everything(tmp_path: Path, number: int) -> None:
    ports = free_ports()
    with Demo(HEADGATE, tmp_path, ports) as demo:
        demo.wait_ready()
        with Client(int(ports["DEMO_PROXY_PORT"])) as client:
            client.get("/.sse")
            client.read_head()
            client.read_event()
            assert demo.stop(number) == 0
            assert not client.read_rest().endswith(b"0\r\n\r\n")


def test_a_signal_before_it_is_ready_ends_everything(tmp_path: Path) -> None:
    with Demo(HEADGATE, tmp_path, free_ports()) as demo:
        demo.wait_for(lambda: len(demo.processes) >= 2, "the first process of its own")
        assert demo.stop(signal.SIGINT) == 0
        assert "What passes" not in demo.shown


def test_an_impatient_second_signal_keeps_nothing_running(tmp_path: Path) -> None:
    with Demo(HEADGATE, tmp_path, free_ports()) as demo:
        demo.wait_ready()
        for _ in range(5):
            os.kill(demo.pid, signal.SIGINT)
        assert demo.stop(signal.SIGINT) == 0


def test_it_needs_nothing_that_only_root_may(tmp_path: Path) -> None:
    without_privileges = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    with Demo([*without_privileges, *HEADGATE], tmp_path, free_ports()) as demo:
        demo.wait_ready()
        for pid in demo.processes:
            assert "\nCapEff:\t0000000000000000\n" in Path(f"/proc/{pid}/status").read_text()
        demo.watch_a_stream()
        assert demo.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DEMO_ECHO_PORT", None, "move the echo upstream with DEMO_ECHO_PORT"),
        ("DEMO_PROXY_PORT", None, "move the proxy with DEMO_PROXY_PORT"),
        ("DEMO_ADMIN_PORT", None, "move the Admin API with DEMO_ADMIN_PORT"),
        ("DEMO_PROXY_PORT", "http", "DEMO_PROXY_PORT=http is no port"),
        ("DEMO_ADMIN_PORT", "65536", "DEMO_ADMIN_PORT=65536 is no port"),
        ("DEMO_ECHO_PORT", "0", "DEMO_ECHO_PORT=0 is no port"),
    ],
)
def test_a_port_that_cannot_be_used_is_said_with_its_variable(
    tmp_path: Path, variable: str, value: str | None, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {**free_ports(), variable: value or str(taken.getsockname()[1])}
        with Demo(HEADGATE, tmp_path, ports) as demo:
            assert demo.wait_ended() == 1
            assert said in demo.shown
            assert demo.shown.count("\n") == 1, demo.shown
            assert value is not None or f"port {ports[variable]} is taken" in demo.shown
