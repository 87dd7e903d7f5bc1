from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.plain_exchange import chain, exchange, run_request, run_response
from tests.plugins.refusals import refusal_of

FIELDS = (b"content-type", b"x-accel-buffering", b"connection", b"cache-control")


@pytest.mark.parametrize(
    ("conf", "upstream_type", "expected"),
    [
        ({}, b"text/plain", (b"text/event-stream; charset=utf-8", b"no", b"keep-alive", b"no-cache")),
        (
            {"override_content_type": False},
            b"application/json",
            (b"application/json", b"no", b"keep-alive", b"no-cache"),
        ),
        (
            {"connection_header": "Upgrade", "cache_control": "public, max-age=86400"},
            b"text/plain",
            (b"text/event-stream; charset=utf-8", b"no", b"Upgrade", b"public, max-age=86400"),
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_headers_on_any_response(
    conf: dict[str, Any], upstream_type: bytes, expected: tuple[bytes, ...], status: int
) -> None:
    upstream = [(b"Content-Type", upstream_type), (b"Cache-Control", b"private"), (b"Cache-Control", b"max-age=1")]
    headers = run_response(chain(sse=conf), exchange(), upstream, status)
    assert tuple(headers[name] for name in FIELDS) == expected


@pytest.mark.parametrize(
    ("conf", "read_timeout_s"),
    [({}, 3600.0), ({"proxy_read_timeout": 7200}, 7200.0), ({"proxy_read_timeout": 0}, 0.0)],
)
def test_read_timeout(conf: dict[str, Any], read_timeout_s: float) -> None:
    given = exchange()
    assert run_request(chain(sse=conf), given) is None
    assert given.read_timeout_s == read_timeout_s


@pytest.mark.parametrize("accepted", [[], [b"gzip, br"], [b"gzip", b"identity;q=0"]])
def test_the_upstream_is_asked_for_no_encoding(accepted: list[bytes]) -> None:
    given = exchange(headers=[(b"Accept-Encoding", value) for value in accepted])
    for method in chain(sse={}).on_upstream_request:
        method(given, given.upstream_request)
    assert given.upstream_request.headers.get_all(b"accept-encoding") == [b"identity"]


@pytest.mark.parametrize("attribute", ["connection_header", "cache_control"])
@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: b", "a\nb", "a\0b"])
def test_header_breaks_are_refused(attribute: str, text: str) -> None:
    assert refusal_of("sse", {attribute: text}) == f'property "{attribute}" validation failed: invalid value character'


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"proxy_read_timeout": -1}, 'property "proxy_read_timeout" validation failed: expected -1 to be at least 0'),
        (
            {"proxy_read_timeout": "60"},
            'property "proxy_read_timeout" validation failed: wrong type: expected integer, got string',
        ),
        (
            {"override_content_type": "yes"},
            'property "override_content_type" validation failed: wrong type: expected boolean, got string',
        ),
        ({"read_timeout": 1}, "additional properties forbidden, found read_timeout"),
    ],
)
def test_refusals(conf: dict[str, Any], text: str) -> None:
    assert refusal_of("sse", conf) == text
