from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.plain_exchange import chain, exchange, run_request
from tests.plugins.refusals import refusal_of

from headgate.plugins.api import Answer
from headgate.wire.request import UpstreamRequest


def rewritten(conf: dict[str, Any], target: bytes, **request: Any) -> UpstreamRequest:
    given = exchange(target, **request)
    assert run_request(chain(proxy_rewrite=conf), given) is None
    return given.upstream_request


@pytest.mark.parametrize(
    ("conf", "target", "expected"),
    [
        ({"uri": "/uri"}, b"/hello", b"/uri"),
        ({"uri": "/args"}, b"/hello?q=apisix&a=iresty", b"/args?q=apisix&a=iresty"),
        ({"uri": "/args?c=1"}, b"/hello?q=apisix", b"/args?c=1&q=apisix"),
        ({"uri": "/$arg_new"}, b"/hello?new=v", b"/v?new=v"),
        ({"uri": "/x$uri"}, b"/a%0d%0ab%20c", b"/x/a%0D%0Ab%20c"),
        ({"uri": "/x$uri"}, b"/a%3fb?c=1", b"/x/a%3Fb?c=1"),
        ({"regex_uri": ["^/test/(.*)/(.*)", "/$1_$2"]}, b"/test/a/b?q=1", b"/a_b?q=1"),
        ({"regex_uri": ["^/test/(.*)", "/x?from=$1"]}, b"/test/a%20b?q=1", b"/x?from=a%20b&q=1"),
        ({"regex_uri": ["b", "c"]}, b"/a%20b%20d", b"/a%20c%20d"),
        ({"regex_uri": ["^/test/(.*)", "/$1"]}, b"/test/a%3fb", b"/a%3Fb"),
        ({"regex_uri": ["^/none", "/x"]}, b"/a/../b%20c?q=1", b"/a/../b%20c?q=1"),
        ({"uri": "/uri", "regex_uri": ["^/(.*)", "/regex/$1"]}, b"/hello", b"/uri"),
        ({"method": "POST"}, b"/a//b%20c?q=1", b"/a//b%20c?q=1"),
        ({"use_real_request_uri_unsafe": True}, b"/a/../%41?q", b"/a/../%41?q"),
        ({"use_real_request_uri_unsafe": True, "regex_uri": ["^/a/(.*)", "/$1"]}, b"/a/%2e%41?q=1", b"/%2e%41?q=1"),
        ({"use_real_request_uri_unsafe": True, "uri": "/$arg_q"}, b"/?q=%41", b"/%41"),
    ],
)
def test_targets(conf: dict[str, Any], target: bytes, expected: bytes) -> None:
    assert rewritten(conf, target).target == expected


@pytest.mark.parametrize(
    ("conf", "method", "host"),
    [
        ({"uri": "/plugin_proxy_rewrite", "host": "apisix.iresty.com"}, b"GET", b"apisix.iresty.com"),
        ({"host": "test.com:6443"}, b"GET", b"test.com:6443"),
        ({"method": "POST"}, b"POST", None),
        ({"headers": {"Host": "$arg_h"}}, b"GET", b"a.example"),
        ({"headers": {"Host": "$arg_none"}}, b"GET", None),
        ({"headers": {"Host": "b.example"}, "host": "c.example"}, b"GET", b"c.example"),
    ],
)
def test_method_and_host(conf: dict[str, Any], method: bytes, host: bytes | None) -> None:
    request = rewritten(conf, b"/hello?h=a.example")
    assert (request.method, request.host) == (method, host)


def test_headers() -> None:
    headers = {"set": {"X-Set": "$remote_addr-$1"}, "add": {"X-Add": "n"}, "remove": ["X-Remove"]}
    conf = {"regex_uri": ["^/(h..)", "/$1"], "headers": headers}
    request = rewritten(conf, b"/hello", headers=[(b"X-Add", b"c"), (b"X-Remove", b"c"), (b"X-Set", b"c")])
    fields = [(name, value) for _, name, value in request.headers]
    assert fields == [(b"X-Add", b"c"), (b"X-Set", b"127.0.0.1-hel"), (b"X-Add", b"n")]


def test_an_empty_value_removes_a_header() -> None:
    assert len(rewritten({"headers": {"X-Api-Engine": ""}}, b"/", headers=[(b"X-Api-Engine", b"x")]).headers) == 0


@pytest.mark.parametrize(
    ("conf", "target", "text"),
    [
        (
            {"use_real_request_uri_unsafe": True, "uri": "/x$uri"},
            b"/a%0d%0ab",
            b"the rewritten request target is not valid",
        ),
        (
            {"use_real_request_uri_unsafe": True, "uri": "/x$uri"},
            b"/a%20b",
            b"the rewritten request target is not valid",
        ),
        ({"regex_uri": ["^/", ""]}, b"/a", b"the rewritten request target is not valid"),
        ({"headers": {"Host": "$uri"}}, b"/a%0d%0ab", b"the rewritten Host is not valid"),
        ({"headers": {"Host": "$arg_h"}}, b"/?h=a@b", b"the rewritten Host is not valid"),
    ],
)
def test_what_no_request_can_hold_is_answered(conf: dict[str, Any], target: bytes, text: bytes) -> None:
    given = exchange(target)
    answer = run_request(chain(proxy_rewrite=conf), given)
    assert answer == Answer(400, b'{"message":"%s"}' % text, ((b"Content-Type", b"application/json"),))
    assert (given.upstream_request.target, given.upstream_request.host) == (target, None)


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"uri": "hello"}, r'property "uri" validation failed: failed to match pattern "^\\/.*" with "hello"'),
        ({"uri": ""}, 'property "uri" validation failed: string too short, expected at least 1, got 0'),
        ({"headers": {"X-Api:Version": "v"}}, "invalid field character in header"),
        ({"headers": {"X-Api": "a\r\nb"}}, "invalid value character in header"),
        ({"headers": {}}, 'property "headers" validation failed: expect object to have at least 1 properties'),
        ({"method": "GIT"}, 'property "method" validation failed: matches none of the enum values'),
        (
            {"host": "a/b"},
            r'property "host" validation failed: failed to match pattern "^[0-9a-zA-Z-.]+(:\\d{1,5})?$" with "a/b"',
        ),
        ({"regex_uri": ["^/a"]}, 'property "regex_uri" validation failed: expect array to have at least 2 items'),
        ({"regex_uri": ["(", "b"]}, 'invalid regex_uri((, b): invalid pattern "(": missing ): ('),
        ({"scheme": "https"}, "additional properties forbidden, found scheme"),
        ({}, "expect object to have at least 1 properties"),
    ],
)
def test_refusals(conf: dict[str, Any], text: str) -> None:
    assert refusal_of("proxy-rewrite", conf) == text
