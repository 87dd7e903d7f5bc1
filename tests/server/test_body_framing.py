from __future__ import annotations

import pytest

from headgate.server.body_framing import BodyFraming, choose_framing, is_last, set_framing_fields
from headgate.wire.headers import Headers


@pytest.mark.parametrize(
    ("length", "has_body", "minor_version", "framing"),
    [
        (None, True, 1, BodyFraming.CHUNKED),
        (None, True, 0, BodyFraming.CLOSE),
        (0, True, 1, BodyFraming.SIZED),
        (5, True, 0, BodyFraming.SIZED),
        (5, False, 1, BodyFraming.NONE),
        (None, False, 0, BodyFraming.NONE),
    ],
)
def test_the_framing_fits_the_client(
    length: int | None, has_body: bool, minor_version: int, framing: BodyFraming
) -> None:
    assert choose_framing(length, has_body=has_body, minor_version=minor_version) is framing


@pytest.mark.parametrize(
    ("framing", "length", "status", "minor_version", "keep_alive", "expected"),
    [
        (BodyFraming.SIZED, 5, 200, 1, True, {b"Content-Length": b"5"}),
        (BodyFraming.SIZED, 5, 200, 0, True, {b"Content-Length": b"5", b"Connection": b"keep-alive"}),
        (BodyFraming.CHUNKED, None, 200, 1, True, {b"Transfer-Encoding": b"chunked"}),
        (BodyFraming.CHUNKED, None, 200, 1, False, {b"Transfer-Encoding": b"chunked", b"Connection": b"close"}),
        (BodyFraming.CLOSE, None, 200, 0, False, {b"Connection": b"close"}),
        (BodyFraming.NONE, 5, 304, 1, True, {b"Content-Length": b"5"}),
        (BodyFraming.NONE, 5, 200, 1, True, {b"Content-Length": b"5"}),
        (BodyFraming.NONE, 0, 204, 1, True, {}),
        (BodyFraming.NONE, None, 204, 1, True, {}),
    ],
)
def test_the_fields_say_the_framing(
    framing: BodyFraming,
    length: int | None,
    status: int,
    minor_version: int,
    keep_alive: bool,
    expected: dict[bytes, bytes],
) -> None:
    headers = Headers()
    set_framing_fields(headers, framing, length, status=status, minor_version=minor_version, keep_alive=keep_alive)
    assert {name: value for _, name, value in headers} == expected


@pytest.mark.parametrize(("keep_alive", "expected"), [(True, b"x"), (False, b"close")])
def test_a_plugins_connection_field_is_obeyed_unless_it_closes(keep_alive: bool, expected: bytes) -> None:
    headers = Headers.of([(b"Connection", b"x")])
    set_framing_fields(headers, BodyFraming.SIZED, 1, status=200, minor_version=1, keep_alive=keep_alive)
    assert headers.get_all(b"connection") == [expected]


@pytest.mark.parametrize(
    ("framing", "connection", "expected"),
    [
        (BodyFraming.CLOSE, None, True),
        (BodyFraming.SIZED, None, False),
        (BodyFraming.CHUNKED, b"keep-alive", False),
        (BodyFraming.CHUNKED, b"close", True),
        (BodyFraming.NONE, b"x, Close", True),
        (BodyFraming.SIZED, b"closed", False),
    ],
)
def test_a_response_is_the_last_where_framing_or_connection_says_so(
    framing: BodyFraming, connection: bytes | None, expected: bool
) -> None:
    headers = Headers() if connection is None else Headers.of([(b"Connection", connection)])
    assert is_last(framing, headers) is expected
