from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.routing.glob import compile_glob, matches_glob


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        (b"*/b", [b"/b", b"x/b", b"x/y/b", b"\n/b", b"/b/b"], [b"b", b"/bc", b""]),
        (b"*/b*", [b"/b", b"x/bcd"], [b"x/c"]),
        (b"**/b", [b"/b"], [b"b"]),
        (b"*ab*ba", [b"abba", b"xabyba"], [b"aba"]),
        (b"*a*a*", [b"aa", b"xaxax"], [b"a"]),
    ],
)
def test_stars_stand_for_any_bytes(text: bytes, matching: list[bytes], others: list[bytes]) -> None:
    glob = compile_glob(text)
    assert [path for path in matching if not matches_glob(glob, path)] == []
    assert [path for path in others if matches_glob(glob, path)] == []


_FEW = st.text("ab/*", max_size=8)


@given(_FEW, _FEW, st.text("ab/\n", max_size=12))
def test_same_answer_as_a_backtracking_engine(before: str, behind: str, path: str) -> None:
    text = f"{before}*{behind}"
    expected = re.fullmatch(re.escape(text).replace(r"\*", ".*"), path, re.DOTALL) is not None
    assert matches_glob(compile_glob(text.encode()), path.encode()) is expected
