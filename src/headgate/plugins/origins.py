"""Which origins (RFC 6454) a resource is open to, as ``cors`` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.expressions.pattern import Pattern, compile_pattern


@dataclass(frozen=True, slots=True)
class Origins:
    """Exact origins, or patterns, or anyone. ``reflects``: anyone, and the answer names the request's own origin."""

    exact: frozenset[bytes] = frozenset()
    patterns: tuple[Pattern, ...] = ()
    anyone: bool = False
    reflects: bool = False

    @classmethod
    def compile(cls, text: str | None, patterns: Sequence[str] | None) -> Origins:
        """Compile ``*``, ``**`` or a list separated by commas; patterns replace it; neither = no origin.

        ValueError for a pattern that RE2 does not take.
        """
        if patterns is not None:
            return cls(patterns=tuple(compile_pattern(pattern) for pattern in patterns))
        if text is None:
            return cls()
        if text in {"*", "**"}:
            return cls(anyone=True, reflects=text == "**")
        return cls(exact=frozenset(text.encode().split(b",")))

    @property
    def varies(self) -> bool:
        """Whether the answer depends on the request's origin."""
        return self.reflects or bool(self.exact or self.patterns)

    def allowed(self, origin: bytes | None) -> bytes | None:
        """Give what the answer names for a request's ``Origin`` (None = it had none), or None if it is not allowed."""
        if self.anyone:
            return origin if self.reflects and origin else b"*"
        if origin is None:
            return None
        if origin in self.exact or any(pattern.matches(origin) for pattern in self.patterns):
            return origin
        return None
