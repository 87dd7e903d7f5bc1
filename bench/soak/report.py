"""What a soak has found: the verdict, the table on the screen and the JSON that it leaves."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.report.machine import machine
from bench.soak.plan import Plan
from bench.soak.processes import ROLES, Growth, Sample

SHOWN_VIOLATIONS = 50


@dataclass(slots=True, kw_only=True)
class Findings:
    """All of it.

    ``visitors`` is the sum of their tallies, ``done`` counts disturbances, ``metrics`` are the gateway's at the end, ``open_streams`` what it
    said of ``headgate_streams_open`` over time. ``cpu_s`` is by role; ``others_percent`` the share of all cores that foreign processes took.
    """

    plan: Plan
    seconds: float = 0.0
    visitors: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    open_streams: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    growth: dict[str, Growth | None] = field(default_factory=dict)
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    stop_s: float = 0.0
    others_percent: float = 0.0
    violations: list[str] = field(default_factory=list)
    violated: int = 0

    @property
    def mean_open_streams(self) -> float:
        """How many streams were open on average, according to the gateway."""
        return sum(self.open_streams) / max(len(self.open_streams), 1)

    def violation(self, *what: str) -> None:
        """Count what must not be."""
        self.violated += len(what)
        self.violations += what


def add_tallies(tallies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what visitor processes told: numbers and counts by sum, lists one behind the other, retry times to their range."""
    total: dict[str, Any] = {}
    for tally in tallies:
        for name, value in tally.items():
            if isinstance(value, dict):
                total[name] = dict(Counter(total.get(name, {})) + Counter(value))
            else:
                total[name] = total[name] + value if name in total else value
    if total.get("retry_ms"):
        total["retry_ms"] = [min(total["retry_ms"]), max(total["retry_ms"])]
    return total


def endings(metrics: Mapping[str, float], name: str = "headgate_streams_ended_total") -> dict[str, int]:
    """Give how many streams ended for which reason, the most frequent first; without those that were none."""
    prefix = f'{name}{{ending="'
    found = {key[len(prefix) : -2]: int(value) for key, value in metrics.items() if key.startswith(prefix) and value}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def text(found: Findings) -> str:
    """Give the figures as text, violations last."""
    lines = [*_traffic(found), "", *_processes(found), ""]
    if found.violated:
        lines.append(f"VIOLATIONS: {found.violated}")
        lines += [f"  {one}" for one in found.violations[:SHOWN_VIOLATIONS]]
    else:
        lines.append("no violation")
    return "\n".join(lines)


def _traffic(found: Findings) -> list[str]:
    seen, metrics, seconds = found.visitors, found.metrics, max(found.seconds, 1.0)
    opened = metrics.get("headgate_streams_opened_total", 0)
    events = metrics.get("headgate_events_total", 0)
    rows = {
        "seconds": f"{found.seconds:.0f}",
        "streams open": f"{found.mean_open_streams:.0f} on average, {max(found.open_streams, default=0):.0f} at most",
        "streams opened": f"{opened:.0f} ({opened / seconds:.1f} per second)",
        "events relayed": f"{events:.0f} ({events / seconds:.0f} per second); {seen.get('events', 0)} checked by visitors",
        "keep-alive comments seen": str(seen.get("keepalives", 0)),
        "connections of visitors": f"{seen.get('connections', 0)}, {seen.get('resumed', 0)} with Last-Event-ID",
        "reconnects by retry": f"{seen.get('by_retry', 0)}, retry {' to '.join(map(str, seen.get('retry_ms', [])))} ms",
        "statuses": _counts(seen.get("statuses", {})),
        "streams ended, by the gateway": _counts(endings(metrics)),
        "connections ended, by visitors": _counts(seen.get("ends", {})),
        "ends announced": _counts(seen.get("announced", {})),
        "disturbances": _counts(found.done),
        "stop": f"{found.stop_s:.2f} s",
        "taken by other processes": f"{found.others_percent:.0f} % of all cores",
    }
    width = max(map(len, rows))
    return [f"{title:<{width}}  {value}" for title, value in rows.items()]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda one: -one[1])) or "none"


def _processes(found: Findings) -> list[str]:
    header = [
        "",
        "processes",
        "RSS MiB, first",
        "last",
        "% per minute",
        "PSS MiB, most",
        "descriptors",
        "CPU, % of a core",
    ]
    lines = [header]
    for role in ROLES:
        samples, growth = [one for one in found.samples if one.role == role], found.growth.get(role)
        if not samples:
            continue
        descriptors = [one.descriptors for one in samples]
        lines.append(
            [
                role,
                str(len({one.pid for one in samples})),
                f"{growth.first_kib / 1024:.1f}" if growth else "-",
                f"{growth.last_kib / 1024:.1f}" if growth else "-",
                f"{growth.percent_per_minute:+.2f}" if growth else "-",
                f"{max(one.pss_kib for one in samples) / 1024:.1f}",
                f"{min(descriptors)} to {max(descriptors)}",
                f"{found.cpu_s.get(role, 0.0) / max(found.seconds, 1.0) * 100:.1f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def save(directory: Path, found: Findings) -> Path:
    """Write everything to a new JSON file in ``directory``; give its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / time.strftime("soak-%Y%m%dT%H%M%SZ.json", time.gmtime())
    document = {"machine": machine(), **asdict(found), "endings": endings(found.metrics)}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
