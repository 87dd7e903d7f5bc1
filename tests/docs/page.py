"""A page of the documentation, and the tables in it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

Row = list[str]


def read_page(name: str) -> str:
    """Give a page's text, by its path below ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """Give the text between a heading of the second level and the next one."""
    parts = [part for part in page.split("\n## ")[1:] if part.partition("\n")[0] == heading]
    assert len(parts) == 1, f"{len(parts)} headings {heading!r}"
    return parts[0]


def headings(page: str) -> list[str]:
    """Give the headings of the second level."""
    return [part.partition("\n")[0] for part in page.split("\n## ")[1:]]


def rows(text: str, first_column: str) -> list[Row]:
    """Give the rows of every table in a text whose first column has this title; code marks are taken off."""
    found: list[Row] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside and set(cells[0]) != {"-"}:
            found.append(cells)
        elif cells[0] == first_column:
            inside = True
    return found


def names(text: str, first_column: str) -> list[str]:
    """Give the first cells of such tables."""
    return [row[0] for row in rows(text, first_column)]


def blocks(text: str, language: str) -> list[str]:
    """Give what stands in a text's fenced blocks of a language, those within lists too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]
