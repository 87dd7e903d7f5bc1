"""What a run of the bench gave, and the JSON file that keeps it: every figure of every round, with the machine and the versions.

A figure counts where its run was valid. Ratios are taken round by round: what a round disturbs, it disturbs on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Spread, ratio


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one peer in round ``number`` (from 1). It is valid if it ``failed`` in no words and has no ``problems``."""

    number: int
    figures: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()
    failed: str = ""

    @property
    def valid(self) -> bool:
        """Say whether the figures may be compared."""
        return not self.failed and not self.problems


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The runs of one case, by peer.

    ``load`` is the measure with its sizes, ``base`` the peer that ratios are taken to, ``note`` says what was left out.
    """

    name: str
    title: str
    load: str
    base: str = "nginx"
    note: str = ""
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def by_round(self, peer: str, figure: str) -> Mapping[int, float]:
        """Give a peer's valid values of a figure by round; empty where there are none."""
        runs = self.runs.get(peer, [])
        return {run.number: run.figures[figure] for run in runs if run.valid and figure in run.figures}

    def spread(self, peer: str, figure: str) -> Spread | None:
        """Give median, lowest and highest value, or None where there is no valid one."""
        values = self.by_round(peer, figure)
        return Spread.of(list(values.values())) if values else None

    def figures(self) -> list[str]:
        """Give the words of all figures that some valid run has, in the order in which they came."""
        found = (name for runs in self.runs.values() for run in runs if run.valid for name in run.figures)
        return list(dict.fromkeys(found))


def compare(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Give ours ÷ theirs over the rounds that both have; None where there is none."""
    rounds = [number for number in ours if theirs.get(number, 0) > 0]
    return ratio([ours[one] for one in rounds], [theirs[one] for one in rounds]) if rounds else None


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the bench.

    ``form`` is "short" or "full", ``began`` the time in UTC, ``rounds`` those that were asked for, ``missing`` the peers
    that are not installed, each with the line that installs it.
    """

    form: str
    began: str
    rounds: int
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    cases: list[CaseResult] = field(default_factory=list)

    def case(self, name: str) -> CaseResult | None:
        """Give a case by its name, or None if it was not measured."""
        return next((one for one in self.cases if one.name == name), None)

    def by_round(self, case: str, peer: str, figure: str) -> Mapping[int, float]:
        """Give what :meth:`CaseResult.by_round` gives; empty for a case that was not measured."""
        found = self.case(case)
        return {} if found is None else found.by_round(peer, figure)

    def worst(self, figure: str) -> float:
        """Give the highest value of a figure in any run, valid or not; 0 where nobody has it."""
        runs = (run for case in self.cases for runs in case.runs.values() for run in runs)
        return max((run.figures.get(figure, 0.0) for run in runs), default=0.0)

    def wrong(self) -> list[str]:
        """Give a sentence for each problem of each run that ran to its end and was not right."""
        return [f"{where}: {one}" for where, run in self._told() for one in run.problems]

    def failed(self) -> list[str]:
        """Give a sentence for each run that a peer or the load did not come through."""
        return [f"{where}: {run.failed}" for where, run in self._told() if run.failed]

    def _told(self) -> list[tuple[str, Run]]:
        each = ((case.name, peer, runs) for case in self.cases for peer, runs in case.runs.items())
        return [(f"{name}, {peer}, round {run.number}", run) for name, peer, runs in each for run in runs]

    def save(self, path: Path) -> None:
        """Write everything to a file, in place of what was there only when it is written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        new.replace(path)


def load(path: Path) -> Results:
    """Read a file that :meth:`Results.save` wrote. Raises OSError, or ValueError when it holds something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cases = [_case(one) for one in document.pop("cases")]
        return Results(**document, cases=cases)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no results of the bench: {error}") from error


def _case(document: dict[str, Any]) -> CaseResult:
    runs = {peer: [_run(one) for one in runs] for peer, runs in document.pop("runs").items()}
    return CaseResult(**document, runs=runs)


def _run(document: dict[str, Any]) -> Run:
    return Run(**{**document, "problems": tuple(document["problems"])})
