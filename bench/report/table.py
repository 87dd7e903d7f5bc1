"""The tables of a run: of each case what every peer took and its ratio to the case's base, and the targets with their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.grid import Grid
from bench.report.words import CIRCUMSTANCES, LAG, in_order, metric, number, one_line, spread
from bench.results import CaseResult, Results, compare
from bench.targets import Verdict, evaluate

DIRECT = "direct"
"""The peer that is no gateway: what it takes the load itself takes."""
BASES = ("plain", "against")
"""Peers that ratios are taken to as well, where they are measured."""
LATENCY = ("latency_p50_us", "latency_p99_us", "latency_p999_us")


def case_grids(case: CaseResult) -> list[Grid]:
    """Give a case's tables: costs, then latencies, then what the gateway adds to the load's own; none where nothing was measured."""
    figures = in_order(case.figures())
    late = [one for one in figures if one in LATENCY or one in LAG]
    cost = [one for one in figures if one not in late]
    grids = [_grid(case, chosen) for chosen in (cost, late) if chosen]
    added = [one for one in figures if one in LATENCY and case.spread(DIRECT, one) is not None]
    return [*grids, _added(case, added)] if added else grids


def _grid(case: CaseResult, figures: Sequence[str]) -> Grid:
    """Make a row for each peer; a figure's ratios stand behind it."""
    columns = [(figure, base) for figure in figures for base in ("", *_bases(case, figure))]
    head = ["", *(f"÷ {base}" if base else metric(figure).title for figure, base in columns)]
    rows = [[peer, *(_cell(case, peer, figure, base) for figure, base in columns)] for peer in case.runs]
    return Grid(head, [row for row in rows if any(row[1:])])


def _bases(case: CaseResult, figure: str) -> list[str]:
    if figure in CIRCUMSTANCES:
        return []
    bases = dict.fromkeys((case.base, *BASES))
    return [base for base in bases if case.spread(base, figure) is not None and len(_with(case, figure)) > 1]


def _with(case: CaseResult, figure: str) -> list[str]:
    return [peer for peer in case.runs if case.spread(peer, figure) is not None]


def _cell(case: CaseResult, peer: str, figure: str, base: str) -> str:
    if not base:
        found = case.spread(peer, figure)
        return "" if found is None else spread(found, metric(figure).digits)
    compared = None if base == peer else compare(case.by_round(peer, figure), case.by_round(base, figure))
    return "" if compared is None else spread(compared, 2)


def _added(case: CaseResult, figures: Sequence[str]) -> Grid:
    """Make the table of each median less that of ``direct``."""
    rows = [[peer, *(_less_direct(case, peer, figure) for figure in figures)] for peer in case.runs if peer != DIRECT]
    return Grid(["", *(f"added: {metric(figure).title}" for figure in figures)], [row for row in rows if any(row[1:])])


def _less_direct(case: CaseResult, peer: str, figure: str) -> str:
    ours, theirs = case.spread(peer, figure), case.spread(DIRECT, figure)
    return "" if ours is None or theirs is None else number(ours.median - theirs.median, metric(figure).digits)


def target_grid(verdicts: Sequence[Verdict]) -> Grid:
    """Give the targets with what was measured; a ratio has its spread behind it."""
    return Grid(["target", "case", "limit", "measured", "verdict"], [_target_row(one) for one in verdicts], words=True)


def _target_row(verdict: Verdict) -> list[str]:
    target = verdict.target
    digits = metric(target.figure).digits if target.theirs is None else 2
    limit = f"{'≥' if target.at_least else '≤'} {number(target.limit, digits)}"
    measured = "" if verdict.measured is None else spread(verdict.measured, digits)
    return [target.words, target.ours.case, limit, measured, verdict.words]


def remarks(case: CaseResult) -> list[str]:
    """Give what must be said beside a case's tables: what is left out, which runs failed, which were invalid."""
    told = [case.note] if case.note else []
    for peer, runs in case.runs.items():
        for run in runs:
            if run.failed:
                told.append(f"{peer} failed in round {run.number}: {one_line(run.failed)}")
            elif run.problems:
                more = f", and {len(run.problems) - 1} more" if len(run.problems) > 1 else ""
                told.append(
                    f"{peer} was invalid in round {run.number} and is not counted: {one_line(run.problems[0])}{more}"
                )
    return told


def as_text(results: Results) -> str:
    """Give everything that was measured, for a terminal: cases, then the targets of these cases."""
    blocks = [_case_text(case) for case in results.cases]
    measured = {case.name for case in results.cases}
    verdicts = [one for one in evaluate(results) if one.target.ours.case in measured]
    if verdicts:
        blocks.append(target_grid(verdicts).as_text())
    return "\n\n".join(blocks)


def _case_text(case: CaseResult) -> str:
    parts = [f"{case.name}: {case.title}; median (lowest to highest)"]
    return "\n\n".join([*parts, *(grid.as_text() for grid in case_grids(case)), *remarks(case)])
