"""A grid of cells, as text for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """``head`` has one cell per column, and so has each row; the first cell of each names it. ``words``: none are figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False

    def as_text(self) -> str:
        """Give aligned columns, turned by a quarter if that is narrower."""
        lines = [self.head, *self.rows]
        turned = list(zip(*lines, strict=True))
        return min(_align(lines), _align(turned), key=lambda text: max(map(len, text.splitlines())))

    def as_markdown(self) -> str:
        """Give a table; columns of figures stand to the right."""
        rule = ["---", *("---" if self.words else "---:" for _ in self.head[1:])]
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.head, rule, *self.rows))


def _align(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in row).rstrip() for row in rows)
