from __future__ import annotations

import pytest
from tests.plugins.plain_exchange import exchange

from headgate.plugins.uri_template import UriTemplate, encode_path, encode_query, with_query
from headgate.plugins.variables import ExchangeVariables


@pytest.mark.parametrize(
    ("text", "target", "expanded"),
    [
        ("/new", b"/old", b"/new"),
        ("/x$uri", b"/a%20b/%C3%A9", b"/x/a%20b/%C3%A9"),
        ("/x$uri", b"/a%0d%0aHost:%20b", b"/x/a%0D%0AHost:%20b"),
        ("/x$uri", b"/a%3fb%23c%25d", b"/x/a%3Fb%23c%25d"),
        ("/a b/é%", b"/", b"/a%20b/%C3%A9%25"),
        ("/p?q=$uri&r=a b#c", b"/%0a%3f", b"/p?q=/%0A?&r=a%20b%23c"),
        ("/p?q=$arg_k", b"/?k=%41+b", b"/p?q=%41+b"),
        ("/p?", b"/", b"/p?"),
        ("/$arg_none", b"/", b"/"),
        ("/a!$&'()*+,;=:@[]-._~", b"/", b"/a!$&'()*+,;=:@[]-._~"),
        ('/"<>^`{|}\\', b"/", b"/%22%3C%3E%5E%60%7B%7C%7D%5C"),
    ],
)
def test_the_result_is_a_valid_target(text: str, target: bytes, expanded: bytes) -> None:
    assert UriTemplate.compile(text).expand(ExchangeVariables(exchange(target))) == expanded


@pytest.mark.parametrize(
    ("text", "encode", "expanded"),
    [("/n w", True, b"/b%20/n%20w/a%20"), ("/n?q=", True, b"/b%20/n?q=/a%20"), ("/n?q=", False, b"/b /n?q=/a ")],
)
def test_what_a_pattern_left_stays_on_both_sides(text: str, *, encode: bool, expanded: bytes) -> None:
    template = UriTemplate.compile(text)
    source = ExchangeVariables(exchange())
    assert template.expand(source, before=b"/b ", after=b"/a ", encode=encode) == expanded


def test_names_of_path_and_query() -> None:
    assert UriTemplate.compile("/$uri?$args").names == ("uri", "args")


def test_no_byte_gets_through_that_a_request_line_cannot_hold() -> None:
    every = bytes(range(256))
    for encoded in (encode_path(every), encode_query(every)):
        assert [byte for byte in encoded if byte <= 0x20 or byte >= 0x7F or byte == ord("#")] == []
    assert b"%3F" in encode_path(every)


@pytest.mark.parametrize(
    ("target", "query", "expected"),
    [
        (b"/a", None, b"/a"),
        (b"/a", b"", b"/a"),
        (b"/a", b"q=1", b"/a?q=1"),
        (b"/a?b=2", b"q=1", b"/a?b=2&q=1"),
    ],
)
def test_the_clients_query_is_appended(target: bytes, query: bytes | None, expected: bytes) -> None:
    assert with_query(target, query) == expected
