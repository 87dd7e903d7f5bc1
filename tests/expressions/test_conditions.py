from __future__ import annotations

from typing import Any

import pytest
from tests.expressions.request_source import Source, make_request

from headgate.expressions.conditions import MAX_DEPTH, compile_condition

A, B, NOT_A = ["arg_a", "==", "1"], ["arg_b", "==", "2"], ["arg_a", "!", "==", "1"]


@pytest.mark.parametrize(
    ("expression", "query", "answer"),
    [
        ([], b"", True),
        ([A], b"a=1", True),
        ([A], b"a=2", False),
        ([A, B], b"a=1&b=2", True),
        ([A, B], b"a=1", False),
        ([["arg_a", "1"]], b"a=1", True),
        ([["arg_a", None]], b"", True),
        ([["arg_a", None]], b"a=1", False),
        ([["arg_a", "=="]], b"", True),
        ([["arg_a", "==", None]], b"a=", False),
        ([["arg_a", "V"]], b"a=V", True),
        ([NOT_A], b"a=2", True),
        ([NOT_A], b"a=1", False),
        ([["arg_a", "!", "~~", "^1"]], b"", True),
        ([["arg_a", "IN", ["1"]]], b"a=1", True),
        (["OR", A, B], b"b=2", True),
        (["OR", A, B], b"", False),
        (["or", A, B], b"b=2", True),
        (["AND", A, B], b"a=1&b=2", True),
        (["AND", A, B], b"b=2", False),
        (["!OR", A, B], b"", True),
        (["!OR", A, B], b"a=1", False),
        (["!AND", A, B], b"a=1", True),
        (["!AND", A, B], b"a=1&b=2", False),
        ([A, ["OR", B, ["arg_c", ">", 3]]], b"a=1&c=4", True),
        ([A, ["OR", B, ["arg_c", ">", 3]]], b"a=1&c=3", False),
        (["OR", [A, B], ["arg_c", "3"]], b"a=1&b=2", True),
        (["OR", [A, B], ["arg_c", "3"]], b"a=1", False),
    ],
)
def test_expressions(expression: list[Any], query: bytes, *, answer: bool) -> None:
    assert compile_condition(expression).matches(Source(make_request(b"/?" + query))) is answer


def _nested(levels: int) -> list[Any]:
    rule: list[Any] = [A]
    for _ in range(levels):
        rule = [rule]
    return rule


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ({}, "rule should be wrapped inside brackets"),
        ("arg_a", "rule should be wrapped inside brackets"),
        (["arg_a", "==", "1"], "rule should be wrapped inside brackets"),
        ([A, "arg_b"], "rule should be wrapped inside brackets"),
        ([[]], "rule too short"),
        (["OR", A], "rule too short"),
        ([["arg_a"]], "invalid expression"),
        ([[7, "==", "1"]], "invalid expression"),
        ([["", "==", "1"]], "invalid expression"),
        ([["arg_a", "=", "1"]], "invalid operator '='"),
        ([["arg_a", None, "1"]], "invalid operator 'None'"),
        ([["arg_a", "!", "="]], "invalid operator '!'"),
        ([["arg_a", "!", "=", "1"]], "invalid operator '='"),
        ([["arg_a", "not", "==", "1"]], "bad 'not' expression"),
        ([["arg_a", "!", "==", "1", "2"]], "invalid expression"),
        ([["arg_a", "~~", "("]], 'invalid pattern "(": missing ): ('),
        (_nested(MAX_DEPTH), "rule too deep, expected at most 32 levels"),
    ],
)
def test_what_is_no_expression_is_refused(expression: Any, text: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        compile_condition(expression)
    assert str(refusal.value) == text


def test_form_fields_make_a_condition_need_the_form() -> None:
    condition = compile_condition(["OR", A, ["AND", B, ["post_arg.name", "Ada"]]])
    assert condition.needs_form
    assert condition.matches(Source(make_request(b"/?b=2"), form={b"name": b"Ada"}))
    assert not condition.matches(Source(make_request(b"/?b=2"), form={}))
    assert not compile_condition([A]).needs_form
