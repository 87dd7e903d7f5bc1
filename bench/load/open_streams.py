"""Event streams opened as fast as the gateway lets them, and held open: their origin and their clients.

``python -m bench.load.open_streams BYTES`` answers ``{"port": …}``, where the origin listens: to ``GET /events/<stream>``
it sends a head and one event at once, and then nothing. Orders: ``open`` opens ``streams`` more through ``gateway``,
``at_once`` at a time at most, and answers when each has had its head and its first event: how many have, the seconds
from the first connect to the last event, and the CPU time that ``pids`` took meanwhile. ``look`` answers how many streams
have been closed by the gateway; ``close`` closes all at the clients' side, and at the
origin's what the gateway has not closed there in a second: some do not tell an upstream that its client has left.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

from bench.load.event import make_event
from bench.load.orders import Message
from bench.load.poller import Poller, accept, connect, listen, serve

from bench.machine import cpu

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"


CLOSE_WITHIN_S = 1.0


class Source:
    """The origin's end of one stream."""

    __slots__ = ("_load", "_sock", "_told")

    def __init__(self, load: Load, sock: socket.socket) -> None:
        self._load = load
        self._sock = sock
        self._told = b""
        load.poller.watch(sock.fileno(), self.read)

    def read(self) -> None:
        """Read the one request and send the one event; see the end."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            return
        self._told += data
        if self._told.endswith(b"\r\n\r\n"):
            stream = int(self._told.split(b" ", 2)[1].rpartition(b"/")[2])
            event = make_event(stream, 0, 0, self._load.size_bytes)
            with contextlib.suppress(ConnectionError):  # the end is read in the next turn
                self._sock.send(HEAD + b"%x\r\n%b\r\n" % (len(event), event))
            self._told = b""

    def close(self) -> None:
        """Leave."""
        self._load.poller.close(self._sock)
        self._load.sources.discard(self)


class Client:
    """The client's end of one stream: ``begun`` once its head and its first event are there, ``closed`` once it has ended."""

    __slots__ = ("_load", "_sock", "_stream", "_told", "begun", "closed")

    def __init__(self, load: Load, stream: int) -> None:
        self.begun = False
        self.closed = False
        self._load = load
        self._stream = stream
        self._told = b""
        self._sock = connect(load.gateway)
        try:
            self._send()
        except BlockingIOError:
            load.poller.watch(self._sock.fileno(), self._connected, select.EPOLLOUT)
        except ConnectionError as error:
            self._end(repr(error))
        else:
            load.poller.watch(self._sock.fileno(), self.read)

    def _send(self) -> None:
        head = b"GET /events/%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n"
        self._sock.send(head % (self._stream, self._load.gateway))

    def _connected(self) -> None:
        try:
            self._send()
        except BlockingIOError:
            return
        except ConnectionError as error:
            self._end(repr(error))
        else:
            self._load.poller.change(self._sock.fileno(), self.read)

    def read(self) -> None:
        """Read on: the head, the event, and then whatever a gateway says on an idle stream."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError as error:
            self._end(repr(error))
            return
        if not data:
            self._end("closed")
        elif not self.begun:
            self._told += data
            self._look()

    def _look(self) -> None:
        if make_event(self._stream, 0, 0, self._load.size_bytes) in self._told:
            if not self._told.startswith(b"HTTP/1.1 200 "):
                self._load.tell(f"stream {self._stream}: {self._told[:80]!r} in place of a status 200")
            self.begun = True
            self._told = b""
            self._load.pending -= 1
        elif b"\r\n\r\n" in self._told and not self._told.startswith(b"HTTP/1.1 200 "):
            self._end("answered")

    def _end(self, how: str) -> None:
        self.closed = True
        self._load.poller.close(self._sock)
        if not self.begun:
            self._load.pending -= 1
            self._load.tell(f"stream {self._stream}: {how} behind {self._told[:200]!r}")

    def close(self) -> None:
        """Leave."""
        self._load.poller.close(self._sock)


class Load:
    """All streams. ``sources`` are those that the origin holds, ``pending`` those that wait for their first event."""

    def __init__(self, poller: Poller, size_bytes: int) -> None:
        self.poller = poller
        self.size_bytes = size_bytes
        self.gateway = 0
        self.sources: set[Source] = set()
        self.pending = 0
        self._streams = 0
        self._problems: list[str] = []
        self._clients: list[Client] = []
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        poller.watch(self._listener.fileno(), self._accept)

    def tell(self, problem: str) -> None:
        """Keep a problem, up to twenty."""
        if len(self._problems) < 20:
            self._problems.append(problem)

    def obey(self, message: Message) -> Message:
        """Take an order of the bench."""
        match message["order"]:
            case "open":
                self.gateway = message["gateway"]
                return self._open(message["streams"], message["at_once"], message["pids"])
            case "look":
                return {"closed": sum(client.closed for client in self._clients), "problems": self._problems}
            case _:
                return self._close()

    def _accept(self) -> None:
        for _ in range(64):
            sock = accept(self._listener)
            if sock is None:
                return
            self.sources.add(source := Source(self, sock))
            source.read()  # the request is often there already, which spares a turn

    def _open(self, streams: int, at_once: int, pids: list[int]) -> Message:
        first, began_ns, cpu_ns = len(self._clients), time.monotonic_ns(), cpu.on_cpu_ns(pids)
        moved = True
        for _ in range(streams):
            self.pending += 1
            self._clients.append(Client(self, self._streams))
            self._streams += 1
            if self.pending >= at_once:
                moved = self.poller.turn_until(lambda: self.pending < at_once)
                if not moved:
                    break
        if moved:
            self.poller.turn_until(lambda: self.pending == 0)
        used_ns, taken_ns = cpu.on_cpu_ns(pids) - cpu_ns, time.monotonic_ns() - began_ns
        begun = sum(client.begun for client in self._clients[first:])
        return {"begun": begun, "seconds": taken_ns / 1e9, "cpu_us": used_ns / 1e3, "problems": self._problems}

    def _close(self) -> Message:
        for client in self._clients:
            client.close()
        self._clients.clear()
        self.pending = 0
        self.poller.turn_until(lambda: not self.sources, before_s=CLOSE_WITHIN_S)
        left = list(self.sources)
        for source in left:
            source.close()
        return {"left": len(left)}


def main(size_bytes: int) -> None:
    """Serve until stdin ends."""
    poller = Poller()
    load = Load(poller, size_bytes)
    serve(poller, load.obey, port=load.port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
