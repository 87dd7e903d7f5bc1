"""The page ``docs/design/performance.md``: wholly made of a run's results, so that the same file gives the same page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report.grid import Grid
from bench.report.plots import Plot, plots
from bench.report.table import case_grids, remarks, target_grid
from bench.results import CaseResult, Results
from bench.targets import Verdict, evaluate

QUIET_PERCENT = 5
PAGE = "performance.md"
BESIDE = "performance"
"""The directory beside the page that holds the plots and the raw figures."""
FIGURES = "figures.json"
PEERS = {
    "headgate": "this gateway: the plugin `sse` on its routes, access log, metrics and keep-alive on",
    "guarded": "headgate with every clock and limit of `stream-guard` set",
    "plain": "headgate with the clocks and limits of the settings off",
    "against": "another checkout of headgate",
    "headgate-100-routes": "headgate with 100 routes, of which the last is asked for",
    "headgate-10000-routes": "headgate with 10,000 routes, of which the last is asked for",
    "headgate-events": "headgate with an event plugin on the route, so that the events relay runs",
    "nginx": "NGINX, `proxy_buffering off`",
    "haproxy": "HAProxy",
    "caddy": "Caddy, `flush_interval -1`",
    "envoy": "Envoy",
    "aiohttp": "an aiohttp server with an aiohttp client behind it, on uvloop",
    "starlette": "Starlette with an httpx2 client behind it, on uvicorn",
    "bare": "the smallest relay that can be written in Python on uvloop: no log, no checks, no errors",
    "direct": "no gateway: what the load takes by itself",
}
INTRODUCTION = """\
What one worker of headgate takes, beside other gateways that did the same in the same run. `make bench` measures a short form of it in
under five minutes, `make bench-full` all of it and writes this page, the plots and [the raw figures](performance/figures.json).
What a profile shows of it, and what was tried, is told in [Speed](speed.md).
"""
METHOD = """\
Each peer runs with one worker, pinned to one core with all its processes, with its access log going to a file, with nothing buffered and
connections to the origin kept alive; origin and clients run on another core. A case is measured round by round, in each round every
peer one after the other, in an order that alternates. A figure is the median over the rounds, with the lowest and the highest in
brackets. A ratio (÷) is taken within each round, and then it is the median of these: what disturbs a round disturbs both sides.
How each load works is told in `bench/measures/`, one file for each.

Everything is checked to arrive once, whole and in order; a run in which something did not is told and not counted. CPU time is what the
scheduler counts for all processes of the gateway, user and system, inside system calls too. User instructions are counted by the
processor (`perf`), in a window of their own behind the measured one; they vary less than time does. Memory is that of processes,
without the kernel's socket buffers, which are alike for all.

Latency is from just before the origin sends an event to just after the client has read it; in case h, from a request to its whole
answer. What is "added" is the median less that of `direct`, the same load without a gateway. Where the load's own lag is
large, a latency is not the gateway's alone. The targets compare whole latencies, which are what clients see.

A rate is the gateway's where its core is full. Where it is not, the load was the limit, and the target compares CPU times instead.
"""


def page(results: Results) -> str:
    """Give the page's text."""
    drawn = plots(results)
    parts = ["# Performance", INTRODUCTION.strip(), *_circumstances(results)]
    parts += ["## Targets", _reached(evaluate(results)), target_grid(evaluate(results)).as_markdown()]
    parts += [
        "## What was measured, and how",
        METHOD.strip(),
        Grid(["peer", "version"], _versions(results), words=True).as_markdown(),
    ]
    parts += [Grid(["machine", ""], list(results.machine.items()), words=True).as_markdown()]
    if drawn:
        parts += ["## Plots", *(_image(plot) for plot in drawn)]
    parts += ["## Cases", *(_case(case) for case in results.cases)]
    return "\n\n".join(parts) + "\n"


def write(results: Results, directory: Path) -> list[Path]:
    """Write page, plots and raw figures below ``directory``; give their paths. Takes matplotlib (ImportError without it)."""
    from bench.report.drawing import draw  # noqa: PLC0415 -- of an extra, which all else does without

    beside = directory / BESIDE
    beside.mkdir(parents=True, exist_ok=True)
    for old in beside.glob("*.svg"):
        old.unlink()
    (directory / PAGE).write_text(page(results), encoding="utf-8")
    results.save(beside / FIGURES)
    return [directory / PAGE, beside / FIGURES, *(draw(plot, beside) for plot in plots(results))]


def _circumstances(results: Results) -> list[str]:
    kinds = {"full": "the full form", "short": "the short form, with small sizes and few peers"}
    rounds = f"{results.rounds} round{'s' if results.rounds > 1 else ''}"
    told = [f"Measured on {results.began} UTC: {kinds[results.form]}, {rounds}."]
    others = results.worst("others_percent")
    if others > QUIET_PERCENT:
        told.append(
            f"**The machine was not quiet:** in one run other processes took {others:.0f} % of a core. What was measured with"
            f" more than {QUIET_PERCENT} % (the last column of each case's first table) is worth little, and so are its verdicts."
        )
    told += [f"Not measured: {peer}. {words}" for peer, words in results.missing.items()]
    return told


def _reached(verdicts: Sequence[Verdict]) -> str:
    measured = [one for one in verdicts if one.reached is not None]
    reached = sum(one.reached is True for one in measured)
    left = len(verdicts) - len(measured)
    told = f"{reached} of {len(measured)} targets that were measured are reached"
    return f"{told}, {left} were not measured." if left else f"{told}."


def _versions(results: Results) -> list[list[str]]:
    return [[f"`{peer}`: {PEERS.get(peer, peer)}", version] for peer, version in results.versions.items()]


def _image(plot: Plot) -> str:
    return f"![{plot.title}]({BESIDE}/{plot.name}.svg)"


def _case(case: CaseResult) -> str:
    parts = [f"### {case.name}: {case.title}", f"`{case.load}`"]
    tables = [_coded(grid).as_markdown() for grid in case_grids(case)]
    return "\n\n".join([*parts, *tables, *remarks(case)])


def _coded(grid: Grid) -> Grid:
    return Grid(grid.head, [[f"`{row[0]}`", *row[1:]] for row in grid.rows])
