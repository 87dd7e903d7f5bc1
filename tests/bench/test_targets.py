from __future__ import annotations

import pytest
from bench.cases import CASES
from bench.figures import Spread
from bench.metrics import METRICS
from bench.results import CaseResult, Run
from bench.targets import TARGETS, Side, Verdict, evaluate
from tests.bench.made import case, results, runs

ABOUT = {
    "CPU µs per event, headgate ÷ nginx": {"a": 1.05, "b": 1.15, "c": 1.05, "d": 1.05},
    "CPU µs per event, headgate ÷ envoy": {"a": 0.8, "c": 0.8, "d": 0.8},
    "CPU µs per event, headgate ÷ caddy": {"a": 1.0, "c": 0.85, "d": 0.85},
    "CPU µs per event, headgate ÷ headgate in case a": {"e": 1.5},
    "CPU µs per event, headgate-10000-routes ÷ headgate": {"l": 1.03},
    "CPU µs per event, headgate-events ÷ nginx": {"m": 1.4},
    "requests/s, headgate ÷ aiohttp": {"h": 2.0},
}


def verdict(words: str, name: str, *cases: CaseResult) -> Verdict:
    """Give the verdict on the one target with these words in this case."""
    [one] = [one for one in evaluate(results(*cases)) if one.target.words == words and one.target.ours.case == name]
    return one


@pytest.mark.parametrize("words", ABOUT)
def test_each_limit_stands_beside_its_cases(words: str) -> None:
    assert {one.ours.case: one.limit for one in TARGETS if one.words == words} == ABOUT[words]


def test_every_target_is_about_a_case_and_a_peer_of_the_full_form_and_a_figure_that_there_is() -> None:
    for target in TARGETS:
        assert target.figure in METRICS
        for side in (target.ours, target.theirs or target.ours):
            assert side.peer in CASES[side.case].peers


def test_a_cost_is_reached_below_its_limit_and_missed_above_it() -> None:
    ours, theirs = runs("cpu_us_per_event", 10, 11, 9), runs("cpu_us_per_event", 10, 10, 10)
    reached = verdict("CPU µs per event, headgate ÷ nginx", "a", case("a", {"headgate": ours, "nginx": theirs}))
    assert (reached.reached, reached.words) == (True, "reached")
    assert reached.measured == Spread(1.0, 0.9, 1.1)
    missed = verdict("CPU µs per event, headgate ÷ envoy", "a", case("a", {"headgate": ours, "envoy": theirs}))
    assert (missed.reached, missed.words) == (False, "missed by 25.0 %")


def test_a_rate_is_reached_above_its_limit_and_missed_below_it() -> None:
    rates = {"headgate": runs("requests_per_s", 300), "nginx": runs("requests_per_s", 600)}
    rates["aiohttp"] = runs("requests_per_s", 200)
    assert verdict("requests/s, headgate ÷ nginx", "h", case("h", rates)).words == "reached"
    assert verdict("requests/s, headgate ÷ aiohttp", "h", case("h", rates)).words == "missed by 25.0 %"


def test_a_limit_of_its_own_needs_no_other_peer() -> None:
    start = case("start", {"headgate": runs("worker_start_s", 0.4, 0.6, 0.7)})
    found = verdict("worker start → first accepted request, s, headgate", "start", start)
    assert (found.measured, found.words) == (Spread(0.6, 0.4, 0.7), "missed by 20.0 %")


def test_a_case_is_compared_with_another_one() -> None:
    a, e = (case(name, {"headgate": runs("cpu_us_per_event", value)}) for name, value in (("a", 10), ("e", 14)))
    assert verdict("CPU µs per event, headgate ÷ headgate in case a", "e", a, e).measured == Spread(1.4, 1.4, 1.4)


@pytest.mark.parametrize(
    "by_peer",
    [
        {"headgate": runs("events_per_s", 10)},
        {"headgate": runs("events_per_s", 10), "nginx": [Run(1, failed="it did not start")]},
        {"headgate": runs("events_per_s", 10), "nginx": [Run(1, {"events_per_s": 9.0}, ("an event was lost",))]},
    ],
)
def test_what_has_no_other_side_was_not_measured(by_peer: dict[str, list[Run]]) -> None:
    found = verdict("events/s, headgate ÷ nginx", "k", case("k", by_peer))
    assert (found.measured, found.reached, found.words) == (None, None, "not measured")


def storm(rate: float, cost_us: float, busy_percent: float) -> list[Run]:
    return [Run(1, {"streams_per_s": rate, "cpu_us_per_stream": cost_us, "busy_percent": busy_percent})]


def test_a_rate_that_the_load_limited_is_compared_by_cpu_time() -> None:
    by_peer = {"headgate": storm(5000, 200, 99), "nginx": storm(9000, 50, 45)}
    found = verdict("new streams/s, headgate ÷ nginx", "g", case("g", by_peer))
    assert found.measured == Spread(0.25, 0.25, 0.25)
    assert found.words == "missed by 50.0 %; by CPU time, as the load did not fill the core: nginx 45 %"


def test_a_rate_at_full_cores_is_compared_as_it_is() -> None:
    by_peer = {"headgate": storm(5000, 200, 99), "nginx": storm(9000, 50, 95)}
    found = verdict("new streams/s, headgate ÷ nginx", "g", case("g", by_peer))
    assert (found.measured, found.remark) == (Spread(5 / 9, 5 / 9, 5 / 9), "")


def test_no_target_is_there_twice() -> None:
    assert len({(one.figure, one.ours, one.theirs) for one in TARGETS}) == len(TARGETS)
    assert TARGETS[0].ours == Side("a", "headgate")
