"""JSON text to a :class:`Document`: the values as the standard library reads them, and the place of each.

JSON is read as RFC 8259 has it (YAML's parsers differ in tabs and escapes): NaN and Infinity are no JSON. A key that an
object says twice is a flaw (section 4: what such a text means is unpredictable).
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from typing import Any, NoReturn

from headgate.config.document import MOST_LEVELS, Document, DocumentError, Place
from headgate.config.problem import Path, Problem, dotted

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


def parse_json(text: str, file: str) -> Document:
    """Read one JSON text. ``file`` is the name for problems. Raises DocumentError."""
    try:
        return _parse(text, file)
    except json.JSONDecodeError as error:
        problem = Problem(file, error.lineno, error.colno, "", f"invalid JSON: {error.msg}")
        raise DocumentError([problem]) from None
    except RecursionError:
        raise DocumentError([Problem(file, 1, 1, "", "nested too deeply")]) from None
    except ValueError as error:
        raise DocumentError([Problem(file, 1, 1, "", f"invalid JSON: {error}")]) from None


def _parse(text: str, file: str) -> Document:
    repeats = False

    def note_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeats
        value = dict(members)
        repeats = repeats or len(value) != len(members)
        return value

    value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=note_repeats)
    _refuse_depth(value)
    document = Document(file, value)
    if repeats:
        return _Places(text, document).find()
    # Walking the tokens takes ten times as long as reading the values, and most files have no problem to place.
    document.find_places = lambda: _Places(text, Document(file)).find().places
    return document


def _refuse_depth(value: object) -> None:
    layer = [value]
    for _ in range(MOST_LEVELS + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return
    raise RecursionError


def _refuse(name: str) -> NoReturn:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text[:40])


class _Places:
    """Walks the tokens of a text that is known to be JSON."""

    def __init__(self, text: str, document: Document) -> None:
        self._document = document
        self._tokens = [(match[0], match.start()) for match in _TOKEN.finditer(text)]
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._next = 0

    def find(self) -> Document:
        self._document.places[()] = (1, 1)
        self._walk(())
        return self._document

    def _take(self) -> tuple[str, Place]:
        token, offset = self._tokens[self._next]
        self._next += 1
        line = bisect_right(self._lines, offset)
        return token, (line, offset - self._lines[line - 1] + 1)

    def _peek(self) -> str:
        return self._tokens[self._next][0]

    def _walk(self, path: Path) -> None:
        if len(path) > MOST_LEVELS:
            raise RecursionError
        opening, _ = self._take()
        if opening == "{":
            self._members(path)
        elif opening == "[":
            self._items(path)

    def _members(self, path: Path) -> None:
        seen: set[Any] = set()
        while self._peek() != "}":
            token, place = self._take()
            at = (*path, json.loads(token))
            if at in seen:
                self._flaw(at, place)
            else:
                self._document.places[at] = place
                seen.add(at)
            self._take()  # the colon
            self._walk(at)
            self._skip_comma()
        self._take()

    def _items(self, path: Path) -> None:
        index = 0
        while self._peek() != "]":
            start = self._next
            _, self._document.places[(*path, index)] = self._take()
            self._next = start
            self._walk((*path, index))
            self._skip_comma()
            index += 1
        self._take()

    def _skip_comma(self) -> None:
        if self._peek() == ",":
            self._take()

    def _flaw(self, path: Path, place: Place) -> None:
        first = self._document.places[path][0]
        message = f"the key stands twice, first on line {first}"
        problem = Problem(self._document.file, place[0], place[1], dotted(path), message)
        self._document.flaws.append((path, problem))
