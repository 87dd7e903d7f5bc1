from __future__ import annotations

import pytest
from bench.figures import Spread, percentile, ratio

HUNDRED = list(range(100, 0, -1))


@pytest.mark.parametrize(
    ("values", "percent", "answer"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([3, 1, 2], 50, 2),
        ([1, 2, 3, 4], 50, 2),
        (HUNDRED, 50, 50),
        (HUNDRED, 99, 99),
        (HUNDRED, 100, 100),
        (HUNDRED, 0, 1),
        (list(range(1, 1001)), 99, 990),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, answer: float) -> None:
    assert percentile(values, percent) == answer


@pytest.mark.parametrize(("values", "spread"), [([5], (5, 5, 5)), ([3, 1, 2], (2, 1, 3)), ([4, 1], (2.5, 1, 4))])
def test_spread(values: list[float], spread: tuple[float, float, float]) -> None:
    assert Spread.of(values) == Spread(*spread)


def test_ratio_is_taken_round_by_round() -> None:
    assert ratio([10, 30, 20], [10, 20, 40]) == Spread(median=1.0, low=0.5, high=1.5)


def test_ratio_of_unlike_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])
