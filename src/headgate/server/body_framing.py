"""How a client is told where a response's body ends (RFC 9112 §6)."""

from __future__ import annotations

from enum import Enum, auto

from headgate.wire.headers import Headers


class BodyFraming(Enum):
    """The ways, each with the sign that a body was cut short."""

    NONE = auto()
    """No body."""
    SIZED = auto()
    """Content-Length; cut short: FIN before all of it."""
    CHUNKED = auto()
    """Chunks; cut short: FIN without the last one."""
    CLOSE = auto()
    """FIN; cut short: RST."""


_NONE, _SIZED, _CHUNKED = BodyFraming.NONE, BodyFraming.SIZED, BodyFraming.CHUNKED


def choose_framing(content_length: int | None, *, has_body: bool, minor_version: int) -> BodyFraming:
    """Choose for a client of HTTP/1.``minor_version``: sized where the length is known, else chunked where it exists."""
    if not has_body:
        return _NONE
    if content_length is not None:
        return _SIZED
    return _CHUNKED if minor_version else BodyFraming.CLOSE


def is_last(framing: BodyFraming, headers: Headers) -> bool:
    """Say whether the connection closes after this response: by its framing, or as its head says (RFC 9112 §9.6)."""
    return b"close" in headers.tokens(b"connection") or framing is BodyFraming.CLOSE


def set_framing_fields(
    headers: Headers,
    framing: BodyFraming,
    content_length: int | None,
    *,
    status: int,
    minor_version: int,
    keep_alive: bool,
) -> None:
    """Set the fields that say how the body ends and whether the connection goes on.

    A response without a body may still say the length that it would have: to HEAD, and in a 304 (RFC 9110 §8.6).
    """
    if content_length is not None and status != 204:
        headers.set(b"Content-Length", b"%d" % content_length)
    elif framing is _CHUNKED:
        headers.set(b"Transfer-Encoding", b"chunked")
    if not keep_alive:
        headers.set(b"Connection", b"close")
    elif not minor_version:
        headers.set(b"Connection", b"keep-alive")


def drop(piece: bytes) -> None:
    """Send nothing: the response has no body."""
