"""Starting and stopping the upstreams."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.client import Client
from tests.echo.upstream import running
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from headgate.echo.server import Style, serve

PROGRAM = """
import asyncio, sys
from headgate.echo.server import serve
asyncio.run(serve(sys.argv[1], "127.0.0.1", 0, interval_s=0.05))
"""


@contextlib.contextmanager
def process(style: Style) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start an upstream as a program of its own; give it and its port."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, style]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            assert line.startswith("Echo server listening on port "), line
            yield started, int(line.rstrip(".\n").rpartition(" ")[2])
        finally:
            started.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("style", "path"), [("echo", "/.sse"), ("clock", "/events/")])
def test_signal_cuts_open_streams_and_ends_the_process_in_order(
    style: Style, path: str, number: signal.Signals
) -> None:
    with process(style) as (started, port), Client(port) as client, Client(port) as idle:
        idle.get("/")
        idle.read_response()
        client.get(path)
        client.read_head()
        client.read_event()
        asked = time.monotonic()
        started.send_signal(number)
        _, complaints = started.communicate(timeout=30)
        assert time.monotonic() - asked < 1
        assert (started.returncode, complaints) == (0, "")
        assert not client.read_rest().endswith(b"0\r\n\r\n")
        idle.read_end()


def test_cancelling_ends_streams_and_websockets() -> None:
    with contextlib.ExitStack() as stack:
        with running("echo") as upstream:
            client = stack.enter_context(Client(upstream.port))
            client.get("/.sse")
            client.read_head()
            websocket = stack.enter_context(connect(f"ws://127.0.0.1:{upstream.port}/"))
            websocket.recv()
        assert not client.read_rest().endswith(b"0\r\n\r\n")
        with pytest.raises(ConnectionClosedError):
            websocket.recv()
        with pytest.raises(ConnectionRefusedError):
            Client(upstream.port)


def test_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(serve("echo", "127.0.0.1", taken.getsockname()[1], log=lambda _: None))
