"""Figures as text: digits, spreads, ratios."""

from __future__ import annotations

from collections.abc import Mapping

from bench.figures import Spread
from bench.metrics import METRICS, Metric

TO = "\N{EN DASH}"
MILLION = 1_000_000
"""From here on a figure is told in millions."""
LAG = ("lag_p99_ms", "worst_lag_ms")
CIRCUMSTANCES = (*LAG, "busy_percent", "load_busy_percent", "others_percent")
"""Figures that say what a run is worth; no ratio is taken of them."""
LEAD = 4
"""So many figures stand in the line of one run; the table has them all."""


def metric(figure: str) -> Metric:
    """Give a figure's title and digits; one that has none is called by its word and has two."""
    return METRICS.get(figure) or Metric(figure, 2)


def in_order(figures: list[str]) -> list[str]:
    """Give figures in the order of METRICS, those that are not there behind them, circumstances last."""
    words = list(METRICS)

    def place(figure: str) -> tuple[bool, int]:
        return figure in CIRCUMSTANCES, words.index(figure) if figure in METRICS else len(words)

    return sorted(figures, key=place)


def number(value: float, digits: int) -> str:
    """Give a number with a comma at each thousand; a large whole one in millions."""
    if digits == 0 and abs(value) >= MILLION:
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.{digits}f}"


def spread(values: Spread, digits: int) -> str:
    """Give the median, and the lowest and the highest value in brackets if they are not all one."""
    low, high = number(values.low, digits), number(values.high, digits)
    median = number(values.median, digits)
    return median if low == high else f"{median} ({low}{TO}{high})"


def one_line(words: str) -> str:
    """Give what a program said without its line ends."""
    return " ".join(words.split())


def figures_in_words(figures: Mapping[str, float]) -> str:
    """Give the first few figures of a run in one line, and what other processes took."""
    first = [one for one in in_order(list(figures)) if one != "others_percent"][:LEAD]
    told = [f"{metric(one).title} {number(figures[one], metric(one).digits)}" for one in first]
    if "others_percent" in figures:
        told.append(f"others took {figures['others_percent']:.0f} %")
    return ", ".join(told)
