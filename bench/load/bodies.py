"""Large bodies, down or up, on a few connections at once: their origin and their clients.

``python -m bench.load.bodies`` answers ``{"port": …}``, where the origin listens: ``GET /<bytes>`` is answered with a body of
so many bytes, ``POST`` with the number of the bytes that came and were right. The order ``run`` has ``connections`` clients move ``bytes``
in all through ``gateway``, ``download`` or ``upload``, and answers how many came right, the seconds, and the CPU time that ``pids`` took. Every byte is
compared with the pattern, whose period is a prime: a piece that is lost, doubled or moved does not fit.
"""

from __future__ import annotations

import random
import select
import socket
import time
from typing import Any

import httptools
from bench.load.orders import Message
from bench.load.poller import Poller, accept, connect, listen, serve

from bench.machine import cpu

PERIOD_BYTES = 65_521
PIECE_BYTES = 262_144
"""What is given to a socket in one call, and read in one."""
_PATTERN = random.Random(1).randbytes(PERIOD_BYTES) * (PIECE_BYTES // PERIOD_BYTES + 2)
_VIEW = memoryview(_PATTERN)


def pattern(at: int, size_bytes: int) -> memoryview:
    """Give what a body has from the byte ``at`` on, ``PIECE_BYTES`` at most."""
    at %= PERIOD_BYTES
    return _VIEW[at : at + min(size_bytes, PIECE_BYTES)]


class BodyCheck:
    """Compares a body with the pattern: ``right`` counts its bytes up to the first that is wrong, ``wrong`` says that there is one."""

    __slots__ = ("right", "wrong")

    def __init__(self) -> None:
        self.right = 0
        self.wrong = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, ``PIECE_BYTES`` at most."""
        if _PATTERN.startswith(piece, self.right % PERIOD_BYTES) and not self.wrong:
            self.right += len(piece)
        else:
            self.wrong = True


class End:
    """One end of one connection: sends a head, a body, or both, and parses what comes with ``parser``."""

    __slots__ = ("_head", "_left", "_parser", "_sent", "check", "load", "sock")

    def __init__(self, load: Load, sock: socket.socket, parser: Any, *, mask: int = select.EPOLLIN) -> None:
        self.check = BodyCheck()
        self.load = load
        self.sock = sock
        self._parser = parser(self)
        self._head = b""
        self._left = 0
        self._sent = 0
        load.poller.watch(sock.fileno(), self.turn, mask)

    def send(self, head: bytes, body_bytes: int) -> None:
        """Send a head, and so many bytes of the pattern."""
        self._head, self._left, self._sent = head, body_bytes, 0
        self.load.poller.change(self.sock.fileno(), self.turn, select.EPOLLIN | select.EPOLLOUT)

    def turn(self) -> None:
        """Read what is there, send what there is room for."""
        try:
            data = self.sock.recv(PIECE_BYTES)
        except BlockingIOError:
            self._write()
            return
        except ConnectionError as error:
            self.lost(repr(error))
            return
        if not data:
            self.lost("closed")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.lost(repr(error))

    def _write(self) -> None:
        try:
            while self._head:
                self._head = self._head[self.sock.send(self._head) :]
            while self._left:
                count = self.sock.send(pattern(self._sent, self._left))
                self._sent += count
                self._left -= count
        except BlockingIOError:
            return
        except ConnectionError as error:
            self.lost(repr(error))
            return
        self.load.poller.change(self.sock.fileno(), self.turn)

    def on_body(self, body: bytes) -> None:
        """Check a piece (httptools' callback)."""
        self.check.feed(body)

    def lost(self, how: str) -> None:
        """See the connection's end."""
        raise NotImplementedError


class Source(End):
    """The origin's end."""

    __slots__ = ("_target",)

    def __init__(self, load: Load, sock: socket.socket) -> None:
        super().__init__(load, sock, httptools.HttpRequestParser)
        self._target = b""

    def on_url(self, target: bytes) -> None:
        """Keep the target (httptools' callback)."""
        self._target += target

    def on_message_complete(self) -> None:
        """Answer (httptools' callback)."""
        target, self._target, check, self.check = self._target, b"", self.check, BodyCheck()
        fields = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
        if self._parser.get_method() == b"GET":
            size = int(target[1:])
            self.send(fields % size, size)
        else:
            told = b"wrong" if check.wrong else b"%d" % check.right
            self.send(fields % len(told) + told, 0)

    def lost(self, how: str) -> None:
        """Forget it: what is missing shows at the client's end."""
        del how
        self.load.poller.close(self.sock)


class Client(End):
    """The client's end: ``done`` once its answer is whole or cannot become so, ``moved`` the bytes that came right."""

    __slots__ = ("_answer", "_number", "_size", "_up", "done", "moved")

    def __init__(self, load: Load, number: int, size_bytes: int, *, up: bool) -> None:
        super().__init__(load, connect(load.gateway), httptools.HttpResponseParser, mask=0)
        self.done = False
        self.moved = 0
        self._answer = b""
        self._number = number
        self._size = size_bytes
        self._up = up
        host = b"Host: 127.0.0.1:%d\r\n" % load.gateway
        if up:
            length = b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n" % size_bytes
            self.send(b"POST /up HTTP/1.1\r\n%b%b\r\n" % (host, length), size_bytes)
        else:
            self.send(b"GET /%d HTTP/1.1\r\n%b\r\n" % (size_bytes, host), 0)

    def on_body(self, body: bytes) -> None:
        """Check a piece, or keep the answer to an upload (httptools' callback)."""
        if self._up:
            self._answer += body
        else:
            self.check.feed(body)

    def on_message_complete(self) -> None:
        """See the proper end (httptools' callback)."""
        status = self._parser.get_status_code()
        if status != 200:
            self.lost(f"status {status}")
            return
        if self._up:
            self.moved = int(self._answer) if self._answer.isdigit() else 0
        else:
            self.moved = self.check.right
        if self.check.wrong or self.moved != self._size:
            self.lost(f"{self.moved} of {self._size} bytes came right {self._answer!r}")
        else:
            self._finish()

    def lost(self, how: str) -> None:
        """See another end than the proper one."""
        if not self.done:
            self.load.problems.append(f"connection {self._number}: {how}, {self.check.right} bytes came right")
            self._finish()

    def _finish(self) -> None:
        self.done = True
        self.load.poller.close(self.sock)


class Load:
    """All connections."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.gateway = 0
        self.problems: list[str] = []
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        poller.watch(self._listener.fileno(), self._accept)

    def obey(self, message: Message) -> Message:
        """Take the one order."""
        self.gateway = message["gateway"]
        pids: list[int] = message["pids"]
        count = message["connections"]
        share, rest = divmod(message["bytes"], count)
        began_ns, cpu_ns = time.monotonic_ns(), cpu.on_cpu_ns(pids)
        up = message["direction"] == "upload"
        clients = [Client(self, number, share + (number < rest), up=up) for number in range(count)]
        if not self.poller.turn_until(lambda: all(client.done for client in clients)):
            for client in clients:
                client.lost("not done in time")
        used_ns, taken_ns = cpu.on_cpu_ns(pids) - cpu_ns, time.monotonic_ns() - began_ns
        moved = sum(client.moved for client in clients)
        return {"bytes": moved, "seconds": taken_ns / 1e9, "cpu_us": used_ns / 1e3, "problems": self.problems[:20]}

    def _accept(self) -> None:
        while (sock := accept(self._listener)) is not None:
            Source(self, sock)


def main() -> None:
    """Serve until stdin ends."""
    poller = Poller()
    load = Load(poller)
    serve(poller, load.obey, port=load.port)


if __name__ == "__main__":
    main()
