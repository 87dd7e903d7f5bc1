"""What is sent on a silent event stream, as a route writes it: a comment, an event or a padded comment."""

from __future__ import annotations

import re

from headgate.stream.policy import COMMENT
from headgate.wire.sse import encode_event

MIN_PADDED_BYTES = 8
MAX_PADDED_BYTES = 65536

_PADDED = re.compile(r"padded:([0-9]{1,5})")


def parse_keepalive(text: str) -> bytes:
    """Give the bytes of ``comment``, ``event:NAME`` or ``padded:N`` (N bytes in all). Raises ValueError with the reason.

    An event has the data ``{}``: one without any would not be dispatched, and no script of a page would see it.
    """
    if text == "comment":
        return COMMENT
    kind, _, name = text.partition(":")
    name = name.strip(" ")
    if kind == "event" and name and not set(name) & set("\r\n\0"):
        return encode_event("{}", event=name)
    if (padded := _PADDED.fullmatch(text)) and MIN_PADDED_BYTES <= int(padded[1]) <= MAX_PADDED_BYTES:
        return b":".ljust(int(padded[1]) - 2) + b"\n\n"
    raise ValueError(
        f'expected "comment", "event:NAME" or "padded:N" with N from {MIN_PADDED_BYTES} to {MAX_PADDED_BYTES} bytes'
    )
