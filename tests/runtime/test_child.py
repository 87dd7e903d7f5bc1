from __future__ import annotations

from headgate.runtime.child import Backoff


def test_backoff_doubles_from_nothing_to_five_seconds() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s(0.5) for _ in range(9)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_backoff_starts_anew_after_ten_seconds_of_life() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_s(9.9)
    assert [backoff.delay_s(10.0), backoff.delay_s(0.1)] == [0.0, 0.1]
