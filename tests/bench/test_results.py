from __future__ import annotations

from pathlib import Path

import pytest
from bench.figures import Spread
from bench.results import Run, compare, load
from tests.bench.made import case, results, runs

WRONG = Run(2, {"events_per_s": 99.0, "others_percent": 40.0}, ("stream 1: 5 events sent, 4 received",))
FAILED = Run(3, failed="PeerFailedError: it ended with 7")


def test_only_valid_runs_are_counted() -> None:
    one = case("a", {"headgate": [*runs("events_per_s", 10), WRONG, FAILED]})
    assert one.by_round("headgate", "events_per_s") == {1: 10}
    assert one.spread("headgate", "events_per_s") == Spread(10, 10, 10)
    assert one.figures() == ["events_per_s"]


def test_what_was_not_measured_has_no_spread() -> None:
    one = case("a", {"headgate": [FAILED]})
    assert (one.spread("headgate", "events_per_s"), one.spread("nginx", "events_per_s")) == (None, None)
    assert results(one).by_round("b", "headgate", "events_per_s") == {}


def test_ratios_are_taken_over_the_rounds_that_both_have() -> None:
    assert compare({1: 10, 2: 30, 3: 20}, {1: 10, 3: 40, 4: 1}) == Spread(median=0.75, low=0.5, high=1.0)
    assert compare({1: 10}, {2: 10}) is None
    assert compare({1: 10}, {1: 0}) is None


def test_problems_and_failures_are_told_with_case_peer_and_round() -> None:
    whole = results(case("a", {"headgate": [*runs("events_per_s", 10), WRONG], "nginx": [FAILED]}))
    assert whole.wrong() == ["a, headgate, round 2: stream 1: 5 events sent, 4 received"]
    assert whole.failed() == ["a, nginx, round 3: PeerFailedError: it ended with 7"]


def test_the_worst_of_a_figure_is_that_of_all_runs_the_invalid_ones_too() -> None:
    whole = results(case("a", {"headgate": [WRONG], "nginx": runs("others_percent", 3, 1)}))
    assert (whole.worst("others_percent"), whole.worst("events_per_s"), whole.worst("start_s")) == (40, 99, 0)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    told = {"caddy": "Caddy is not installed: …"}
    one = case("a", {"headgate": [*runs("cpu_us_per_event", 1.5), WRONG, FAILED]}, base="headgate", note="said")
    whole = results(one, case("f", {"nginx": runs("events_per_s", 2)}), missing=told)
    path = tmp_path / "deep" / "figures.json"
    whole.save(path)
    assert load(path) == whole
    assert [kept.name for kept in path.parent.iterdir()] == ["figures.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cases": [{}]}', '{"cases": [], "form": "full"}'])
def test_a_file_that_holds_something_else_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"holds no results of the bench|Expecting value"):
        load(path)
