"""How a client is told where a response's body ends (RFC 9112 §6)."""

from __future__ import annotations

from enum import Enum, auto


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


def choose_framing(content_length: int | None, *, has_body: bool, minor_version: int) -> BodyFraming:
    """Choose for a client of HTTP/1.``minor_version``: sized where the length is known, else chunked where it exists."""
    if not has_body:
        return BodyFraming.NONE
    if content_length is not None:
        return BodyFraming.SIZED
    return BodyFraming.CHUNKED if minor_version else BodyFraming.CLOSE
