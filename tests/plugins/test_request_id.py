from __future__ import annotations

import re
from typing import Any

import pytest
from tests.plugins.plain_exchange import PlainExchange, chain, exchange, run_request, run_response
from tests.plugins.refusals import refusal_of


def served(conf: dict[str, Any], given: PlainExchange, upstream: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    plugins = chain(request_id=conf)
    assert run_request(plugins, given) is None
    return run_response(plugins, given, upstream)


def test_a_clients_id_is_kept() -> None:
    given = exchange(headers=[(b"X-Request-ID", b"123")])
    assert served({}, given, []) == {b"x-request-id": b"123"}
    assert given.upstream_request.headers.get_all(b"x-request-id") == [b"123"]


@pytest.mark.parametrize("headers", [[], [(b"X-Request-Id", b"")]])
def test_without_one_an_id_is_made(headers: list[tuple[bytes, bytes]]) -> None:
    given = exchange(headers=headers)
    made = served({}, given, [])[b"x-request-id"]
    assert re.fullmatch(rb"[0-9a-f-]{36}", made)
    assert given.upstream_request.headers.get_all(b"x-request-id") == [made]


def test_made_ids_differ() -> None:
    assert len({served({}, exchange(), [])[b"x-request-id"] for _ in range(180)}) == 180


@pytest.mark.parametrize(
    ("conf", "form"),
    [
        ({"algorithm": "uuid"}, rb"[0-9a-f-]{36}"),
        ({"algorithm": "uuidv7"}, rb"[0-9a-f-]{14}7[0-9a-f-]{21}"),
        ({"algorithm": "nanoid"}, rb"[\w-]{21}"),
        ({"algorithm": "ksuid"}, rb"\w{27}"),
        ({"algorithm": "range_id"}, rb"[0-9A-Za-z]{16}"),
        ({"algorithm": "range_id", "range_id": {"length": 6, "char_set": "abcdef"}}, rb"[a-f]{6}"),
    ],
)
def test_algorithms(conf: dict[str, Any], form: bytes) -> None:
    assert re.fullmatch(form, served(conf, exchange(), [])[b"x-request-id"])


def test_another_header_and_none_in_the_response() -> None:
    given = exchange()
    assert served({"header_name": "Trace", "include_in_response": False}, given, []) == {}
    assert given.upstream_request.headers.get(b"trace")


def test_the_upstreams_own_header_stays() -> None:
    given = exchange(headers=[(b"X-Request-Id", b"mine")])
    assert served({}, given, [(b"X-Request-Id", b"theirs")]) == {b"x-request-id": b"theirs"}


def test_a_response_without_a_request_phase_gets_no_id() -> None:
    assert run_response(chain(request_id={}), exchange()) == {}


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"header_name": "a b"}, 'property "header_name" validation failed: invalid field character'),
        (
            {"header_name": "Content-Length"},
            'property "header_name" validation failed: header Content-Length belongs to the connection and can not be changed',
        ),
        (
            {"header_name": "transfer-encoding"},
            'property "header_name" validation failed: header transfer-encoding belongs to the connection and can not be changed',
        ),
        (
            {"header_name": "Host"},
            'property "header_name" validation failed: header Host belongs to the connection and can not be changed',
        ),
        (
            {"header_name": "Connection"},
            'property "header_name" validation failed: header Connection belongs to the connection and can not be changed',
        ),
        (
            {"header_name": "Expect"},
            'property "header_name" validation failed: header Expect belongs to the connection and can not be changed',
        ),
        ({"header_name": ""}, 'property "header_name" validation failed: string too short, expected at least 1, got 0'),
        ({"algorithm": "serial"}, 'property "algorithm" validation failed: matches none of the enum values'),
        (
            {"range_id": {"length": 5}},
            'property "range_id" validation failed: property "length" validation failed: expected 5 to be at least 6',
        ),
        (
            {"range_id": {"char_set": "abc def"}},
            'property "range_id" validation failed: char_set must be printable ASCII without spaces',
        ),
        (
            {"range_id": {"char_set": "abcdefé"}},
            'property "range_id" validation failed: char_set must be printable ASCII without spaces',
        ),
    ],
)
def test_refusals(conf: dict[str, Any], text: str) -> None:
    assert refusal_of("request-id", conf) == text
