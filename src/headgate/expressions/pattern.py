"""Regular expressions that meet request data: RE2, linear time, on bytes.

The one place that imports re2. A pattern is compiled when a resource is written, so what the engine cannot take
(look-around, back-references, a program that is too large) is refused there and never met by a request.

Bytes are matched one by one (RE2's Latin-1 mode): any input is legal, ``.`` is one byte, a non-ASCII literal in the
pattern stands for its UTF-8 bytes. That is PCRE without its UTF flag, the mode in which NGINX and APISIX match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import re2

MAX_PATTERN_BYTES = 4096
"""Longest pattern text accepted."""

MAX_PROGRAM_BYTES = 1 << 20
"""Memory that one compiled pattern may use, its caches included; RE2 turns slower, not wrong, when a cache fills."""


@dataclass(frozen=True, slots=True)
class Found:
    """The first match: ``value[start:end]``, and its groups (0 = the whole; a group that took no part is empty)."""

    start: int
    end: int
    groups: tuple[bytes, ...]


class Pattern:
    """One compiled pattern."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str, compiled: Any) -> None:
        self.text = text
        self._compiled = compiled

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    @property
    def groups(self) -> int:
        """How many groups the pattern has, the whole match not counted."""
        return int(self._compiled.groups)

    def matches(self, value: bytes) -> bool:
        """Say whether the pattern is found anywhere in ``value``."""
        return self._compiled.search(value) is not None

    def find(self, value: bytes) -> Found | None:
        """Give the first match, or None."""
        match = self._compiled.search(value)
        if match is None:
            return None
        return Found(match.start(), match.end(), (match.group(), *match.groups(default=b"")))


def compile_pattern(text: str, *, ignore_case: bool = False) -> Pattern:
    """Compile ``text`` (RE2 syntax); ValueError says what the engine does not take."""
    pattern = text.encode()
    if len(pattern) > MAX_PATTERN_BYTES:
        raise ValueError(f"pattern too long, expected at most {MAX_PATTERN_BYTES} bytes, got {len(pattern)}")
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    options.case_sensitive = not ignore_case
    try:
        return Pattern(text, re2.compile(pattern, options))
    except re2.error as error:
        raise ValueError(f'invalid pattern "{text}": {_reason(error)}') from None


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
