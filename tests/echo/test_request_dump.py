from __future__ import annotations

import pytest

from headgate.echo.asgi import Scope
from headgate.echo.request_dump import canonical_name, dump_request, find_header, hex_dump, request_url


def scope(*headers: tuple[bytes, bytes], query_string: bytes = b"") -> Scope:
    return {
        "method": "POST",
        "raw_path": b"/a%20b",
        "query_string": query_string,
        "http_version": "1.1",
        "headers": list(headers),
    }


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (b"x-forwarded-for", b"X-Forwarded-For"),
        (b"X-REQUEST-ID", b"X-Request-Id"),
        (b"te", b"Te"),
        (b"x_under_score", b"X_under_score"),
        (b"a--b", b"A--B"),
        (b"1st-2nd", b"1st-2nd"),
    ],
)
def test_names_are_spelled_as_go_spells_them(name: bytes, canonical: bytes) -> None:
    assert canonical_name(name) == canonical


def test_dump_sorts_names_and_keeps_the_order_of_values() -> None:
    dump = dump_request(
        scope(
            (b"x-b", b"2"),
            (b"host", b"example.org:9080"),
            (b"x-b", b"1"),
            (b"accept", b"*/*"),
            (b"transfer-encoding", b"chunked"),
        ),
        b"line\nrest",
    )
    assert dump == (b"POST /a%20b HTTP/1.1\n\nHost: example.org:9080\nAccept: */*\nX-B: 2\nX-B: 1\n\nline\nrest")


def test_dump_without_a_body_ends_with_the_last_field() -> None:
    assert dump_request(scope((b"host", b"h"), (b"accept", b"a")), b"").endswith(b"Host: h\nAccept: a\n")


def test_url_has_the_query() -> None:
    assert request_url(scope(query_string=b"q=%2F&r")) == b"/a%20b?q=%2F&r"
    assert request_url(scope()) == b"/a%20b"


def test_absent_header_is_empty() -> None:
    assert find_header(scope((b"a", b"1"), (b"a", b"2")), b"a") == b"1"
    assert find_header(scope(), b"a") == b""


def test_hex_dump_has_sixteen_octets_to_a_line() -> None:
    assert hex_dump(bytes(range(0x41, 0x59)) + b"\n\xff") == (
        "00000000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|\n"
        "00000010  51 52 53 54 55 56 57 58  0a ff                    |QRSTUVWX..|\n"
    )
    assert hex_dump(b"") == ""
