"""Streams at a fixed rate: what an event costs the gateway, and how long it takes from in to out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.load.orders import LoadProcess, Message
from bench.machine.instructions import InstructionCount, available
from bench.measures.measure import Cores, Outcome
from bench.peers.peer import Peer, PeerFailedError, Running, running

from bench.machine import cpu

CONNECT_WITHIN_S = 120.0
FINISH_WITHIN_S = 60.0
COUNT_S = 1.5
"""For how long instructions are counted at most."""


@dataclass(frozen=True, slots=True)
class PacedLoad:
    """``streams`` of ``rate`` events per second and ``size_bytes`` each, for ``seconds`` after ``warmup_s``.

    Latency is from right before the origin's ``send`` to right after the client's ``recv``, of all events that came in
    the window. It is the gateway's as far as the load was in time: ``lag_p99_ms`` and ``worst_lag_ms`` say how late the load's
    loop was, which both sends and reads, and ``load_busy_percent`` how near its core was to its limit (at most: a short wait is counted as work). Where the gateway does not hold the rate,
    ``events_per_s`` is less than ``streams`` x ``rate``.

    User instructions are counted in a window of their own behind the measured one: on a virtual machine ``perf`` adds half as
    much again to the CPU time of an event, and holds up both cores for more than 100 ms when it begins.
    """

    streams: int
    rate: float
    size_bytes: int
    seconds: float
    warmup_s: float

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Load a peer once. Raises PeerFailedError, or LoadFailedError when the load process fails."""
        with connected(peer, cores, streams=self.streams, size_bytes=self.size_bytes) as (load, gateway):
            load.ask("pace", rate=self.rate, spin=may_spin(cores))
            time.sleep(self.warmup_s)
            figures, window = measure_window(load, gateway, cores, self.seconds)
            ranks = load.ask("ranks")
            instructions = _instructions_per_event(load, gateway, cores, min(self.seconds, COUNT_S))
            problems = finish(load)
        if instructions is not None:
            figures["user_instructions_per_event"] = instructions
        if window["events"]:
            figures |= {f"latency_{name}_us": ranks["latency_us"][name] for name in ("p50", "p99", "p999")}
            figures["lag_p99_ms"] = ranks["lag_us"]["p99"] / 1e3
            figures["worst_lag_ms"] = ranks["lag_us"]["worst"] / 1e3
        else:
            problems.append("no event passed in the measured window")
        return Outcome(figures, problems)


@contextmanager
def connected(peer: Peer, cores: Cores, *, streams: int, size_bytes: int) -> Iterator[tuple[LoadProcess, Running]]:
    """Run a peer between both ends of the load, every stream open and its first event received. Raises PeerFailedError."""
    with (
        LoadProcess("bench.load.events", streams, size_bytes, core=cores.load) as load,
        running(peer, load.answer()["port"], core=cores.gateway) as gateway,
    ):
        load.tell("connect", port=gateway.port)
        ready = load.answer(CONNECT_WITHIN_S)
        if ready["begun"] != streams:
            told = f"{ready['begun']} of {streams} streams had a first event in time"
            raise PeerFailedError(f"{peer.name}: {told}; {ready['problems']}")
        yield load, gateway


def may_spin(cores: Cores) -> bool:
    """Say whether the load may wait by spinning, which it may not on the gateway's own core.

    A virtual machine's core that sleeps takes 10 µs and more to wake up, which each latency would hold, and the gateway
    pays for the interrupt that wakes it.
    """
    return cores.load != cores.gateway


def measure_window(
    load: LoadProcess, gateway: Running, cores: Cores, seconds: float
) -> tuple[dict[str, float], Message]:
    """Open a window for ``seconds``; give the figures of rate, CPU and disturbance, and what the load itself says of it.

    Without workers, that is without a gateway, there are no figures of the gateway's CPU.
    """
    ours: dict[int, list[int]] = {cores.gateway: list(gateway.all_pids)}
    ours.setdefault(cores.load, []).extend([load.pid, os.getpid()])
    load.ask("begin", pids=gateway.all_pids)
    before = {core: _taken_by_others_s(core, pids) for core, pids in ours.items()}
    time.sleep(seconds)
    others_s = max(_taken_by_others_s(core, pids) - before[core] for core, pids in ours.items())
    window = load.ask("end")
    lasted_us = window["seconds"] * 1e6
    figures = {
        "events_per_s": window["events"] / window["seconds"],
        "load_busy_percent": window["load_us"] / lasted_us * 100,
        "others_percent": max(others_s, 0.0) / window["seconds"] * 100,
    }
    if gateway.pids:
        figures["cpu_us_per_event"] = window["cpu_us"] / max(window["events"], 1)
        figures["busy_percent"] = window["cpu_us"] / lasted_us * 100
    return figures, window


def finish(load: LoadProcess) -> list[str]:
    """End every stream; give what went wrong with any event, in words."""
    load.tell("finish")
    problems: list[str] = load.answer(FINISH_WITHIN_S)["problems"]
    return problems


def _taken_by_others_s(core: int, ours: list[int]) -> float:
    return cpu.busy_s(core) - cpu.on_cpu_ns(ours) / 1e9


def _instructions_per_event(load: LoadProcess, gateway: Running, cores: Cores, seconds: float) -> float | None:
    if not gateway.pids or not available():
        return None
    with InstructionCount(gateway.all_pids, core=cores.load) as count:
        count.begin()
        before = load.ask("count")["events"]
        time.sleep(seconds)
        events = load.ask("count")["events"] - before
        instructions = count.end()
    return None if instructions is None else instructions / max(events, 1)
