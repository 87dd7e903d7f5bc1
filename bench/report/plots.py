"""Which plots a run has, and what stands in each; :mod:`bench.report.drawing` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Spread
from bench.report.table import DIRECT
from bench.results import Results


@dataclass(frozen=True, slots=True)
class Panel:
    """One case's part of a plot: of each figure the spread of each peer that has one, by peer and figure."""

    case: str
    title: str
    values: dict[str, dict[str, Spread]]


@dataclass(frozen=True, slots=True)
class Plot:
    """``name`` is the file's, ``kind`` one of "grouped", "ranges" and "bars"; ``unit`` divides the figures."""

    name: str
    title: str
    kind: str
    axis: str
    panels: Sequence[Panel]
    unit: float = 1.0


RANGES = {"latency_p50_us": "p50", "latency_p99_us": "p99", "latency_p999_us": "p99.9"}


def plots(results: Results) -> list[Plot]:
    """Give the plots that the run has figures for."""
    cost = _panels(results, {name: (f"{name}: {{}}", ("cpu_us_per_event",)) for name in "abcde"})
    late = _panels(results, {name: (f"{name}: {{}}", tuple(RANGES)) for name in "abcd"})
    memory = _panels(results, {"f": ("", ("memory_bytes_per_stream",))})
    rates = _panels(
        results,
        {
            "g": ("new streams/s (case g)", ("streams_per_s",)),
            "h": ("small GETs/s (case h)", ("requests_per_s",)),
            "k": ("events/s at saturation (case k)", ("events_per_s",)),
        },
    )
    found = [
        Plot("cpu-per-event", "CPU per event", "grouped", "µs per event", cost),
        Plot("latency", "Event in → event out: p50, p99 and p99.9", "ranges", "ms, logarithmic", late, 1000),
        Plot("memory-per-stream", "Resident memory per idle stream", "bars", "KiB", memory, 1024),
        Plot("rates", "What one core does in a second", "bars", "thousands per second", rates, 1000),
    ]
    return [plot for plot in found if plot.panels]


def _panels(results: Results, wanted: dict[str, tuple[str, Sequence[str]]]) -> list[Panel]:
    """Make a panel of each case that was measured; ``{}`` in its title becomes the case's."""
    panels = []
    for name, (title, figures) in wanted.items():
        case = results.case(name)
        if case is None:
            continue
        values = {peer: {one: case.spread(peer, one) for one in figures} for peer in case.runs}
        whole = {
            peer: {one: spread for one, spread in each.items() if spread is not None} for peer, each in values.items()
        }
        present = {peer: each for peer, each in whole.items() if len(each) == len(figures)}
        if present:
            panels.append(Panel(name, title.format(case.title), present))
    return panels


def peers(plot: Plot) -> list[str]:
    """Give the peers of a plot in the order of the first panel, ``direct`` last."""
    names = list(dict.fromkeys(peer for panel in plot.panels for peer in panel.values))
    return sorted(names, key=lambda name: name == DIRECT)
