from __future__ import annotations

from collections import Counter

import pytest

from headgate.upstream.balance import RoundRobin
from headgate.upstream.target import Target

A, B, C = (Target("http", host, 80) for host in "abc")
NAMES = {A: "A", B: "B", C: "C"}


def turns(balance: RoundRobin, count: int) -> str:
    return "".join(NAMES[target] for target in (balance.pick() for _ in range(count)) if target is not None)


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        # the order is NGINX's smooth weighted round robin
        ([(A, 1, 0), (B, 1, 0)], "ABABABABABAB"),
        ([(A, 1, 0), (B, 1, 0), (C, 1, 0)], "ABCABCABCABC"),
        ([(A, 3, 0), (B, 2, 0), (C, 1, 0)], "ABACBAABACBA"),
        ([(A, 5, 0), (B, 1, 0), (C, 1, 0)], "AABACAAAABAC"),
        ([(A, 3, 0), (B, 0, 0), (C, 1, 0)], "AACAAACAAACA"),
        ([(A, 7, 0)], "AAAAAAAAAAAA"),
        ([(A, 1, -1), (B, 1, 5), (C, 1, 0)], "BBBBBBBBBBBB"),
        ([(A, 1, 0), (B, 0, 1)], "AAAAAAAAAAAA"),
        ([], ""),
        ([(A, 0, 0)], ""),
    ],
)
def test_turns(weights: list[tuple[Target, int, int]], order: str) -> None:
    assert turns(RoundRobin(weights), 12) == order


def test_weights_3_2_1_give_6_4_2_of_12() -> None:
    balance = RoundRobin([(A, 3, 0), (B, 2, 0), (C, 1, 0)])
    for _ in range(5):
        assert Counter(turns(balance, 12)) == {"A": 6, "B": 4, "C": 2}


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ([], "A"),
        ([A], "B"),
        ([B, A], "C"),
        ([A, C], "B"),
        ([A, B, C], None),
    ],
)
def test_no_target_is_picked_twice_for_one_request(tried: list[Target], expected: str | None) -> None:
    target = RoundRobin([(A, 9, 1), (B, 1, 1), (C, 5, 0)]).pick(tried)
    assert (NAMES[target] if target is not None else None) == expected


def test_a_lower_priority_is_used_when_all_above_are_tried_and_only_then() -> None:
    balance = RoundRobin([(A, 1, 10), (B, 1, 10), (C, 1, 0)])
    assert turns(balance, 4) == "ABAB"
    assert balance.pick([A]) is B
    assert balance.pick([A, B]) is C
    assert turns(balance, 4).count("C") == 0


def test_length_is_the_number_of_targets_that_can_be_picked() -> None:
    assert len(RoundRobin([])) == 0
    assert len(RoundRobin([(A, 1, 0), (B, 0, 0), (C, 2, 1)])) == 2


def test_a_target_that_is_listed_twice_is_one_target_with_both_weights() -> None:
    balance = RoundRobin([(A, 1, 0), (B, 1, 0), (A, 1, 0)])
    assert len(balance) == 2
    assert Counter(turns(balance, 12)) == {"A": 8, "B": 4}
    assert balance.pick([A]) is B
