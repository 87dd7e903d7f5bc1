"""Header names and values as plugins' configurations hold them: refused when written if no field can hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from headgate.wire.headers import valid_name, valid_value


def _check_name(text: str) -> str:
    if not valid_name(text.encode()):
        raise ValueError("invalid field character")
    return text


def _check_value(text: str) -> str:
    if not valid_value(text.encode()):
        raise ValueError("invalid value character")
    return text


HeaderName = Annotated[str, AfterValidator(_check_name)]
"""A token (RFC 9110 §5.6.2)."""

HeaderValue = Annotated[str, AfterValidator(_check_value)]
"""Text without CR, LF and NUL, sent as UTF-8."""
