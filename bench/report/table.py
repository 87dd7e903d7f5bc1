"""The table that a run prints and the JSON that it leaves (default ``bench/results/``)."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from bench.figures import Spread, ratio
from bench.measures.idle_way import IdleFigures
from bench.measures.leaving import Phase
from bench.measures.paced import LoadFigures, Shape
from bench.peers.peer import Peer

from bench.machine import cpu

Rounds = Mapping[str, Sequence[LoadFigures]]
Idles = Mapping[str, IdleFigures]

LOADED = {
    "CPU µs per event": "cpu_us_per_event",
    "user instructions per event": "instructions_per_event",
    "event in → out, load, p50 µs": "latency_p50_us",
    "event in → out, load, p99 µs": "latency_p99_us",
    "taken by other processes, %": "others_percent",
}
PAIRS = (
    ("headgate", "nginx"),
    ("guarded", "nginx"),
    ("plain", "nginx"),
    ("against", "nginx"),
    ("bare", "nginx"),
    ("guarded", "plain"),
    ("headgate", "plain"),
    ("headgate", "against"),
    ("guarded", "against"),
    ("plain", "against"),
    ("headgate", "bare"),
)
"""Which peers are compared where both were measured: the first ÷ the second."""


def table(rounds: Rounds, idles: Idles) -> str:
    """Give the figures as text: medians with spreads in brackets, then ratios, taken round by round where there are rounds."""
    measured = _measured(rounds, idles)
    pairs = [pair for pair in PAIRS if set(pair) <= set(rounds)]
    lines = [["", *rounds]]
    ratios = [["", *(f"{ours} ÷ {theirs}" for ours, theirs in pairs)]]
    for title, values in measured.items():
        lines.append([title, *(_spread(Spread.of(values[name]), 2 if "CPU" in title else 0) for name in rounds)])
        if "other processes" not in title:
            ratios.append([title, *(_ratio(values[a], values[b]) for a, b in pairs)])
    return _align(lines) + ("\n\n" + _align(ratios) if pairs else "")


def _measured(rounds: Rounds, idles: Idles) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Give what was measured: the values of each peer, by the row's title; without rows that some peer has no value for."""
    found: dict[str, dict[str, Sequence[float | None]]] = {
        title: {name: [getattr(one, field) for one in figures] for name, figures in rounds.items()}
        for title, field in LOADED.items()
    }
    found["event in → out, idle, µs"] = {name: [idle.event_us] for name, idle in idles.items()}
    for phase in Phase:
        title = f"client gone → upstream told, {phase.value}, µs"
        found[title] = {name: [idle.client_gone_us[phase.value]] for name, idle in idles.items()}
    rows = found.items()
    complete = {
        title: {name: [one for one in values if one is not None] for name, values in row.items()} for title, row in rows
    }
    return {title: row for title, row in complete.items() if all(row.values())}


def save(directory: Path, shape: Shape, rounds: Rounds, idles: Idles, peers: Sequence[Peer]) -> Path:
    """Write everything measured to a new JSON file in ``directory`` and give its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    document = {
        "machine": machine(),
        "versions": {peer.name: peer.version() for peer in peers},
        "shape": asdict(shape),
        "rounds": {name: [asdict(one) for one in figures] for name, figures in rounds.items()},
        "idle": {name: asdict(figures) for name, figures in idles.items()},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def machine() -> dict[str, str]:
    """Say on what the figures were made."""
    return {
        "cpu": cpu.model_name(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "uvloop": version("uvloop"),
        "httptools": version("httptools"),
    }


def _spread(spread: Spread, digits: int) -> str:
    if spread.low == spread.high:
        return f"{spread.median:.{digits}f}"
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return _spread(ratio(ours, theirs), 2) if min(theirs) > 0 else ""


def _align(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in row).rstrip() for row in rows)
