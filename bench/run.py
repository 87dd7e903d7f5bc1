"""The run: case by case, round by round, every peer one after the other; what disturbs a round disturbs all of it.

The order of the peers alternates from round to round. A peer that fails is told and the run goes on. What was measured is saved after each run,
so that an interrupted bench keeps what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import SubprocessError

from bench.cases import Case
from bench.load.orders import LoadFailedError
from bench.measures.measure import Cores, Measure
from bench.peers.peer import Peer, PeerFailedError
from bench.report.words import figures_in_words, one_line
from bench.results import CaseResult, Run

FAILURES = (PeerFailedError, LoadFailedError, OSError, RuntimeError, SubprocessError)
"""What a peer, a load process or ``perf`` may fail with; anything else is a mistake in the bench, and ends it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A case as it will be measured: with these sizes and these peers."""

    case: Case
    measure: Measure
    peers: Sequence[Peer]
    run_s: float


def plan(
    cases: Iterable[Case],
    peers: Mapping[str, Peer],
    only: Sequence[str] | None = None,
    *,
    full: bool,
    beside: Sequence[str] = (),
) -> list[Step]:
    """Give the steps of a run; a case without a brief measure has its full one in the short form.

    ``peers`` are those that can be measured, ``only`` the names that were asked for (None: the cases' own), ``beside`` names that
    take part as well.
    """
    steps = []
    for case in cases:
        brief = not full and case.brief is not None
        names = [*case.takes(only, full=full), *case.takes(beside, full=full)]
        here = [peers[name] for name in dict.fromkeys(names) if name in peers]
        measure = case.brief if brief and case.brief is not None else case.measure
        if here:
            steps.append(Step(case, measure, here, case.brief_run_s if brief else case.run_s))
    return steps


def expected_s(steps: Iterable[Step], rounds: int) -> float:
    """Give how long the steps will take, by how long their runs took before."""
    return sum(step.run_s * len(step.peers) for step in steps) * rounds


def measure(
    step: Step, cores: Cores, rounds: int, result: CaseResult, tell: Callable[[str], None], keep: Callable[[], None]
) -> None:
    """Measure a case into ``result``, with a line to ``tell`` and a call of ``keep`` for each run."""
    for peer in step.peers:
        result.runs[peer.name] = []
    for number in range(1, rounds + 1):
        for peer in step.peers if number % 2 else reversed(step.peers):
            run = _run(step, peer, cores, number)
            result.runs[peer.name].append(run)
            tell(f"{step.case.name}, round {number}, {peer.name}: {_told(run)}")
            keep()


def blank(step: Step) -> CaseResult:
    """Give a case's result before its first run."""
    return CaseResult(step.case.name, step.case.title, repr(step.measure), step.case.base, step.case.note)


def _run(step: Step, peer: Peer, cores: Cores, number: int) -> Run:
    try:
        outcome = step.measure.run(peer, cores)
    except FAILURES as error:
        return Run(number, failed=f"{type(error).__name__}: {error}")
    return Run(number, dict(outcome.figures), tuple(outcome.problems))


def _told(run: Run) -> str:
    if run.failed:
        return one_line(run.failed)
    return figures_in_words(run.figures) + (f"; INVALID: {run.problems[0]}" if run.problems else "")
