"""One thing that is wrong in a configuration file, an environment variable or a flag, and where it stands.

Invariant: a message never repeats a value that could be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and list indexes (from 0) from the top of a document down to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its place.

    ``file`` is the file as it was named, or the environment variable (``HEADGATE_ADMIN``) or flag (``--admin``) that
    brought the value. ``line`` and ``column`` count from 1 and are None where there is no text (a variable, a flag,
    a file that cannot be read). ``path`` is the dotted path to the value (``http.max_headers``, ``routes[0].uri``),
    "" for the whole.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str

    def __str__(self) -> str:
        """``FILE:LINE:COLUMN: PATH: MESSAGE``, without the parts that are not known."""
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigurationError(ValueError):
    """A configuration that cannot be used as a whole; ``problems`` holds at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems as a reader goes through the text; those without a place come first."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))


def dotted(path: Iterable[str | int]) -> str:
    """Write a path as people do: ``("routes", 0, "uri")`` is ``routes[0].uri``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
