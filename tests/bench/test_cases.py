from __future__ import annotations

import pytest
from bench.cases import CASES, FORMS_OF_HEADGATE, choose
from bench.peers.registry import PEERS

FULL_WITHIN_S = 35 * 60
SHORT_WITHIN_S = 5 * 60
ROUNDS = 3


def test_every_case_has_its_own_name_and_peers_that_there_are() -> None:
    assert "".join(dict.fromkeys(name[0] for name in CASES)) == "abcdefghiklmsw"
    for case in CASES.values():
        assert case.peers[0].startswith("headgate")
        assert set(case.peers) <= set(PEERS)
        assert len(set(case.peers)) == len(case.peers)


def test_the_forms_fit_into_their_time() -> None:
    full = sum(case.run_s * len(case.takes(None, full=True)) for case in choose(None, full=True)) * ROUNDS
    short = sum(case.brief_run_s * len(case.takes(None, full=False)) for case in choose(None, full=False)) * ROUNDS
    assert full < FULL_WITHIN_S
    assert short < SHORT_WITHIN_S


def test_the_short_form_has_few_cases_and_three_peers() -> None:
    cases = choose(None, full=False)
    assert [case.name for case in cases] == ["a", "c", "f", "g", "h", "start"]
    assert {peer for case in cases for peer in case.takes(None, full=False)} == {"headgate", "nginx", "bare"}


def test_a_letter_stands_for_all_that_begin_with_it() -> None:
    assert [case.name for case in choose(["i", "a"], full=False)] == ["i-download", "i-upload", "a"]
    assert [case.name for case in choose(["i-upload", "i"], full=True)] == ["i-upload", "i-download"]


def test_a_case_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="no such case: z; there are a, b, c,"):
        choose(["a", "z"], full=True)


def test_peers_that_are_asked_for_take_part_where_they_can() -> None:
    assert CASES["a"].takes(["bare", "nginx"], full=False) == ["bare", "nginx"]
    assert CASES["i-upload"].takes(["bare", "nginx"], full=True) == ["nginx"]
    assert CASES["c"].takes(["aiohttp"], full=True) == []


@pytest.mark.parametrize("peer", FORMS_OF_HEADGATE)
def test_a_form_of_headgate_takes_part_only_if_it_is_asked_for_and_then_wherever_headgate_does(peer: str) -> None:
    cases = [case.name for case in CASES.values() if case.takes([peer], full=True) == [peer]]
    assert cases == [name for name in CASES if name != "m"]
    assert all(peer not in case.takes(None, full=True) for case in CASES.values())
