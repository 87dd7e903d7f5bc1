"""The event load: the origin of all streams and all their clients, in one process and one loop.

``python -m bench.load.events STREAMS BYTES`` answers ``{"port": …}``, where ``GET /events/<stream>`` gives a chunked event
stream. Orders:

* ``connect`` opens the streams through ``port`` and answers how many have ``begun``, that is had the first event, which is sent at once.
* ``pace`` has each stream send ``rate`` events per second from now on; ``spin`` says whether the loop may spin meanwhile.
* ``follow`` keeps ``window`` events of each stream on their way instead: the next is sent when the client has taken one.
* ``begin`` opens a measured window and notes the CPU time of ``pids``; ``end`` closes it and answers what passed in it.
* ``count`` answers the events of all streams so far.
* ``finish`` ends every stream properly, waits until every client has seen the end, and answers what went wrong.
* ``ranks`` answers the window's latencies and the origin's own lags, by :data:`RANKS`.

Origin and clients share a process because they share a core: two processes wait for each other's time slices, which is
latency that no gateway made. The CPU time is read here, between two turns of the loop, so that both windows are one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial

from bench.figures import percentile
from bench.load.event import count_problems
from bench.load.orders import Message, answer
from bench.load.pace import Pace
from bench.load.reader import Reader
from bench.load.source import Source

from bench.machine import cpu

AT_ONCE = 50
"""Streams being opened at a time: below every listen backlog."""
PATIENCE_S = 20.0
"""For how long nothing may come before what is awaited is given up."""
SENDS, READS = 8, 16
"""How many events are sent before what has come is read, and how many connections are read before what is due is sent."""
RANKS = {"p50": 50, "p99": 99, "p999": 99.9, "worst": 100}


class EventLoad:
    """All streams, both ends, and the measured window."""

    def __init__(self, streams: int, size_bytes: int) -> None:
        self._size = size_bytes
        self._latencies_ns = array("q")
        self._readers = [Reader(stream, size_bytes, self._latencies_ns, self._took) for stream in range(streams)]
        self._sources: dict[int, Source] = {}
        self._events = 0
        self._follows = False
        self._pace: Pace | None = None
        self._spin = False
        self._idle_ns = 0
        self._idle_since_ns = 0
        self._window: tuple[Sequence[int], Sequence[int]] = ([], [])
        self._orders: list[Message] = []
        self._stopped = False
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        with contextlib.suppress(OSError):  # a system without reno keeps its own
            # Linux's bbr holds back what is sent in quick succession, which is latency that no gateway made.
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        self.port: int = self._listener.getsockname()[1]
        self._watch(self._listener.fileno(), self._accept)
        self._watch(0, self._take_orders)

    def run(self) -> None:
        """Turn until stdin ends."""
        while not self._stopped:
            self._turn(1.0)
            while self._orders:  # between two turns: an order may turn the loop itself
                self._obey(self._orders.pop(0))

    def _watch(self, fd: int, ready: Callable[[int], None]) -> None:
        self._ready[fd] = ready
        self._epoll.register(fd, select.EPOLLIN)

    def _turn(self, wait_s: float) -> None:
        sent = False
        if self._pace is not None:
            turns = len(self._pace.lags_ns)
            wait_ns = self._pace.send_due(SENDS)
            sent = len(self._pace.lags_ns) > turns
            if wait_ns and not self._spin:
                select.select([self._epoll], [], [], wait_ns / 1e9)  # to the microsecond; poll's are whole milliseconds
        spins = self._spin and (self._pace is not None or self._follows)
        ready = self._epoll.poll(0 if spins or self._pace is not None else wait_s, READS)
        for fd, mask in ready:
            self._ready[fd](mask)
        if spins:
            self._count_idle(worked=sent or bool(ready))

    def _count_idle(self, *, worked: bool) -> None:
        """Take the time of turns that found nothing to do from what the process has worked."""
        if worked:
            self._idle_since_ns = 0
            return
        now_ns = time.process_time_ns()
        if self._idle_since_ns:
            self._idle_ns += now_ns - self._idle_since_ns
        self._idle_since_ns = now_ns

    def _turn_until(self, done: Callable[[], bool]) -> None:
        """Turn until ``done``, or until no event has come for a while: what is missing is counted and told."""
        events, last = self._events, time.monotonic()
        while not done() and time.monotonic() - last < PATIENCE_S and not self._stopped:
            self._turn(0.05)
            if self._events != events:
                events, last = self._events, time.monotonic()

    def _accept(self, _mask: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        source = Source(connection, self._epoll, self._size, self._asked)
        self._ready[source.fileno()] = source.ready

    def _asked(self, source: Source) -> None:
        self._sources[source.stream] = source
        self._readers[source.stream].source = source
        source.send_event(time.monotonic_ns())

    def _took(self, stream: int, events: int) -> None:
        self._events += events
        if self._follows:
            for _ in range(events):
                self._sources[stream].send_event(time.monotonic_ns())

    def _take_orders(self, _mask: int) -> None:
        data = os.read(0, 65536)
        self._stopped = not data
        self._orders += map(json.loads, data.splitlines())  # short, and each waits for its answer: never torn

    def _obey(self, message: Message) -> None:
        match message["order"]:
            case "connect":
                self._connect(message["port"])
            case "pace":
                self._spin = message["spin"]
                self._pace = Pace(list(self._sources.values()), message["rate"], time.monotonic_ns())
                answer(ok=True)
            case "follow":
                self._spin = message["spin"]
                self._follow(message["window"])
                answer(ok=True)
            case "begin":
                self._begin(message["pids"])
                answer(ok=True)
            case "end":
                self._end()
            case "count":
                answer(events=self._events)
            case "finish":
                self._finish()
            case "ranks":
                answer(
                    **{name: _ranks(each) for name, each in zip(("latency_us", "lag_us"), self._window, strict=True)}
                )

    def _connect(self, port: int) -> None:
        for first in range(0, len(self._readers), AT_ONCE):
            some = self._readers[first : first + AT_ONCE]
            for reader in some:
                reader.open(port, self._epoll)
                self._ready[reader.fileno()] = reader.ready
            self._turn_until(partial(_all_begun, some))
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection among thousands of connections lasts milliseconds; nothing here makes cycles
        answer(begun=sum(reader.check.received > 0 for reader in self._readers), problems=self._problems())

    def _follow(self, window: int) -> None:
        self._follows = True
        for _ in range(window):
            for source in self._sources.values():
                source.send_event(time.monotonic_ns())

    def _begin(self, pids: list[int]) -> None:
        self._pids = pids
        del self._latencies_ns[:]
        if self._pace is not None:
            del self._pace.lags_ns[:]
        self._idle_ns = 0
        self._mark = (time.monotonic_ns(), cpu.on_cpu_ns(pids), cpu.ticks_s(pids), time.process_time_ns(), self._events)

    def _end(self) -> None:
        began_ns, cpu_ns, ticks_s, own_ns, events = self._mark
        answer(
            seconds=(time.monotonic_ns() - began_ns) / 1e9,
            cpu_us=(cpu.on_cpu_ns(self._pids) - cpu_ns) / 1e3,
            ticks_us=(cpu.ticks_s(self._pids) - ticks_s) * 1e6,
            load_us=(time.process_time_ns() - own_ns - self._idle_ns) / 1e3,
            events=self._events - events,
        )
        lags_ns = [] if self._pace is None else self._pace.lags_ns
        self._window = (array("q", self._latencies_ns), array("q", lags_ns))

    def _finish(self) -> None:
        self._pace = None
        self._follows = False
        for source in self._sources.values():
            source.finish()
        self._turn_until(lambda: all(reader.ended for reader in self._readers))
        sent = {stream: source.sent for stream, source in self._sources.items()}
        problems = count_problems(sent, {reader.stream: reader.check.received for reader in self._readers})
        improper = sum(not reader.complete for reader in self._readers)
        if improper:
            problems.append(f"{improper} streams did not end properly")
        answer(problems=self._problems() + problems)

    def _problems(self) -> list[str]:
        return [problem for reader in self._readers for problem in reader.check.problems][:20]


def _all_begun(readers: Sequence[Reader]) -> bool:
    return all(reader.check.received or reader.ended for reader in readers)


def _ranks(times_ns: Sequence[int]) -> dict[str, float]:
    ordered = sorted(times_ns)
    return {name: percentile(ordered, rank) / 1e3 for name, rank in RANKS.items()} if ordered else {}


def main(streams: int, size_bytes: int) -> None:
    """Answer the port, then take orders until stdin ends."""
    load = EventLoad(streams, size_bytes)
    answer(port=load.port)
    load.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
