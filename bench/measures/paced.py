"""One loaded run of one peer: origin, peer, clients, warm-up, measured window, and the check of every event."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bench.load.orders import LoadProcess, Message
from bench.machine.instructions import InstructionCount, available
from bench.measures.measure import Cores
from bench.peers.peer import Peer, PeerFailedError, running

from bench.machine import cpu


@dataclass(frozen=True, slots=True)
class Shape:
    """The load: streams by events per second by bytes per event, for so many seconds after the warm-up."""

    streams: int
    rate: float
    size_bytes: int
    seconds: float
    warmup_s: float


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What a run gave. The run is valid when ``problems`` is empty.

    ``instructions_per_event`` are the workers' own, outside the kernel; None where ``perf`` cannot count them.
    ``ticks_us_per_event`` is the cross-check of ``cpu_us_per_event`` by utime + stime. ``worst_lag_ms`` is how late the
    origin itself was at worst: above a few milliseconds the load, not the gateway, made the latency. ``others_percent`` is the share of
    a core, of the two the worse, that foreign processes took: a quiet machine has less than 5.
    """

    events: int
    seconds: float
    cpu_us_per_event: float
    ticks_us_per_event: float
    instructions_per_event: float | None
    latency_p50_us: float
    latency_p99_us: float
    worst_lag_ms: float
    others_percent: float
    problems: list[str]


def run_load(peer: Peer, shape: Shape, cores: Cores) -> LoadFigures:
    """Run a peer under load once. Raises PeerFailedError, or LoadFailedError when a load process fails."""
    with LoadProcess("bench.load.paced_origin", shape.rate, shape.size_bytes, core=cores.load) as origin:
        upstream_port = origin.answer()["port"]
        with (
            running(peer, upstream_port, core=cores.gateway) as gateway,
            LoadProcess("bench.load.swarm", gateway.port, shape.streams, shape.size_bytes, core=cores.load) as swarm,
            _count_instructions(gateway.pids, cores.load) as count,
        ):
            ready = swarm.answer()
            if ready["begun"] != shape.streams:
                told = f"{ready['begun']} of {shape.streams} streams had a first event in time"
                raise PeerFailedError(f"{peer.name}: {told}; {ready['problems']}")
            origin.ask("start")
            time.sleep(shape.warmup_s)
            ours = {cores.gateway: gateway.pids, cores.load: [origin.pid, swarm.pid, os.getpid()]}
            origin.ask("begin")
            if count is not None:
                count.begin()
            swarm.ask("begin", pids=gateway.pids)
            before = {core: _taken_by_others_s(core, pids) for core, pids in ours.items()}
            time.sleep(shape.seconds)
            others = [_taken_by_others_s(core, pids) - before[core] for core, pids in ours.items()]
            window = swarm.ask("end")
            instructions = count.end() if count is not None else None
            sent = origin.ask("finish")
            received = swarm.ask("finish")
        return _figures(shape, {**window, "instructions": instructions}, sent, received, max(others))


def _count_instructions(pids: list[int], core: int) -> AbstractContextManager[InstructionCount | None]:
    return InstructionCount(pids, core=core) if available() else nullcontext()


def _taken_by_others_s(core: int, ours: list[int]) -> float:
    return cpu.busy_s(core) - cpu.on_cpu_ns(ours) / 1e9


def _figures(shape: Shape, window: Message, sent: Message, received: Message, others_s: float) -> LoadFigures:
    events, instructions = window["events"], window["instructions"]
    problems = list(received["problems"]) + count_problems(sent["sent"], received["received"])
    if received["complete"] != shape.streams:
        problems.append(f"{shape.streams - received['complete']} streams did not end properly")
    return LoadFigures(
        events=events,
        seconds=window["seconds"],
        cpu_us_per_event=window["cpu_us"] / max(events, 1),
        ticks_us_per_event=window["ticks_us"] / max(events, 1),
        instructions_per_event=None if instructions is None else instructions / max(events, 1),
        latency_p50_us=window["latency_us"]["p50"],
        latency_p99_us=window["latency_us"]["p99"],
        worst_lag_ms=sent["worst_lag_ms"],
        others_percent=max(others_s, 0.0) / window["seconds"] * 100,
        problems=problems,
    )


def count_problems(sent: dict[str, int], received: dict[str, int]) -> list[str]:
    """Compare the events sent and received of each stream; give a sentence for each that differs (at most 20)."""
    streams = sorted(sent.keys() | received.keys(), key=int)
    pairs = [(stream, sent.get(stream, 0), received.get(stream, 0)) for stream in streams]
    return [f"stream {stream}: {out} events sent, {came} received" for stream, out, came in pairs if out != came][:20]
