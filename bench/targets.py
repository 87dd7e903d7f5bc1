"""What headgate has to reach beside its peers, as data, and whether a run of the bench reached it.

One worker on one core, with the plugin ``sse``, access log, metrics and keep-alive on. A target is reached when the median over the
rounds is on the right side of its limit; whether that is the lower or the upper one the figure's metric knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.figures import Spread
from bench.metrics import METRICS
from bench.results import Results, compare


@dataclass(frozen=True, slots=True)
class Side:
    """A peer in a case."""

    case: str
    peer: str


@dataclass(frozen=True, slots=True)
class Target:
    """A limit to a figure of ``ours``, or to its ratio to that of ``theirs``."""

    figure: str
    limit: float
    ours: Side
    theirs: Side | None = None

    @property
    def at_least(self) -> bool:
        """Say whether the limit is the lower one."""
        return METRICS[self.figure].more_is_better

    @property
    def words(self) -> str:
        """Say what is limited, in words."""
        title = f"{METRICS[self.figure].title}, {self.ours.peer}"
        if self.theirs is None:
            return title
        where = "" if self.theirs.case == self.ours.case else f" in case {self.theirs.case}"
        return f"{title} ÷ {self.theirs.peer}{where}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a target; ``measured`` is None where the run has not what it takes.

    ``remark`` says where CPU times were compared in place of a rate that the load had limited.
    """

    target: Target
    measured: Spread | None
    remark: str = ""

    @property
    def reached(self) -> bool | None:
        """Say whether it was reached; None where it was not measured."""
        if self.measured is None:
            return None
        median, limit = self.measured.median, self.target.limit
        return median >= limit if self.target.at_least else median <= limit

    @property
    def words(self) -> str:
        """Say it in words, and by how much of the limit it was missed."""
        if self.measured is None:
            return "not measured"
        missed = f"missed by {abs(self.measured.median / self.target.limit - 1) * 100:.1f} %"
        return ("reached" if self.reached else missed) + (f"; {self.remark}" if self.remark else "")


BUSY_PERCENT = 95
"""A gateway whose core is less busy than this was not at its limit: its load was."""
COST_OF = {
    "events_per_s": "cpu_us_per_event",
    "streams_per_s": "cpu_us_per_stream",
    "requests_per_s": "cpu_us_per_request",
}
"""What is compared in place of a rate that the load limited: its inverse at a busy core."""


def _beside(peer: str, figure: str, limit: float, *cases: str, ours: str = "headgate") -> list[Target]:
    return [Target(figure, limit, Side(case, ours), Side(case, peer)) for case in cases]


TARGETS: tuple[Target, ...] = (
    *_beside("nginx", "cpu_us_per_event", 1.05, "a", "c", "d"),
    *_beside("envoy", "cpu_us_per_event", 0.8, "a", "c", "d"),
    *_beside("caddy", "cpu_us_per_event", 1.0, "a"),
    *_beside("caddy", "cpu_us_per_event", 0.85, "c", "d"),
    *_beside("nginx", "cpu_us_per_event", 1.15, "b"),
    *_beside("nginx", "latency_p50_us", 1.2, "a", "c"),
    *_beside("nginx", "latency_p99_us", 1.2, "a", "c"),
    *_beside("nginx", "events_per_s", 1.0, "k"),
    Target("cpu_us_per_event", 1.5, Side("e", "headgate"), Side("a", "headgate")),
    Target("memory_bytes_per_stream", 8192, Side("f", "headgate")),
    *_beside("nginx", "memory_bytes_per_stream", 1.0, "f"),
    *_beside("nginx", "streams_per_s", 0.5, "g"),
    *_beside("caddy", "streams_per_s", 1.0, "g"),
    *_beside("nginx", "requests_per_s", 0.4, "h"),
    *_beside("aiohttp", "requests_per_s", 2.0, "h"),
    *_beside("nginx", "download_bytes_per_cpu_s", 0.8, "i-download"),
    *_beside("nginx", "upload_bytes_per_cpu_s", 0.8, "i-upload"),
    Target("cpu_us_per_event", 1.03, Side("l", "headgate-10000-routes"), Side("l", "headgate")),
    *_beside("nginx", "cpu_us_per_event", 1.4, "m", ours="headgate-events"),
    Target("worker_start_s", 0.5, Side("start", "headgate")),
)


def evaluate(results: Results) -> list[Verdict]:
    """Give the verdict on each target, in their order."""
    return [_judge(results, target) for target in TARGETS]


def _judge(results: Results, target: Target) -> Verdict:
    ours, theirs = target.ours, target.theirs
    values = results.by_round(ours.case, ours.peer, target.figure)
    if theirs is None:
        return Verdict(target, Spread.of(list(values.values())) if values else None)
    cost = COST_OF.get(target.figure)
    idle = [side for side in (ours, theirs) if _busy(results, side) < BUSY_PERCENT] if cost else []
    if cost and idle:
        # The cost is the inverse of the rate, and so is the ratio.
        compared = compare(*(results.by_round(side.case, side.peer, cost) for side in (theirs, ours)))
        if compared is not None:
            share = ", ".join(f"{side.peer} {_busy(results, side):.0f} %" for side in idle)
            return Verdict(target, compared, f"by CPU time, as the load did not fill the core: {share}")
    return Verdict(target, compare(values, results.by_round(theirs.case, theirs.peer, target.figure)))


def _busy(results: Results, side: Side) -> float:
    """Give the median share of its core that a peer used; 100 where nobody knows."""
    values = results.by_round(side.case, side.peer, "busy_percent")
    return Spread.of(list(values.values())).median if values else 100.0
