from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from subprocess import SubprocessError

import pytest
from bench.cases import Case
from bench.load.orders import LoadFailedError
from bench.measures.measure import Cores, Outcome
from bench.peers.bare import Bare
from bench.peers.peer import Peer, PeerFailedError
from bench.run import Step, blank, expected_s, measure, plan

CORES = Cores(0, 1)


class Fake(Bare):
    """A peer that is only a name."""

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(frozen=True, slots=True)
class Counting:
    """A measure whose figure is the number of runs so far; with ``raising``, a peer that fails so."""

    streams: int = 3
    raising: Mapping[str, Exception] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        assert cores == CORES
        self.seen.append(peer.name)
        if peer.name in self.raising:
            raise self.raising[peer.name]
        return Outcome({"events_per_s": float(len(self.seen))}, ["one was lost"] if peer.name == "lossy" else [])


def step(measured: Counting, *names: str) -> Step:
    case = Case("a", "title", measured, names, run_s=2, note="said")
    return Step(case, measured, [Fake(name) for name in names], 2)


def run(wanted: Step, rounds: int) -> tuple[dict[str, list[object]], list[str], int]:
    """Measure; give the runs as (figure or words), the lines told, and how often was saved."""
    result, lines, kept = blank(wanted), list[str](), list[int]()
    measure(wanted, CORES, rounds, result, lines.append, lambda: kept.append(1))
    runs: dict[str, list[object]] = {
        name: [one.failed or one.figures["events_per_s"] for one in each] for name, each in result.runs.items()
    }
    return runs, lines, len(kept)


def test_the_order_of_peers_alternates_from_round_to_round() -> None:
    measured = Counting()
    run(step(measured, "headgate", "nginx", "bare"), rounds=3)
    assert " ".join(measured.seen) == "headgate nginx bare bare nginx headgate headgate nginx bare"


def test_each_run_has_a_line_and_is_saved_at_once() -> None:
    runs, lines, kept = run(step(Counting(), "headgate", "nginx"), rounds=2)
    assert runs == {"headgate": [1, 4], "nginx": [2, 3]}
    assert lines[:2] == ["a, round 1, headgate: events/s 1", "a, round 1, nginx: events/s 2"]
    assert lines[2] == "a, round 2, nginx: events/s 3"
    assert kept == 4


@pytest.mark.parametrize(
    "error",
    [
        PeerFailedError("it ended with 7"),
        LoadFailedError("it said nothing"),
        TimeoutError("none came"),
        RuntimeError("perf did not obey"),
        SubprocessError("no"),
    ],
)
def test_a_peer_that_fails_is_told_with_its_words_and_the_run_goes_on(error: Exception) -> None:
    runs, lines, _ = run(step(Counting(raising={"nginx": error}), "headgate", "nginx"), rounds=2)
    words = f"{type(error).__name__}: {error}"
    assert runs == {"headgate": [1, 4], "nginx": [words, words]}
    assert lines[1] == f"a, round 1, nginx: {words}"


def test_an_invalid_run_is_told_in_its_line() -> None:
    _, lines, _ = run(step(Counting(), "lossy"), rounds=1)
    assert lines == ["a, round 1, lossy: events/s 1; INVALID: one was lost"]


def test_a_mistake_in_the_bench_is_no_failure_of_the_peer() -> None:
    with pytest.raises(KeyError):
        run(step(Counting(raising={"headgate": KeyError("figure")}), "headgate"), rounds=1)


def test_a_result_begins_with_what_will_be_offered() -> None:
    begun = blank(step(Counting(streams=7), "headgate"))
    assert (begun.name, begun.title, begun.note, begun.base, begun.runs) == ("a", "title", "said", "nginx", {})
    assert begun.load.startswith("Counting(streams=7, ")


def test_the_time_that_is_expected_is_that_of_all_runs() -> None:
    assert expected_s([step(Counting(), "headgate", "nginx"), step(Counting(), "bare")], rounds=3) == 18


def test_the_plan_takes_the_brief_measure_in_the_short_form_only() -> None:
    brief, whole = Counting(1), Counting(9)
    case = Case("a", "title", whole, ("headgate", "caddy"), run_s=9, brief=brief, brief_run_s=1)
    peers = {name: Fake(name) for name in ("headgate", "caddy", "against")}
    [short] = plan([case], peers, full=False)
    [full] = plan([case], peers, full=True, beside=["against"])
    assert (short.measure, short.run_s, [peer.name for peer in short.peers]) == (brief, 1, ["headgate"])
    assert (full.measure, full.run_s) == (whole, 9)
    assert [peer.name for peer in full.peers] == ["headgate", "caddy", "against"]


def test_a_case_without_peers_is_not_planned() -> None:
    case = Case("a", "title", Counting(), ("headgate",), run_s=1)
    assert plan([case], {}, full=True) == []
    assert plan([case], {"nginx": Fake("nginx")}, ["nginx"], full=True) == []
