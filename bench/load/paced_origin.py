"""The origin of the load: ``GET /events/<stream>`` gives a chunked event stream of so many events per second.

``python -m bench.load.paced_origin RATE BYTES`` answers ``{"port": …}``. A stream has its first event at once and the others
from the order ``start`` on, so that connecting is not slowed by the load; ``begin`` starts the measure of the lag;
``finish`` ends every stream properly and answers how many events each one had. The streams' turns are spread evenly over the period of 1/RATE seconds in steps of
a millisecond, as independent sources would be; a turn that comes late is made up for, at most a period in one turn of the loop, and the
worst lag is reported.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import cast

import uvloop
from bench.load.event import make_event
from bench.load.orders import Message, answer, on_order

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"


class Source(asyncio.Protocol):
    """One connection, on which one stream is sent."""

    __slots__ = ("_chunk_head", "_load", "_size", "head", "sent", "stream", "transport")

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.head = b""
        self.stream = -1
        self.sent = 0
        self._load = load
        self._size = load.size_bytes
        self._chunk_head = b"%x\r\n" % load.size_bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio's callback)."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by isinstance

    def data_received(self, data: bytes) -> None:
        """Read the one request and take a place in the load."""
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.stream = int(self.head.split(b" ", 2)[1].rpartition(b"/")[2])
            self.head = b""
            self.transport.write(HEAD)
            self._load.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the load."""
        del exc
        self._load.remove(self)

    def send(self) -> None:
        """Send the next event, stamped now, as one chunk."""
        event = make_event(self.stream, self.sent, time.monotonic_ns(), self._size)
        self.transport.write(self._chunk_head + event + b"\r\n")
        self.sent += 1


class Load:
    """All streams and their turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, rate: float, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.worst_lag_s = 0.0
        self._loop = loop
        turns = max(int(1000 / rate), 1)
        self._tick_s = 1 / rate / turns
        self._places: list[list[Source]] = [[] for _ in range(turns)]
        self._sent: dict[int, int] = {}
        self._turn = 0
        self._started_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, source: Source) -> None:
        """Send a stream's first event and give it its place in the period."""
        source.send()
        self._places[source.stream * 7 % len(self._places)].append(source)

    def remove(self, source: Source) -> None:
        """Forget a stream whose connection has gone."""
        place = self._places[source.stream * 7 % len(self._places)]
        if source in place:
            place.remove(source)
            self._sent[source.stream] = source.sent

    def finish(self) -> None:
        """End every stream with its last chunk and answer what was sent."""
        if self._timer is not None:
            self._timer.cancel()
        for source in [source for place in self._places for source in place]:
            source.transport.write(b"0\r\n\r\n")
            self.remove(source)
        answer(sent=self._sent, worst_lag_ms=self.worst_lag_s * 1000)

    def obey(self, message: Message) -> None:
        """Take an order of the bench."""
        match message["order"]:
            case "start":
                self._started_at = self._loop.time()
                self._send_due()
                answer(ok=True)
            case "begin":
                self.worst_lag_s = 0.0
                answer(ok=True)
            case "finish":
                self.finish()

    def _send_due(self) -> None:
        due = (self._loop.time() - self._started_at) / self._tick_s
        self.worst_lag_s = max(self.worst_lag_s, (due - self._turn) * self._tick_s)
        # Without the bound an overloaded origin would send for ever longer and never read a request again.
        until = min(due, self._turn + len(self._places))
        while self._turn <= until:
            for source in self._places[self._turn % len(self._places)]:
                source.send()
            self._turn += 1
        self._timer = self._loop.call_at(self._started_at + self._turn * self._tick_s, self._send_due)


def main(rate: float, size_bytes: int) -> None:
    """Serve until stdin ends."""
    loop = uvloop.new_event_loop()
    load = Load(loop, rate=rate, size_bytes=size_bytes)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    loop.run_until_complete(loop.create_server(lambda: Source(load), sock=listener, backlog=4096))
    answer(port=listener.getsockname()[1])
    on_order(loop, load.obey)
    loop.run_forever()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
