"""Header names and values as plugins' configurations hold them: refused when written if no field can hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from headgate.wire.headers import HOP_BY_HOP, valid_name, valid_value

OF_THE_CONNECTION = HOP_BY_HOP | {b"content-length"}
"""Fields that the connection itself writes; a plugin that did would break the framing of the body."""


def _check_name(text: str) -> str:
    if not valid_name(text.encode()):
        raise ValueError("invalid field character")
    return text


def _check_free_name(text: str) -> str:
    if text.lower().encode() in OF_THE_CONNECTION | {b"host", b"expect"}:
        raise ValueError(f"header {text} belongs to the connection and can not be changed")
    return text


def _check_value(text: str) -> str:
    if not valid_value(text.encode()):
        raise ValueError("invalid value character")
    return text


HeaderName = Annotated[str, AfterValidator(_check_name)]
"""A token (RFC 9110 §5.6.2)."""

FreeHeaderName = Annotated[HeaderName, AfterValidator(_check_free_name)]
"""A name that a plugin may give a field of its own: not one that frames the message or says where it goes."""

HeaderValue = Annotated[str, AfterValidator(_check_value)]
"""Text without CR, LF and NUL, sent as UTF-8."""
