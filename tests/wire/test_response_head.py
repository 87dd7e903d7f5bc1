from __future__ import annotations

import pytest

from headgate.wire.headers import Headers
from headgate.wire.response_head import encode, reason_of


def test_fields_go_out_as_they_are_and_in_order() -> None:
    headers = Headers.of([(b"X-b", b"\xff 1"), (b"A", b""), (b"x-B", b"2")])
    assert encode(200, b"Fine", headers) == b"HTTP/1.1 200 Fine\r\nX-b: \xff 1\r\nA: \r\nx-B: 2\r\n\r\n"


def test_an_empty_reason_keeps_its_space() -> None:
    # RFC 9112 §4: the space in front of the reason phrase is not optional.
    assert encode(599, b"", Headers()) == b"HTTP/1.1 599 \r\n\r\n"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, b"OK"),
        (404, b"Not Found"),
        (413, b"Request Entity Too Large"),
        (414, b"Request-URI Too Large"),
        (431, b"Request Header Fields Too Large"),
        (505, b"HTTP Version Not Supported"),
        (599, b""),
    ],
)
def test_reasons(status: int, reason: bytes) -> None:
    assert reason_of(status) == reason
