from __future__ import annotations

import pytest
from bench.figures import Spread
from bench.metrics import METRICS
from bench.report.words import CIRCUMSTANCES, TO, figures_in_words, in_order, metric, number, spread


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 0, "0"),
        (12.345, 2, "12.35"),
        (12345.6, 0, "12,346"),
        (-3.21, 1, "-3.2"),
        (999_999, 0, "999,999"),
        (1_234_567_890, 0, "1,234.6 M"),
        (12_345_678.9, 2, "12,345,678.90"),
    ],
)
def test_numbers(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [(Spread(2, 1, 3), f"2.0 (1.0{TO}3.0)"), (Spread(2, 2, 2), "2.0"), (Spread(2, 1.99, 2.01), "2.0")],
)
def test_spreads_stand_in_brackets_where_there_is_one(values: Spread, text: str) -> None:
    assert spread(values, 1) == text


def test_figures_stand_in_the_order_of_the_metrics_then_unknown_ones_then_circumstances() -> None:
    backwards = ["new_us", *reversed(METRICS)]
    ordered = in_order(backwards)
    last = [one for one in METRICS if one in CIRCUMSTANCES]
    assert ordered == [*(one for one in METRICS if one not in CIRCUMSTANCES), "new_us", *last]
    assert metric("new_us").title == "new_us"


def test_a_run_in_one_line_has_its_first_figures_and_what_others_took() -> None:
    figures = {"others_percent": 3.4, "cpu_us_per_event": 12.3, "latency_p50_us": 250.0}
    assert figures_in_words(figures) == "CPU µs per event 12.30, latency p50 µs 250, others took 3 %"
    everything = dict.fromkeys(METRICS, 1.0)
    assert figures_in_words(everything).count(" 1") - figures_in_words({}).count(" 1") <= 6
