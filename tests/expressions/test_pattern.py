from __future__ import annotations

import pytest

from headgate.expressions.pattern import MAX_PATTERN_BYTES, compile_pattern

EVERY_BYTE = bytes(range(256))


def test_any_bytes_can_be_searched() -> None:
    assert compile_pattern(r"\x7f.\x81").matches(EVERY_BYTE)
    assert not compile_pattern("absent").matches(EVERY_BYTE)


def test_a_non_ascii_literal_is_its_utf8_bytes() -> None:
    assert compile_pattern("é.x").matches("é\xffx".encode("latin-1").replace(b"\xe9", "é".encode()))
    assert not compile_pattern("é").matches(b"\xe9")


def test_search_is_unanchored_and_case_is_told_apart_unless_asked() -> None:
    assert compile_pattern("droid").matches(b"an Android")
    assert not compile_pattern("android").matches(b"Android")
    assert compile_pattern("android", ignore_case=True).matches(b"Android")


def test_find_gives_place_and_groups() -> None:
    pattern = compile_pattern("(a+)(x)?(b)")
    found = pattern.find(b"--aab--")
    assert found is not None
    assert (found.start, found.end, found.groups, pattern.groups) == (2, 5, (b"aab", b"aa", b"", b"b"), 3)
    assert pattern.find(b"ccc") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(", 'invalid pattern "(": missing ): ('),
        ("(?=a)", 'invalid pattern "(?=a)": invalid perl operator: (?='),
        (r"(a)\1", r'invalid pattern "(a)\1": invalid escape sequence: \1'),
        ("a" * (MAX_PATTERN_BYTES + 1), "pattern too long, expected at most 4096 bytes, got 4097"),
    ],
)
def test_what_the_engine_does_not_take_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        compile_pattern(text)
    assert str(refusal.value) == reason


def test_a_program_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern too large"):
        compile_pattern("a{1000}" * 100)
