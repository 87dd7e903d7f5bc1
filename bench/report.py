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
from bench.idle import IdleFigures
from bench.load import LoadFigures, Shape
from bench.peers import Peer

from bench import cpu

Rounds = Mapping[str, Sequence[LoadFigures]]
Idles = Mapping[str, IdleFigures]

LOADED = {
    "CPU µs per event": "cpu_us_per_event",
    "event in → out, load, p50 µs": "latency_p50_us",
    "event in → out, load, p99 µs": "latency_p99_us",
    "taken by other processes, %": "others_percent",
}
IDLE = {"event in → out, idle, µs": "event_us", "client gone → upstream told, µs": "client_gone_us"}


def table(rounds: Rounds, idles: Idles) -> str:
    """Give the figures as text: medians, spreads in brackets, ratios by round against what they are measured by."""
    pairs = [
        (a, b) for a, b in (("headgate", "nginx"), ("bare", "nginx"), ("headgate", "bare")) if {a, b} <= set(rounds)
    ]
    lines = [["", *rounds, *(f"{ours} ÷ {theirs}" for ours, theirs in pairs)]]
    for title, field in LOADED.items():
        values = {name: [getattr(one, field) for one in figures] for name, figures in rounds.items()}
        cells = [_spread(Spread.of(values[name]), 2 if "CPU" in title else 0) for name in rounds]
        lines.append([title, *cells, *(_ratio(values[a], values[b]) for a, b in pairs)])
    for title, field in IDLE.items():
        single = {name: getattr(figures, field) for name, figures in idles.items()}
        cells = [f"{single[name]:.0f}" for name in rounds]
        lines.append([title, *cells, *(f"{single[a] / single[b]:.2f}" for a, b in pairs)])
    return _align(lines)


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
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return _spread(ratio(ours, theirs), 2) if min(theirs) > 0 else ""


def _align(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in row).rstrip() for row in rows)
