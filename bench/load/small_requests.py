"""Small requests on kept connections, each sent when the answer to the one before is whole: their origin and their clients.

``python -m bench.load.small_requests`` answers ``{"port": …}``, where the origin listens: to ``GET /small/<connection>-<number>`` it
answers with these words, padded to ``BODY_BYTES``, and a Content-Length. The order ``run`` has ``connections`` clients ask ``gateway``
for ``warmup_s`` and then for ``seconds``, the measured window, and answers the requests answered in the window, their latencies, and the CPU
time that ``pids`` took in it. Every answer is checked: its status, and that it is the whole answer to this very request. A connection that
the gateway closes behind an answer, saying so, is made anew.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from array import array

from bench.figures import percentile
from bench.load.orders import Message
from bench.load.poller import PATIENCE_S, Poller, accept, connect, listen, serve

from bench.machine import cpu

BODY_BYTES = 100
_LENGTH = b": %d\r\n" % BODY_BYTES
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent%b\r\n" % (b"-Length" + _LENGTH)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
LONGEST_BYTES = 4096
"""No answer is as long."""
_TURN_S = 0.2
"""How long a turn may wait: the window ends that late at worst when nothing comes any more."""


class Source:
    """One of the origin's connections."""

    __slots__ = ("_load", "_sock", "_told")

    def __init__(self, load: Load, sock: socket.socket) -> None:
        self._load = load
        self._sock = sock
        self._told = b""
        load.poller.watch(sock.fileno(), self.read)

    def read(self) -> None:
        """Answer one request."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._load.poller.close(self._sock)
            return
        self._told += data
        if self._told.endswith(b"\r\n\r\n"):
            words = self._told.split(b" ", 2)[1].rpartition(b"/")[2]
            self._told = b""
            with contextlib.suppress(ConnectionError):  # the end is read in the next turn
                self._sock.send(_HEAD + words.ljust(BODY_BYTES, b"."))


class Client:
    """One connection that asks again and again."""

    __slots__ = ("_body", "_count", "_load", "_number", "_sent_ns", "_sock", "_told")

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._number = number
        self._count = 0
        self._told = b""
        self._open()

    def _open(self) -> None:
        self._sock = connect(self._load.gateway)
        self._load.poller.watch(self._sock.fileno(), self._connected, select.EPOLLOUT)

    def _connected(self) -> None:
        self._load.poller.change(self._sock.fileno(), self.read)
        self._ask()

    def _ask(self) -> None:
        words = b"%d-%d" % (self._number, self._count)
        self._body = words.ljust(BODY_BYTES, b".")
        self._count += 1
        self._sent_ns = time.monotonic_ns()
        try:
            self._sock.send(b"GET /small/%b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (words, self._load.gateway))
        except ConnectionError as error:
            self._fail(repr(error))

    def read(self) -> None:
        """Take a piece of the answer; when it is whole, ask again."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError as error:
            self._fail(repr(error))
            return
        if not data:
            self._fail("closed")
            return
        self._told += data
        if is_whole(self._told, self._body):
            self._load.latencies_ns.append(time.monotonic_ns() - self._sent_ns)
            told, self._told = self._told, b""
            if not told.startswith(b"HTTP/1.1 200 "):
                self._fail("another status", told)
            elif b"onnection: close\r\n" in told:
                self._load.poller.close(self._sock)
                self._open()
            else:
                self._ask()
        elif len(self._told) > LONGEST_BYTES or (
            _LENGTH in self._told and len(self._told.partition(b"\r\n\r\n")[2]) >= BODY_BYTES
        ):
            self._fail("another body")

    def _fail(self, how: str, told: bytes = b"") -> None:
        self._load.poller.close(self._sock)
        self._load.fail(f"connection {self._number}, request {self._count - 1}: {how}, {told or self._told!r}"[:400])

    def close(self) -> None:
        """Leave."""
        self._load.poller.close(self._sock)


def is_whole(told: bytes, body: bytes) -> bool:
    """Say whether ``told`` is a whole answer with this body, framed by its length or as one chunk."""
    if told.endswith(body):
        return _LENGTH in told
    return told.endswith(body + _LAST_CHUNK)


class Load:
    """All connections. A client that fails asks no more."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.gateway = 0
        self.latencies_ns = array("q")
        self._problems: list[str] = []
        self._failed = 0
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        poller.watch(self._listener.fileno(), self._accept)

    def fail(self, problem: str) -> None:
        """Count a client that has failed, and keep its words, up to twenty."""
        self._failed += 1
        if len(self._problems) < 20:
            self._problems.append(problem)

    def obey(self, message: Message) -> Message:
        """Take the one order."""
        self.gateway = message["gateway"]
        clients = [Client(self, number) for number in range(message["connections"])]
        self._turn_for(message["warmup_s"], len(clients))
        self.latencies_ns = array("q")
        pids: list[int] = message["pids"]
        began_ns, cpu_ns = time.monotonic_ns(), cpu.on_cpu_ns(pids)
        self._turn_for(message["seconds"], len(clients))
        used_ns, taken_ns = cpu.on_cpu_ns(pids) - cpu_ns, time.monotonic_ns() - began_ns
        latencies = self.latencies_ns
        for client in clients:
            client.close()
        ranks = {name: percentile(latencies or [0], rank) / 1e3 for name, rank in (("p50", 50), ("p99", 99))}
        window = {"requests": len(latencies), "seconds": taken_ns / 1e9, "cpu_us": used_ns / 1e3, "latency_us": ranks}
        return {**window, "problems": self._problems}

    def _accept(self) -> None:
        while (sock := accept(self._listener)) is not None:
            Source(self, sock)

    def _turn_for(self, seconds: float, clients: int) -> None:
        began = moved = time.monotonic()
        while (now := time.monotonic()) < began + seconds and self._failed < clients:
            if self.poller.turn(_TURN_S):
                moved = now
            elif now > moved + PATIENCE_S:
                self.fail(f"nothing came for {PATIENCE_S:.0f} s")
                return


def main() -> None:
    """Serve until stdin ends."""
    poller = Poller()
    load = Load(poller)
    serve(poller, load.obey, port=load.port)


if __name__ == "__main__":
    main()
