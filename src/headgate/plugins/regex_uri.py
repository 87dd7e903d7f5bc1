"""Rewriting a path by patterns: pairs of a pattern and what goes in the place of its first match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from headgate.expressions.pattern import Found, Pattern, compile_pattern
from headgate.plugins.uri_template import UriTemplate


@dataclass(frozen=True, slots=True)
class RegexUri:
    """The pairs, in order; the first pattern that is found decides."""

    rules: tuple[tuple[Pattern, UriTemplate], ...] = ()

    @classmethod
    def compile(cls, pairs: Sequence[str]) -> Self:
        """Compile pattern, replacement, pattern, replacement …; ``$1`` and ``${1}`` are groups, ``$$`` a dollar sign.

        ValueError: ``The length of regex_uri should be an even number``, ``invalid regex_uri(<pattern>, <replacement>): …``.
        """
        if len(pairs) % 2:
            raise ValueError("The length of regex_uri should be an even number")
        return cls(tuple(_compiled(pairs)))

    def find(self, subject: bytes) -> tuple[Found, UriTemplate] | None:
        """Give the first match and its replacement, or None if no pattern is found in ``subject``."""
        for pattern, replacement in self.rules:
            found = pattern.find(subject)
            if found is not None:
                return found, replacement
        return None


def _compiled(pairs: Sequence[str]) -> Iterator[tuple[Pattern, UriTemplate]]:
    for text, replacement in zip(pairs[::2], pairs[1::2], strict=True):
        try:
            pattern = compile_pattern(text)
            template = UriTemplate.compile(replacement.replace("$$", r"\$"))
            _check_groups(template, pattern.groups)
        except ValueError as error:
            raise ValueError(f"invalid regex_uri({text}, {replacement}): {error}") from None
        yield pattern, template


def _check_groups(template: UriTemplate, groups: int) -> None:
    for name in template.names:
        if not name.isdigit() or int(name) > groups:
            raise ValueError(f"${name} is no group of the pattern")
