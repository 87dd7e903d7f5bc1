"""How soon an upstream knows that its client has left, in each phase that a request and its stream go through.

The news is the close of the upstream connection, seen from the origin. While the gateway is still connecting there is no
connection to be seen: there it is the moment at which the gateway's process has as few descriptors as before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum

from bench.load.event import make_event

PAUSE_S = 0.01
PATIENCE_S = 10.0
NEWS_WITHIN_S = 6.0
"""How long the upstream waits to be told: more than the five seconds after which some gateways give up connecting."""
PHASE_S = 3.0
"""How long the tries of one phase may take in all; the first is made in any case."""
FULL_S = 0.1
"""An upstream that could send nothing for so long is blocked, and so is the client at the other end."""
BUFFER_BYTES = 16_384
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Phase(StrEnum):
    """Where a client may be when it leaves."""

    CONNECTING = "connecting"
    BEFORE_FIRST_BYTE = "before the first byte"
    BETWEEN_EVENTS = "between events"
    MID_EVENT = "mid-event"
    BLOCKED = "client blocked"

    @property
    def metric(self) -> str:
        """The word of this phase's figure in :data:`bench.metrics.METRICS`."""
        return f"gone_{self.name.lower()}_us"


class Leaver:
    """Opens streams through the gateway on ``port`` to ``listener``, one at a time, and leaves them.

    ``pids`` are the gateway's workers. Raises TimeoutError when something does not come within ``PATIENCE_S``.
    """

    def __init__(self, listener: socket.socket, port: int, pids: Sequence[int], size_bytes: int) -> None:
        self._listener = listener
        self._port = port
        self._pids = pids
        self._size = size_bytes

    def median_us(self, phase: Phase, tries: int) -> float:
        """Give the median of a phase in microseconds; the gateway has served a stream before."""
        return statistics.median(self._times_ns(phase, tries)) / 1e3

    def _times_ns(self, phase: Phase, tries: int) -> list[int]:
        if phase is not Phase.CONNECTING:
            return _try_often(lambda: self._leave(phase), tries)
        with self._nobody_accepts():
            return _try_often(self._leave_connecting, tries)

    def open(self, *, buffer_bytes: int | None = None) -> tuple[socket.socket, socket.socket]:
        """Ask through the gateway; give the client's end and the upstream's, which has read the request."""
        with ExitStack() as stack:
            client = stack.enter_context(self._ask(buffer_bytes))
            upstream = stack.enter_context(self._listener.accept()[0])
            upstream.settimeout(PATIENCE_S)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            read_to(upstream, b"\r\n\r\n")
            stack.pop_all()
        return client, upstream

    def _ask(self, buffer_bytes: int | None = None) -> socket.socket:
        client = socket.socket()
        client.settimeout(PATIENCE_S)
        if buffer_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client.connect(("127.0.0.1", self._port))
        client.sendall(
            b"GET /events/0 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n" % self._port
        )
        return client

    def _leave(self, phase: Phase) -> int:
        client, upstream = self.open(buffer_bytes=BUFFER_BYTES if phase is Phase.BLOCKED else None)
        with client, upstream:
            match phase:
                case Phase.BETWEEN_EVENTS:
                    upstream.sendall(HEAD + chunk(0, self._size))
                    read_to(client, b"x\n\n\r\n")
                case Phase.MID_EVENT:
                    upstream.sendall(HEAD + _frame(b"data: half an ev"))
                    read_to(client, b"half an ev\r\n")
                case Phase.BLOCKED:
                    self._fill(upstream)
            time.sleep(PAUSE_S)
            began_ns = time.monotonic_ns()
            client.close()
            upstream.settimeout(NEWS_WITHIN_S)
            with contextlib.suppress(ConnectionResetError):  # told by RST: as good as FIN
                upstream.recv(1)
            return time.monotonic_ns() - began_ns

    def _fill(self, upstream: socket.socket) -> None:
        """Send until every buffer on the way to a client that does not read is full."""
        upstream.sendall(HEAD)
        upstream.settimeout(FULL_S)
        with contextlib.suppress(TimeoutError):
            while True:
                upstream.sendall(chunk(0, self._size) * 100)
        upstream.settimeout(PATIENCE_S)

    @contextlib.contextmanager
    def _nobody_accepts(self) -> Iterator[None]:
        """Have connections to the origin hear nothing: its queue is full, and the system drops what comes."""
        self._listener.listen(0)
        with ExitStack() as stack:
            for _ in range(8):
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(self._listener.getsockname())
            yield
        self._listener.listen(4096)
        drop_waiting(self._listener)

    def _leave_connecting(self) -> int:
        base = self._resting_descriptors()
        with self._ask() as client:
            self._wait_descriptors(base + 2, PATIENCE_S)
            time.sleep(PAUSE_S)
            began_ns = time.monotonic_ns()
            client.close()
            self._wait_descriptors(base, NEWS_WITHIN_S)
            return time.monotonic_ns() - began_ns

    def _descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self._pids)  # noqa: PTH208 -- a third of iterdir's time

    def _resting_descriptors(self) -> int:
        """Give their number when the connections before have been closed."""
        count, before = self._descriptors(), -1
        while count != before:
            time.sleep(PAUSE_S)
            count, before = self._descriptors(), count
        return count

    def _wait_descriptors(self, count: int, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self._descriptors() != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._descriptors()} descriptors for {within_s} s, where {count} were awaited")


def _try_often(attempt: Callable[[], int], tries: int) -> list[int]:
    """Give what ``attempt`` gives, ``tries`` times or as often as ``PHASE_S`` allows."""
    deadline = time.monotonic() + PHASE_S
    taken = [attempt()]
    while len(taken) < tries and time.monotonic() < deadline:
        taken.append(attempt())
    return taken


def drop_waiting(listener: socket.socket) -> None:
    """Close what waits to be accepted, such as a start-up probe's connection."""
    listener.setblocking(False)
    try:
        while True:
            listener.accept()[0].close()
    except BlockingIOError:
        listener.settimeout(PATIENCE_S)


def chunk(number: int, size_bytes: int) -> bytes:
    """Give event ``number``, stamped now, as one chunk."""
    return _frame(make_event(0, number, time.monotonic_ns(), size_bytes))


def _frame(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def read_to(sock: socket.socket, end: bytes) -> None:
    """Read until ``end`` has come. Raises ConnectionError when the peer closes first."""
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed behind {data!r}")
        data += piece
