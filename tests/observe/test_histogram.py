from __future__ import annotations

import random

import pytest

from headgate.observe.histogram import Histogram, add, bucket_samples, observe, read

BOUNDS = (0.001, 0.5, 2.0)


def make(first: int = 0) -> tuple[memoryview, Histogram]:
    histogram = Histogram("x_seconds", "", BOUNDS, first)
    return memoryview(bytearray(8 * (histogram.end + 1))).cast("Q"), histogram


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.00101, 1), (0.5, 1), (2.0, 2), (2.1, 3), (1e9, 3)]
)
def test_a_bound_is_within_its_bucket(seconds: float, bucket: int) -> None:
    slots, histogram = make(first=2)
    observe(slots, histogram, seconds)
    assert slots[: histogram.sum_slot].tolist() == [0, 0, *(int(number == bucket) for number in range(4))]
    assert slots[histogram.sum_slot] == round(seconds * 1e6)


def test_a_clock_that_goes_back_counts_as_nothing() -> None:
    slots, histogram = make()
    observe(slots, histogram, -0.001)
    assert slots.tolist() == [1, 0, 0, 0, 0, 0]


def test_adding_counts_is_observing_each() -> None:
    chance = random.Random(7)
    values = [chance.expovariate(1.0) for _ in range(500)]
    one, histogram = make()
    counts = [0] * 4
    for value in values:
        observe(one, histogram, value)
        counts[sum(value > bound for bound in BOUNDS)] += 1
    other, _ = make()
    add(other, histogram, [*counts[:2], 0, 0], 0.0)
    add(other, histogram, [0, 0, *counts[2:]], sum(values))
    assert other[:4].tolist() == one[:4].tolist()
    assert other[4] == pytest.approx(one[4], abs=len(values))


def test_reading_adds_the_smaller_buckets() -> None:
    slots, histogram = make(first=1)
    for seconds in (0.0005, 0.25, 0.25, 7.5):
        observe(slots, histogram, seconds)
    counts, sum_s = read(slots.tolist(), histogram)
    assert (counts, sum_s) == ([1, 3, 3, 4], 8.0005)
    assert bucket_samples(histogram, counts) == [("0.001", 1), ("0.5", 3), ("2.0", 3), ("+Inf", 4)]
    assert [bound for bound, _ in bucket_samples(histogram, counts, per_second=1000)] == [
        "1.0",
        "500.0",
        "2000.0",
        "+Inf",
    ]
