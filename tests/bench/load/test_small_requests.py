from __future__ import annotations

import pytest
from bench.load.small_requests import is_whole

BODY = b"3-14".ljust(100, b".")
OTHER = b"3-15".ljust(100, b".")
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"


@pytest.mark.parametrize(
    ("told", "whole"),
    [
        (SIZED + BODY, True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-a: b\r\n\r\n" + BODY, True),
        (CHUNKED + BODY + b"\r\n0\r\n\r\n", True),
        (SIZED, False),
        (SIZED + BODY[:-1], False),
        (SIZED + OTHER, False),
        (CHUNKED + BODY, False),
        (CHUNKED + BODY + b"\r\n", False),
        (CHUNKED + BODY + b"\r\n0\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, False),
        (b"", False),
    ],
)
def test_an_answer_is_whole_with_its_last_byte_and_its_framing(told: bytes, whole: bool) -> None:
    assert is_whole(told, BODY) is whole
