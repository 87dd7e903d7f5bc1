"""What an open, idle event stream costs: resident memory of the gateway's workers, and CPU time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.load.orders import LoadProcess
from bench.machine.memory import resident_bytes
from bench.measures.measure import Cores, Outcome
from bench.measures.others import Others
from bench.measures.storm import AT_ONCE
from bench.peers.peer import Peer, PeerFailedError, running

from bench.machine import cpu

FIRST_SHARE = 18
"""One stream in so many is open before the first reading: 500 of 9,000."""
READING_EVERY_S = 0.5
SETTLED_PERCENT = 0.2
SETTLES_WITHIN_S = 8.0


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """Opens ``streams`` event streams that have one event each, and leaves them alone for ``seconds``.

    ``memory_bytes_per_stream`` is the growth of the workers from the first 1/18 of the streams to all of them, divided by
    the streams between: code that is loaded, arenas and tables that are made at the first streams are charged to nobody,
    and as those stay open, no stream lives in memory that another one left. It is both connections of a stream in user space;
    the kernel's socket memory is the same for all peers and not in it. It is read as Pss (the sum over all processes is then what the
    machine lacks), when two readings half a second apart agree.

    ``cpu_us_per_stream_s`` is the CPU time per stream and second of the ``seconds`` after that. What a gateway does every 15 seconds,
    as headgate's keep-alive comments, is in it only if ``seconds`` is as long.
    """

    streams: int = 9000
    seconds: float = 5.0
    size_bytes: int = 200

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when no stream opens or it has no processes, LoadFailedError when the load fails."""
        first = max(self.streams // FIRST_SHARE, 1)
        with LoadProcess("bench.load.open_streams", self.size_bytes, core=cores.load) as load:
            upstream_port = load.answer()["port"]
            with running(peer, upstream_port, core=cores.gateway) as gateway:
                if not gateway.pids:
                    raise PeerFailedError(f"{peer.name} has no processes whose memory could be read")
                order = {"gateway": gateway.port, "at_once": AT_ONCE, "pids": gateway.all_pids}
                before = load.ask("open", **order, streams=first)
                base = settled_bytes(gateway.pids)
                told = load.ask("open", **order, streams=self.streams - first)
                grown = settled_bytes(gateway.pids) - base
                others = Others({cores.gateway: gateway.all_pids, cores.load: [load.pid, os.getpid()]})
                cpu_us = _cpu_us(gateway.all_pids, self.seconds)
                others_percent = others.percent()
                end = load.ask("look")
                load.ask("close")  # or a gateway that ends its streams in peace would be long in stopping
        begun = before["begun"] + told["begun"]
        if not told["begun"]:
            raise PeerFailedError(f"{peer.name}: no stream opened; {told['problems'][:3]}")
        problems = list(end["problems"])
        if begun != self.streams or end["closed"]:
            problems.append(f"{begun} of {self.streams} streams opened, {end['closed']} did not stay open")
        figures = {
            "memory_bytes_per_stream": grown / told["begun"],
            "cpu_us_per_stream_s": cpu_us / begun / self.seconds,
            "others_percent": others_percent,
        }
        return Outcome(figures, problems)


def settled_bytes(pids: Iterable[int]) -> int:
    """Give the memory of these processes when it does not change any more, or after 8 s."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    now, before = resident_bytes(pids), 0
    while abs(now - before) > now * SETTLED_PERCENT / 100 and time.monotonic() < deadline:
        time.sleep(READING_EVERY_S)
        now, before = resident_bytes(pids), now
    return now


def _cpu_us(pids: Iterable[int], seconds: float) -> float:
    before_ns = cpu.on_cpu_ns(pids)
    time.sleep(seconds)
    return (cpu.on_cpu_ns(pids) - before_ns) / 1e3
