from __future__ import annotations

from typing import Any

import pytest

from headgate.expressions.operators import OPERATORS


@pytest.mark.parametrize(
    ("operator", "value", "holds", "fails"),
    [
        ("==", "v", [b"v"], [b"V", b"", None]),
        ("==", "10", [b"10"], [b"10.0", None]),
        ("==", 10, [b"10", b"10.0", b" 1e1 "], [b"ten", b"", b"1_0", b"11", None]),
        ("==", None, [None], [b"", b"null"]),
        ("==", True, [b"true"], [b"1", None]),
        ("~=", "v", [b"V", None], [b"v"]),
        ("~=", 10, [b"11", b"ten", None], [b"10"]),
        ("~=", None, [b"", b"x"], [None]),
        (">", 9, [b"10", b"9.5"], [b"9", b"-1", b"x", b"nan", None]),
        (">", "9", [b"10"], [b"9", None]),
        (">=", 9, [b"9"], [b"8.9", None]),
        ("<", 9, [b"8", b"-.5e1"], [b"9", b"", None]),
        ("<=", 9, [b"9"], [b"9.1", None]),
        ("~~", "^a.c$", [b"abc", b"a\xffc"], [b"xabc", b"ABC", None]),
        ("~*", "^a.c$", [b"ABC"], [b"xABC", None]),
        ("in", ["a", "b"], [b"a", b"b"], [b"c", b"ab", b"", None]),
        ("in", ["a", 7], [b"a", b"7", b"7.0"], [b"8", None]),
        ("in", [], [], [b"", None]),
        ("has", "b", [b"a, b", b"b"], [b"ab", b"", None]),
        ("has", 1, [b"0,1"], [b"10", None]),
        ("ipmatch", ["10.0.0.0/8", "::1"], [b"10.1.2.3", b"::1"], [b"11.0.0.1", b"x", b"\xff", None]),
        ("ipmatch", "10.0.0.1", [b"10.0.0.1"], [b"10.0.0.2", None]),
    ],
)
def test_operators(operator: str, value: Any, holds: list[bytes | None], fails: list[bytes | None]) -> None:
    test = OPERATORS[operator](value)
    assert [given for given in holds if not test(given)] == []
    assert [given for given in fails if test(given)] == []


@pytest.mark.parametrize(
    ("operator", "value", "text"),
    [
        ("==", {}, "invalid value, expected a string or a number"),
        ("==", float("inf"), "invalid value, expected a number, got 'inf'"),
        (">", "ten", "invalid value, expected a number, got 'ten'"),
        (">", None, "invalid value, expected a string or a number"),
        ("~~", 7, "invalid value, expected a pattern"),
        ("~~", "(", 'invalid pattern "(": missing ): ('),
        ("~*", "(?!a)", 'invalid pattern "(?!a)": invalid perl operator: (?!'),
        ("in", "a", "invalid value, expected a list"),
        ("in", [[]], "invalid value, expected a string or a number"),
        ("has", None, "invalid value, expected a string or a number"),
        ("ipmatch", ["nowhere"], "invalid IP address: nowhere"),
        ("ipmatch", 7, "invalid value, expected a list"),
    ],
)
def test_values_that_an_operator_cannot_take(operator: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        OPERATORS[operator](value)
    assert str(refusal.value) == text
