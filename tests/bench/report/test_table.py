from __future__ import annotations

from bench.report.table import as_text, case_grids, remarks, target_grid
from bench.report.words import TO
from bench.results import Run
from bench.targets import evaluate
from tests.bench.made import case, results, runs


def late(*p50: float, lag: float = 1.0) -> list[Run]:
    return [Run(n, {"latency_p50_us": one, "worst_lag_ms": lag}) for n, one in enumerate(p50, 1)]


def test_each_peer_has_its_medians_and_its_ratio_to_nginx() -> None:
    by_peer = {"headgate": runs("cpu_us_per_event", 12, 11), "nginx": runs("cpu_us_per_event", 10, 10)}
    [grid] = case_grids(case("a", by_peer))
    assert grid.head == ["", "CPU µs per event", "÷ nginx"]
    assert grid.rows == [
        ["headgate", f"11.50 (11.00{TO}12.00)", f"1.15 (1.10{TO}1.20)"],
        ["nginx", "10.00", ""],
    ]


def test_ratios_are_taken_to_the_base_of_the_case() -> None:
    by_peer = {"headgate": runs("cpu_us_per_event", 10), "headgate-100-routes": runs("cpu_us_per_event", 11)}
    [grid] = case_grids(case("l", by_peer, base="headgate"))
    assert grid.head == ["", "CPU µs per event", "÷ headgate"]
    assert [row[2] for row in grid.rows] == ["", "1.10"]


def test_forms_of_headgate_have_ratios_to_each_other() -> None:
    peers = ("guarded", "plain", "nginx", "against")
    [grid] = case_grids(case("a", {peer: runs("cpu_us_per_event", 10) for peer in peers}))
    assert grid.head == ["", "CPU µs per event", "÷ nginx", "÷ plain", "÷ against"]


def test_one_peer_alone_has_no_ratio() -> None:
    [grid] = case_grids(case("a", {"nginx": runs("cpu_us_per_event", 10)}))
    assert grid.head == ["", "CPU µs per event"]


def test_circumstances_have_no_ratio() -> None:
    by_peer = {peer: runs("others_percent", 3) for peer in ("headgate", "nginx")}
    [grid] = case_grids(case("a", by_peer))
    assert grid.head == ["", "taken by other processes, %"]


def test_costs_and_latencies_have_a_table_each() -> None:
    both = [Run(1, {"cpu_us_per_event": 10, "latency_p50_us": 200, "worst_lag_ms": 2, "others_percent": 1})]
    cost, latencies = case_grids(case("a", {"nginx": both}))
    assert cost.head == ["", "CPU µs per event", "taken by other processes, %"]
    assert latencies.head == ["", "latency p50 µs", "the origin's own worst lag, ms"]


def test_what_a_gateway_adds_is_its_median_less_that_of_the_load_alone() -> None:
    by_peer = {"headgate": late(300, 200, 290), "nginx": late(150), "direct": late(100, 110)}
    grids = case_grids(case("a", by_peer))
    assert grids[1].head == ["", "added: latency p50 µs"]
    assert grids[1].rows == [["headgate", "185"], ["nginx", "45"]]


def test_a_peer_that_failed_is_told_in_words_in_place_of_figures() -> None:
    failed = [Run(1, failed="PeerFailedError: starlette ended with 7")]
    lossy = [Run(2, {"cpu_us_per_event": 3}, ("stream 1: 5 events sent, 4 received", "more", "more"))]
    one = case("a", {"nginx": runs("cpu_us_per_event", 10), "starlette": failed, "bare": lossy}, note="said before")
    assert [row[0] for row in case_grids(one)[0].rows] == ["nginx"]
    assert remarks(one) == [
        "said before",
        "starlette failed in round 1: PeerFailedError: starlette ended with 7",
        "bare was invalid in round 2 and is not counted: stream 1: 5 events sent, 4 received, and 2 more",
    ]


def test_words_of_a_peer_break_no_table() -> None:
    one = case("a", {"bare": [Run(1, failed="it said:\n| a |\n\n# b")]})
    assert remarks(one) == ["bare failed in round 1: it said: | a | # b"]


def test_targets_have_limit_figure_and_verdict() -> None:
    by_peer = {"headgate": runs("memory_bytes_per_stream", 6000), "nginx": runs("memory_bytes_per_stream", 5000)}
    grid = target_grid([one for one in evaluate(results(case("f", by_peer))) if one.measured])
    assert grid.rows == [
        ["resident bytes per idle stream, headgate", "f", "≤ 8,192", "6,000", "reached"],
        ["resident bytes per idle stream, headgate ÷ nginx", "f", "≤ 1.00", "1.20", "missed by 20.0 %"],
    ]


def test_the_text_tells_each_case_and_the_targets_of_these() -> None:
    by_peer = {"headgate": runs("cpu_us_per_event", 10), "nginx": runs("cpu_us_per_event", 10)}
    told = as_text(results(case("a", by_peer)))
    assert told.startswith("a: title of a; median (lowest to highest)\n\n")
    assert "CPU µs per event, headgate ÷ nginx" in told
    assert "new streams/s" not in told
    assert "target" not in as_text(results(case("way", {"bare": runs("idle_event_us", 100)})))
