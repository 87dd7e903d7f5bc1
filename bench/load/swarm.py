"""The clients of the load: so many connections, each reading one stream and checking every event of it.

``python -m bench.load.swarm PORT STREAMS BYTES`` answers ``{"begun": STREAMS}`` once every stream has had an event. Orders:
``begin`` opens the measured window and notes the CPU time of ``pids``; ``end`` closes it and answers what was received
in it, the latencies and the CPU time used; ``finish`` waits for the proper end of every stream and answers the counts.
The CPU time is read here, in the same turn of the loop as the count, so that both windows are one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from array import array
from typing import cast

import httptools
import uvloop
from bench.figures import percentile
from bench.load.event import EventCheck
from bench.load.orders import Message, answer, on_order

from bench.machine import cpu

AT_ONCE = 50  # connections being opened at a time: below every listen backlog
PATIENCE_S = 20.0


class Client(asyncio.Protocol):
    """One connection and its stream."""

    __slots__ = ("_now_ns", "_parser", "_swarm", "check", "complete", "ended", "has_begun", "stream")

    def __init__(self, swarm: Swarm, stream: int) -> None:
        self.stream = stream
        self.check = EventCheck(stream, swarm.size_bytes)
        self.has_begun = False
        self.complete = False
        self.ended = False
        self._swarm = swarm
        self._parser = httptools.HttpResponseParser(self)
        self._now_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        host = b"Host: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n" % self._swarm.port
        cast("asyncio.Transport", transport).write(b"GET /events/%d HTTP/1.1\r\n%s\r\n" % (self.stream, host))

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._now_ns = time.monotonic_ns()
        self._swarm.bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.check.problems.append(f"stream {self.stream}: {error!r}")

    def on_headers_complete(self) -> None:
        """Check the status (httptools' callback)."""
        status = self._parser.get_status_code()
        if status != 200:
            self.check.problems.append(f"stream {self.stream}: status {status}")

    def on_body(self, body: bytes) -> None:
        """Check the events (httptools' callback)."""
        self.check.feed(body, self._now_ns, self._swarm.latencies_ns)
        if not self.has_begun:
            self.has_begun = True
            self._swarm.count_begun()

    def on_message_complete(self) -> None:
        """See the proper end (httptools' callback)."""
        self.check.finish()
        self.complete = True
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """See the connection's end."""
        if not self.complete:
            self.check.problems.append(f"stream {self.stream}: the connection ended first: {exc!r}")
        self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._swarm.count_ended()


class Swarm:
    """All clients and the measured window."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, port: int, streams: int, size_bytes: int) -> None:
        self.port = port
        self.size_bytes = size_bytes
        self.bytes = 0
        self._begun = 0
        self._all_begun = asyncio.Event()
        self._ended = 0
        self._all_ended = asyncio.Event()
        self.latencies_ns = array("q")
        self._loop = loop
        self._clients = [Client(self, stream) for stream in range(streams)]
        self._pids: list[int] = []
        self._mark = (0, 0, 0.0)

    async def connect(self) -> None:
        """Open all connections and wait until every stream has had an event, or patience ends; answers how many have."""
        for first in range(0, len(self._clients), AT_ONCE):
            some = self._clients[first : first + AT_ONCE]
            await asyncio.gather(*(self._loop.create_connection(lambda c=c: c, "127.0.0.1", self.port) for c in some))  # type: ignore[misc]  # mypy does not infer a lambda's default
        await self._wait(self._all_begun)
        answer(begun=self._begun, problems=self._problems())

    def count_begun(self) -> None:
        """One more stream has had its first event."""
        self._begun += 1
        if self._begun == len(self._clients):
            self._all_begun.set()

    def count_ended(self) -> None:
        """One more stream has ended, in whatever way."""
        self._ended += 1
        if self._ended == len(self._clients):
            self._all_ended.set()

    def obey(self, message: Message) -> None:
        """Take an order of the bench."""
        match message["order"]:
            case "begin":
                self._pids = message["pids"]
                self._begin()
                answer(ok=True)
            case "end":
                answer(**self._window())
            case "finish":
                self._finishing = self._loop.create_task(self._finish())

    def _begin(self) -> None:
        self.latencies_ns = array("q")
        self.bytes = 0
        self._mark = (time.monotonic_ns(), cpu.on_cpu_ns(self._pids), cpu.ticks_s(self._pids))

    def _window(self) -> Message:
        began_ns, cpu_ns, ticks_s = self._mark
        used_ns = cpu.on_cpu_ns(self._pids) - cpu_ns
        used_ticks_s = cpu.ticks_s(self._pids) - ticks_s
        window_ns = time.monotonic_ns() - began_ns
        latencies, self.latencies_ns = self.latencies_ns, array("q")
        return {
            "events": len(latencies),
            "bytes": self.bytes,
            "seconds": window_ns / 1e9,
            "cpu_us": used_ns / 1e3,
            "ticks_us": used_ticks_s * 1e6,
            "latency_us": {name: percentile(latencies or [0], rank) / 1e3 for name, rank in (("p50", 50), ("p99", 99))},
        }

    async def _finish(self) -> None:
        await self._wait(self._all_ended)
        received = {client.stream: client.check.received for client in self._clients}
        complete = sum(client.complete for client in self._clients)
        answer(received=received, complete=complete, problems=self._problems())

    async def _wait(self, event: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):  # what is missing is counted and told by the caller
            await asyncio.wait_for(event.wait(), PATIENCE_S)

    def _problems(self) -> list[str]:
        return [problem for client in self._clients for problem in client.check.problems][:20]


def main(port: int, streams: int, size_bytes: int) -> None:
    """Connect, then take orders until stdin ends."""
    loop = uvloop.new_event_loop()
    swarm = Swarm(loop, port=port, streams=streams, size_bytes=size_bytes)
    on_order(loop, swarm.obey)
    loop.run_until_complete(swarm.connect())
    loop.run_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
