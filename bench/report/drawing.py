"""The plots as SVG (or PNG), by matplotlib, of the extra ``bench``.

White ground, so that they can be read on a dark page too; text stays text; the same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from bench.figures import Spread
from bench.report.plots import RANGES, Panel, Plot, peers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headgate",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
}
COLOURS = {
    "headgate": "#d1495b",
    "nginx": "#2a6f97",
    "haproxy": "#61a5c2",
    "caddy": "#7a9e4c",
    "envoy": "#9a6fb0",
    "aiohttp": "#d9a441",
    "starlette": "#b5803a",
    "bare": "#777777",
    "direct": "#bbbbbb",
}
OTHER = "#444444"
WIDE = 9.0
ROW = 0.28


def draw(plot: Plot, directory: Path, kind: str = "svg") -> Path:
    """Draw a plot into ``directory`` and give its path."""
    with mpl.rc_context(STYLE):
        figure = {"grouped": _grouped, "ranges": _ranges, "bars": _bars}[plot.kind](plot)
        figure.suptitle(plot.title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        path = directory / f"{plot.name}.{kind}"
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(path, format=kind, metadata=metadata, facecolor="white", dpi=110)
    if kind == "svg":
        path.write_text("\n".join(line.rstrip() for line in path.read_text("utf-8").splitlines()) + "\n", "utf-8")
    return path


def _grouped(plot: Plot) -> Figure:
    figure = Figure(figsize=(WIDE, 3.8), layout="constrained")
    axes = figure.subplots()
    names = peers(plot)
    width = 0.85 / len(names)
    for peer in names:
        pairs = [
            (_place(panel, at, peer, width), panel.values[peer])
            for at, panel in enumerate(plot.panels)
            if peer in panel.values
        ]
        where = [place for place, _ in pairs]
        spreads = [next(iter(values.values())) for _, values in pairs]
        heights = [one.median / plot.unit for one in spreads]
        axes.bar(where, heights, width * 0.92, color=_colour(peer), label=peer)
        axes.errorbar(where, heights, _whiskers(spreads, plot.unit), fmt="none", ecolor="#333333", elinewidth=0.8)
    axes.set_xticks(range(len(plot.panels)), [fill(panel.title, 20) for panel in plot.panels], fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(plot.axis)
    axes.grid(axis="y")
    figure.legend(loc="outside right center")
    return figure


def _place(panel: Panel, at: int, peer: str, width: float) -> float:
    """Give where a peer's bar stands: those that a panel has stand side by side around its middle."""
    present = list(panel.values)
    return at + (present.index(peer) - (len(present) - 1) / 2) * width


def _ranges(plot: Plot) -> Figure:
    def show(axes: Axes, panel: Panel, names: list[str]) -> None:
        for row, peer in enumerate(names):
            points = [panel.values[peer][figure].median / plot.unit for figure in RANGES]
            axes.plot(points, [row] * len(points), color=_colour(peer), linewidth=1.5, alpha=0.6)
            for point, marker in zip(points, "o|D", strict=True):
                axes.plot(point, row, marker=marker, color=_colour(peer), markersize=9 if marker == "|" else 5, mew=2)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(axis="x", which="major")

    figure = _rows(plot, show)
    figure.axes[0].plot([], [], "o", color=OTHER, markersize=5, label="p50")
    figure.axes[0].plot([], [], "|", color=OTHER, markersize=9, mew=2, label="p99")
    figure.axes[0].plot([], [], "D", color=OTHER, markersize=5, label="p99.9")
    figure.legend(loc="outside upper right", ncols=3)
    return figure


def _bars(plot: Plot) -> Figure:
    def show(axes: Axes, panel: Panel, names: list[str]) -> None:
        spreads = [next(iter(panel.values[peer].values())) for peer in names]
        lengths = [one.median / plot.unit for one in spreads]
        axes.barh(range(len(names)), lengths, 0.7, color=[_colour(peer) for peer in names])
        axes.errorbar(
            lengths, range(len(names)), xerr=_whiskers(spreads, plot.unit), fmt="none", ecolor="#333333", elinewidth=0.8
        )
        for row, (length, one) in enumerate(zip(lengths, spreads, strict=True)):
            at = (max(length, one.high / plot.unit), row)
            axes.annotate(f"{length:,.1f}", at, (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.margins(x=0.15)
        axes.set_xlim(left=0)
        axes.grid(axis="x")

    return _rows(plot, show)


def _rows(plot: Plot, show: Callable[[Axes, Panel, list[str]], None]) -> Figure:
    """Make one panel beside the other, each with a line for each of its peers."""
    columns = min(len(plot.panels), 3 if plot.kind == "bars" else 2)
    lines = -(-len(plot.panels) // columns)
    tall = max(len(panel.values) for panel in plot.panels)
    figure = Figure(figsize=(WIDE, lines * (tall * ROW + 0.9) + 0.3), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=plot.kind == "ranges").ravel()
    for axes, panel in zip(grid, plot.panels, strict=False):
        names = [peer for peer in peers(plot) if peer in panel.values]
        show(axes, panel, names)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_title(panel.title, loc="left")
        axes.set_xlabel(plot.axis)
        axes.tick_params(axis="x", labelbottom=True)
    for axes in grid[len(plot.panels) :]:
        axes.remove()
    return figure


def _whiskers(spreads: list[Spread], unit: float) -> list[list[float]]:
    below = [(one.median - one.low) / unit for one in spreads]
    return [below, [(one.high - one.median) / unit for one in spreads]]


def _colour(peer: str) -> str:
    return COLOURS.get(peer, OTHER)
