"""How long an idle gateway takes: an event's way through it, and the news that a client has left.

One connection at a time, blocking sockets for origin and client in one process, a pause before each try so that the
gateway sleeps in its poll. Times are CLOCK_MONOTONIC, from just before the one call to just after the other returned.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from dataclasses import dataclass

from bench.event import make_event
from bench.peers import Peer, running

PAUSE_S = 0.01
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class IdleFigures:
    """Medians over the tries, in microseconds."""

    event_us: float
    client_gone_us: float


def run_idle(peer: Peer, *, core: int, tries: int = 50, size_bytes: int = 200) -> IdleFigures:
    """Measure a peer. Raises PeerFailedError, or TimeoutError when something does not come within 10 s."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running(peer, listener.getsockname()[1], core=core) as gateway,
    ):
        listener.settimeout(10)
        _drop_waiting(listener)
        events = _time_events(listener, gateway.port, tries, size_bytes)
        leaving = [_time_leaving(listener, gateway.port, size_bytes) for _ in range(tries)]
    return IdleFigures(statistics.median(events) / 1e3, statistics.median(leaving) / 1e3)


def _drop_waiting(listener: socket.socket) -> None:
    """Close what a start-up probe may have opened through the peer."""
    listener.setblocking(False)
    try:
        while True:
            listener.accept()[0].close()
    except BlockingIOError:
        listener.settimeout(10)


def _open(listener: socket.socket, port: int, size_bytes: int) -> tuple[socket.socket, socket.socket]:
    """Start a stream through the gateway and give its two ends, the first event read."""
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(b"GET /events/0 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n" % port)
    upstream, _ = listener.accept()
    upstream.settimeout(10)
    upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _read_to(upstream, b"\r\n\r\n")
    upstream.sendall(HEAD + _chunk(0, size_bytes))
    _read_to(client, b"x\n\n\r\n")
    return client, upstream


def _time_events(listener: socket.socket, port: int, tries: int, size_bytes: int) -> list[int]:
    client, upstream = _open(listener, port, size_bytes)
    taken = []
    with client, upstream:
        for number in range(1, tries + 1):
            chunk = _chunk(number, size_bytes)
            time.sleep(PAUSE_S)
            began_ns = time.monotonic_ns()
            upstream.sendall(chunk)
            _read_to(client, b"x\n\n\r\n")
            taken.append(time.monotonic_ns() - began_ns)
    return taken


def _time_leaving(listener: socket.socket, port: int, size_bytes: int) -> int:
    client, upstream = _open(listener, port, size_bytes)
    with upstream:
        time.sleep(PAUSE_S)
        began_ns = time.monotonic_ns()
        client.close()
        with contextlib.suppress(ConnectionResetError):  # told by RST: as good as FIN
            upstream.recv(1)
        return time.monotonic_ns() - began_ns


def _chunk(number: int, size_bytes: int) -> bytes:
    event = make_event(0, number, time.monotonic_ns(), size_bytes)
    return b"%x\r\n%b\r\n" % (len(event), event)


def _read_to(sock: socket.socket, end: bytes) -> None:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed behind {data!r}")
        data += piece
