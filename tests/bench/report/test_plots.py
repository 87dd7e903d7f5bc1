from __future__ import annotations

from bench.figures import Spread
from bench.report.plots import peers, plots
from bench.results import Run
from tests.bench.made import case, results, runs

LATE = [Run(1, {"latency_p50_us": 1, "latency_p99_us": 2, "latency_p999_us": 3})]


def test_a_run_has_the_plots_that_it_has_figures_for() -> None:
    assert plots(results()) == []
    a = case("a", {"nginx": runs("cpu_us_per_event", 10)})
    assert [one.name for one in plots(results(a))] == ["cpu-per-event"]
    f = case("f", {"nginx": runs("memory_bytes_per_stream", 10)})
    h = case("h", {"nginx": runs("requests_per_s", 10)})
    late = case("b", {"nginx": LATE})
    assert [one.name for one in plots(results(f, h, late))] == ["latency", "memory-per-stream", "rates"]


def test_each_case_is_a_panel_with_the_spread_of_each_peer() -> None:
    by_peer = {"headgate": runs("cpu_us_per_event", 3, 1, 2), "nginx": runs("cpu_us_per_event", 1)}
    [plot] = plots(results(case("a", by_peer), case("c", {"headgate": runs("cpu_us_per_event", 5)})))
    assert [panel.title for panel in plot.panels] == ["a: title of a", "c: title of c"]
    assert plot.panels[0].values["headgate"] == {"cpu_us_per_event": Spread(2, 1, 3)}
    assert set(plot.panels[1].values) == {"headgate"}


def test_a_peer_without_one_of_the_figures_is_left_out() -> None:
    late = {"nginx": LATE, "headgate": runs("latency_p50_us", 1), "direct": LATE, "bare": LATE}
    [plot] = plots(results(case("a", late)))
    assert peers(plot) == ["nginx", "bare", "direct"]
