"""A configuration document with the place of each of its values.

Invariants: ``value`` holds only what JSON can say (dict with text keys, list, str, int, float, bool, None); each path of
the value has a place. The place of an entry is that of its key, the place of a list item its first character. Places are
for problems: a parser that can read the values without them finds them when the first one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from headgate.config.problem import ConfigurationError, Path, Problem, dotted

MOST_LEVELS = 100
"""Most levels of nesting that are read; parsers refuse more before the stack of the interpreter is in danger."""

Place = tuple[int, int]
"""Line and column, from 1."""


class DocumentError(ConfigurationError):
    """A text that cannot be read as a document; ``problems`` says where it breaks."""


@dataclass(slots=True)
class Document:
    """A parsed file. ``flaws`` are problems of a place in it that leave the rest readable, such as a key said twice.

    ``find_places`` gives the places of a document that was made without them; it is called once at most.
    """

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    flaws: list[tuple[Path, Problem]] = field(default_factory=list)
    find_places: Callable[[], dict[Path, Place]] | None = None

    def place(self, path: Iterable[str | int]) -> Place:
        """Find the place of a path or, where it is not in the text, of the nearest thing around it."""
        if self.find_places is not None:
            self.places, self.find_places = self.find_places(), None
        path = tuple(path)
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def problem(self, path: Path, message: str) -> Problem:
        """Make a problem with the place of a path."""
        line, column = self.place(path)
        return Problem(self.file, line, column, dotted(path), message)
