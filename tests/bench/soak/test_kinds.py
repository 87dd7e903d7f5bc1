from __future__ import annotations

from collections import Counter

import pytest
from bench.soak.kinds import KINDS, Manner, cast


def test_the_shares_are_of_one_whole() -> None:
    assert sum(share for kind in KINDS.values() for share in kind.visitors.values()) == pytest.approx(1.0)


def test_visitors_are_cast_by_their_shares() -> None:
    found = Counter(cast(2000))
    assert sum(found.values()) == pytest.approx(2000, abs=5)
    for name, kind in KINDS.items():
        for manner, share in kind.visitors.items():
            assert found[name, manner] == pytest.approx(2000 * share, abs=1)


def test_every_role_is_there_in_a_small_soak_too_and_always_the_same() -> None:
    assert {manner for _, manner in cast(10)} == set(Manner)
    assert cast(50) == cast(50)


def test_kinds_that_are_left_out_have_no_visitors() -> None:
    assert {name for name, _ in cast(100, ["plain", "fat"])} == {"plain", "fat"}
    assert len(cast(100, ["brief"])) == 100
