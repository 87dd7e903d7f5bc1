from __future__ import annotations

from typing import Any

import pytest

from headgate.stream.peek_rules import PeekRule, PeekRules, parse_path
from headgate.wire.sse import RawEvent

ERROR = b'event: error\ndata: {"error":{"code":429,"type":"overloaded","retry":true,"list":[{"a":1},null]},"00":1,"n":null}\n\n'


def rules(*given: PeekRule, skip: frozenset[bytes] = frozenset()) -> PeekRules:
    return PeekRules(timeout_s=1.0, max_bytes=1000, skip=skip, rules=given)


def rule(path: str | None = None, **fields: Any) -> PeekRule:
    return PeekRule(path=None if path is None else parse_path(path), **fields)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule(event=b"error"), True),
        (rule(event=b"err"), False),
        (rule(event=b"message"), False),
        (rule("error"), True),
        (rule("error.code"), True),
        (rule("error.nothing"), False),
        (rule("error.code.deeper"), False),
        (rule("n"), False),
        (rule("00"), True),
        (rule("0"), False),
        (rule("error.list.0.a"), True),
        (rule("error.list.1"), False),
        (rule("error.list.2"), False),
        (rule("error.list.a"), False),
        (rule("error.code", values=(500, 429)), True),
        (rule("error.code", values=(429.0,)), True),
        (rule("error.code", values=("429", 430)), False),
        (rule("error.retry", values=(True,)), True),
        (rule("error.retry", values=(1,)), False),
        (rule("error.list.0.a", values=(True,)), False),
        (rule("error", values=("overloaded",)), False),
        (rule("error.type", event=b"error", values=("overloaded",)), True),
        (rule("error.type", event=b"message"), False),
        (rule(empty=True), False),
    ],
)
def test_all_that_a_rule_names_must_hold(given: PeekRule, expected: bool) -> None:
    assert rules(given).match(RawEvent(ERROR)) is (given if expected else None)


@pytest.mark.parametrize(
    "data", [b"", b"[DONE]", b"{", b"null", b"3", b'"error"', b"\xff", b"[" * 100_000, b"9" * 5000]
)
def test_data_of_any_kind_is_looked_into(data: bytes) -> None:
    assert rules(rule("error")).match(RawEvent(b"data: %b\n\n" % data)) is None


def test_an_event_without_a_type_is_a_message() -> None:
    given = rule(event=b"message")
    assert rules(given).match(RawEvent(b"data: x\n\n")) is given


def test_the_first_rule_that_matches_counts() -> None:
    first, second = rule("error.code", values=(1,)), rule("error")
    assert rules(first, second, rule(event=b"error")).match(RawEvent(ERROR)) is second


def test_the_rule_for_a_stream_without_events() -> None:
    empty = rule(empty=True, status=503)
    assert rules(rule("error"), empty).match_empty() is empty
    assert rules(rule("error")).match_empty() is None


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"data: x\n\n", True),
        (b"data\n\n", True),
        (b"event: ping\ndata: {}\n\n", False),
        (b": comment\n\n", False),
        (b"retry: 5\n\n", False),
        (b"event: error\n\n", False),
        (b"\n", False),
    ],
)
def test_what_is_meaningful(block: bytes, expected: bool) -> None:
    assert rules(skip=frozenset({b"ping"})).is_meaningful(RawEvent(block)) is expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("error", ("error",)),
        ("choices.0.delta", ("choices", 0, "delta")),
        ("00.01.10", ("00", "01", 10)),
        ("a b.\u0663", ("a b", "\u0663")),
        ("9" * 200, ("9" * 200,)),
    ],
)
def test_paths(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b"])
def test_a_path_without_names_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected names of members separated by dots, such as error\.code$"):
        parse_path(text)
