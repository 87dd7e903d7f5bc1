from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.plain_exchange import chain, exchange, run_request, run_response
from tests.plugins.refusals import refusal_of

from headgate.plugins.api import Answer

CREDENTIALS = {
    "allow_origins": "http://sub.domain.com,http://sub2.domain.com",
    "allow_methods": "GET,POST",
    "allow_headers": "headr1,headr2",
    "expose_headers": "ex-headr1,ex-headr2",
    "max_age": 50,
    "allow_credential": True,
}
FORCED = {"allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "expose_headers": "*"}
BY_REGEX = {"allow_origins_by_regex": [r".*\.test.com$"]}
ALL_METHODS = b"GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"


def respond(
    conf: dict[str, Any],
    origin: bytes | None,
    upstream: list[tuple[bytes, bytes]] | None = None,
    asked: list[tuple[bytes, bytes]] | None = None,
) -> dict[str, bytes]:
    headers = ([] if origin is None else [(b"Origin", origin)]) + (asked or [])
    found = run_response(chain(cors=conf), exchange(headers=headers), upstream or [])
    return {name.decode().removeprefix("access-control-"): value for name, value in found.items()}


def test_defaults_allow_any_origin() -> None:
    any_origin = {"allow-origin": b"*", "allow-methods": b"*", "allow-headers": b"*", "max-age": b"5"}
    assert respond({}, b"http://a.example") == any_origin
    assert respond({}, None) == any_origin


def test_a_listed_origin_with_credentials() -> None:
    assert respond(CREDENTIALS, b"http://sub2.domain.com", [(b"Vary", b"Via")]) == {
        "allow-origin": b"http://sub2.domain.com",
        "vary": b"Via, Origin",
        "allow-methods": b"GET,POST",
        "allow-headers": b"headr1,headr2",
        "expose-headers": b"ex-headr1,ex-headr2",
        "max-age": b"50",
        "allow-credentials": b"true",
    }


@pytest.mark.parametrize("origin", [b"http://sub3.domain.com", b"http://sub.domain.com.evil", b"null", b"", None])
def test_an_origin_that_is_not_listed_gets_nothing(origin: bytes | None) -> None:
    assert respond(CREDENTIALS, origin) == {"vary": b"Origin"}


def test_forced_reflects_origin_and_headers() -> None:
    asked = [(b"Access-Control-Request-Headers", b"req-header1,req-header2")]
    assert respond(FORCED, b"https://sub.domain.com", asked=asked) == {
        "allow-origin": b"https://sub.domain.com",
        "vary": b"Origin",
        "allow-methods": ALL_METHODS,
        "allow-headers": b"req-header1,req-header2",
        "expose-headers": b"*",
        "max-age": b"5",
    }


def test_forced_without_an_origin() -> None:
    upstream = [(b"Access-Control-Allow-Headers", b"upstream's")]
    found = respond(FORCED, None, upstream)
    assert (found["allow-origin"], found["allow-methods"]) == (b"*", ALL_METHODS)
    assert "allow-headers" not in found


@pytest.mark.parametrize(("origin", "allowed"), [(b"http://a.test.com", True), (b"http://a.test2.com", False)])
def test_origins_by_pattern(origin: bytes, *, allowed: bool) -> None:
    assert respond(BY_REGEX, origin).get("allow-origin") == (origin if allowed else None)


def test_the_upstreams_own_headers_are_overwritten_where_the_origin_is_allowed() -> None:
    upstream = [(b"Access-Control-Allow-Origin", b"http://upstream"), (b"Access-Control-Max-Age", b"1")]
    found = respond({}, b"http://a.example", upstream)
    assert (found["allow-origin"], found["max-age"]) == (b"*", b"5")
    assert respond(BY_REGEX, b"http://other", upstream) == {"vary": b"Origin"}, "nor do they open what the list closes"


@pytest.mark.parametrize(
    ("vary", "expected"),
    [([], b"Origin"), ([b"Accept", b"Via"], b"Accept, Via, Origin"), ([b"origin"], b"origin"), ([b"*"], b"*")],
)
def test_vary(vary: list[bytes], expected: bytes) -> None:
    assert respond(BY_REGEX, b"http://a.test.com", [(b"Vary", value) for value in vary])["vary"] == expected


def test_max_age_may_be_left_unsaid() -> None:
    assert "max-age" not in respond({"max_age": -1}, None)


@pytest.mark.parametrize(
    ("conf", "origin", "timing"),
    [
        ({}, b"http://a.example", None),
        ({"timing_allow_origins": "*"}, b"http://a.example", b"*"),
        ({"timing_allow_origins": "http://a.example"}, b"http://a.example", b"http://a.example"),
        ({"timing_allow_origins": "http://a.example"}, b"http://b.example", None),
        ({"timing_allow_origins_by_regex": ["a.example$"]}, b"http://a.example", b"http://a.example"),
    ],
)
def test_timing(conf: dict[str, Any], origin: bytes, timing: bytes | None) -> None:
    assert respond(conf, origin).get("timing-allow-origin") == timing


@pytest.mark.parametrize(("method", "answer"), [(b"OPTIONS", Answer(200)), (b"GET", None), (b"options", None)])
def test_options_is_answered_empty(method: bytes, answer: Answer | None) -> None:
    assert run_request(chain(cors={}), exchange(method=method)) == answer


@pytest.mark.parametrize(
    "attribute", ["allow_origins", "allow_methods", "allow_headers", "expose_headers", "timing_allow_origins"]
)
def test_credentials_exclude_any(attribute: str) -> None:
    text = "you can not set '*' for other option when 'allow_credential' is true"
    assert refusal_of("cors", CREDENTIALS | {attribute: "*"}) == text


ORIGINS = r'failed to match pattern "^(\\*|\\*\\*|null|\\w+://[^,]+(,\\w+://[^,]+)*)$" with'


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"allow_origins": "x.com"}, f'property "allow_origins" validation failed: {ORIGINS} "x.com"'),
        ({"allow_origins": ""}, f'property "allow_origins" validation failed: {ORIGINS} ""'),
        (
            {"allow_origins": "*,http://y.com"},
            f'property "allow_origins" validation failed: {ORIGINS} "*,http://y.com"',
        ),
        ({"timing_allow_origins": "nulll"}, f'property "timing_allow_origins" validation failed: {ORIGINS} "nulll"'),
        ({"allow_methods": "GET\r\nX: y"}, 'property "allow_methods" validation failed: invalid value character'),
        ({"expose_headers": "a\nb"}, 'property "expose_headers" validation failed: invalid value character'),
        ({"max_age": "5"}, 'property "max_age" validation failed: wrong type: expected integer, got string'),
        (
            {"allow_origins_by_regex": []},
            'property "allow_origins_by_regex" validation failed: expect array to have at least 1 items',
        ),
        ({"allow_origins_by_regex": ["("]}, 'invalid pattern "(": missing ): ('),
        ({"timing_allow_origins_by_regex": ["(?=a)"]}, 'invalid pattern "(?=a)": invalid perl operator: (?='),
        (
            {"allow_origins_by_metadata": ["k"]},
            "allow_origins_by_metadata is not available: headgate has no plugin metadata",
        ),
    ],
)
def test_refusals(conf: dict[str, Any], text: str) -> None:
    assert refusal_of("cors", conf) == text
