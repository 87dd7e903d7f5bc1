from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi import Request

from headgate.admin.answers import Refusal
from headgate.admin.body import MAX_BODY_BYTES, MAX_DEPTH, MISSING, decode, read_document


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, "x", null, true]}\n', {"a": [1, 2.5, "x", None, True]}),
        (b'{"a": {"b": 1}, "b": 1}', {"a": {"b": 1}, "b": 1}),
        (b"1.0", 1.0),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        ('"grüß"'.encode(), "grüß"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
    ],
)
def test_json_is_decoded(raw: bytes, value: object) -> None:
    decoded = decode(raw)

    if value is not None:
        assert decoded == value
        assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"   ", "Expecting value: line 1 column 4 (char 3)"),
        (b"{} {}", "Extra data: line 1 column 4 (char 3)"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[Infinity]", "Infinity is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"1e999", "number out of range: 1e999"),
        (b"9223372036854775808", "number out of range: 9223372036854775808"),
        (b"-9223372036854775809", "number out of range: -9223372036854775809"),
        (b"1" * 100_000, "number out of range: " + "1" * 40),
        (b'{"a": 1, "b": 2, "a": 1}', 'duplicate key "a"'),
        (b'{"x": {"deep": 1, "deep": 2}}', 'duplicate key "deep"'),
        (b'"\xff"', "not valid UTF-8"),
        (b'"\\ud800"', "not valid UTF-8"),
        (b'{"\\udfff": 1}', "not valid UTF-8"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper than 64 levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 64 levels"),
        (b"[" * 500_000, "nested deeper than 64 levels"),
    ],
)
def test_what_could_not_be_stored_or_passed_on_is_refused(raw: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        decode(raw)


def _read(pieces: list[bytes], headers: dict[str, str] | None = None) -> tuple[object, int]:
    """Give the document and how many pieces were asked for."""
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": pieces[asked - 1], "more_body": asked < len(pieces)}

    fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "PUT", "path": "/", "headers": fields, "query_string": b""}
    try:
        return asyncio.run(read_document(Request(scope, receive))), asked
    except Refusal as refusal:
        return refusal.outcome.body, asked


def test_a_body_is_read_in_pieces_whatever_its_type() -> None:
    assert _read([b'{"a"', b": 1", b"}"], {"content-type": "application/x-www-form-urlencoded"}) == ({"a": 1}, 3)


def test_no_body_is_missing() -> None:
    assert _read([b""])[0] is MISSING


def test_a_malformed_body_comes_back_in_the_answer() -> None:
    assert _read([b'{"a": \xff'])[0] == {
        "error_msg": "invalid request body: not valid UTF-8",
        "req_body": '{"a": \N{REPLACEMENT CHARACTER}',
    }


def _too_large(size: int) -> dict[str, str]:
    text = f"request size {size} is greater than the maximum size 1572864 allowed"
    return {"error_msg": f"invalid request body: {text}"}


def test_a_declared_size_over_the_limit_is_refused_without_reading() -> None:
    assert _read([b"{}"], {"content-length": "1678025"}) == (_too_large(1_678_025), 0)


def test_an_undeclared_size_is_refused_as_soon_as_it_passes_the_limit() -> None:
    pieces = [b" " * 1_000_000, b" " * 1_000_000, b"{}"]

    assert _read(pieces) == (_too_large(2_000_000), 2)


def test_the_limit_itself_is_allowed() -> None:
    assert _read([b"{}".ljust(MAX_BODY_BYTES)]) == ({}, 1)
