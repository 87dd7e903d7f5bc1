from __future__ import annotations

import pytest

from headgate.stream.event_gaps import EventGaps


def test_bounds_ascend_from_a_millisecond_to_ten_minutes() -> None:
    assert list(EventGaps.BOUNDS) == sorted(set(EventGaps.BOUNDS))
    assert (EventGaps.BOUNDS[0], EventGaps.BOUNDS[-1]) == (0.001, 600.0)


@pytest.mark.parametrize(
    ("gap_s", "bucket"),
    [(0.0, 0), (0.0014, 0), (0.0016, 1), (1.0, 6), (1.0004, 6), (1.001, 7), (2.0, 7), (600.0, 13), (600.1, 14)],
)
def test_every_gap_has_a_bucket(gap_s: float, bucket: int) -> None:
    gaps = EventGaps()
    gaps.count(gap_s)
    counts, total_s = gaps.take()
    assert (counts.index(1), sum(counts), total_s) == (bucket, 1, gap_s)


@pytest.mark.parametrize("bound_s", EventGaps.BOUNDS)
def test_a_bound_lies_in_its_own_bucket_however_the_clock_rounds(bound_s: float) -> None:
    for began_s in (0.0, 1.1, 12345.678):
        gaps = EventGaps()
        gaps.count((began_s + bound_s) - began_s)
        assert gaps.take()[0].index(1) == EventGaps.BOUNDS.index(bound_s)


def test_what_is_taken_is_taken_once() -> None:
    gaps = EventGaps()
    gaps.counts[3] += 2
    gaps.total_s += 0.5
    counts, total_s = gaps.take()
    assert (counts[3], sum(counts), total_s) == (2, 2, 0.5)
    gaps.counts[3] += 1  # those taken are not touched any more
    assert counts[3] == 2
    assert gaps.take() == ([0, 0, 0, 1, *[0] * 11], 0.0)
    assert gaps.take() == ([0] * 15, 0.0)
