"""The bytes of a response head towards the client."""

from __future__ import annotations

from http import HTTPStatus

from headgate.wire.headers import Headers

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Request Entity Too Large",
    414: b"Request-URI Too Large",
}


def reason_of(status: int) -> bytes:
    """Give the usual reason phrase of a status, or nothing for one without."""
    return _REASONS.get(status, b"")


def encode(status: int, reason: bytes, headers: Headers) -> bytes:
    """Make the bytes of a head, its empty line included. HTTP/1.1 is said whatever the client speaks (RFC 9110 §2.5)."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason)]
    lines += [b"%b: %b" % (name, value) for _, name, value in headers.fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"
