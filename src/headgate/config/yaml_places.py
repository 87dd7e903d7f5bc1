"""YAML text to a :class:`Document`: plain values, and the place of each.

The text is composed into nodes by PyYAML, which keep their marks; scalars then follow YAML 1.2's core schema (section
10.3.2), so that ``off`` and ``no`` are texts, ``1:30`` is no number and a date no object. Merge keys (``<<``) and
aliases work. A key that a mapping says twice is a flaw; so is a tag of one's own and a key that is no scalar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headgate.config.document import MOST_LEVELS, Document, DocumentError
from headgate.config.problem import Path, Problem, dotted

# libyaml composes a file of 10,000 routes in 1.1 s of CPU, PyYAML's own parser in 6.9 s (2 cores, CPython 3.11).
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
# Aliases can blow a short text up without end ("billion laughs"). A text has no more values of its own than characters;
# no file that a person wrote comes near this many besides.
_MOST_ALIASED_VALUES = 100_000


class _Loader(_PARSER):  # type: ignore[misc]  # the parser is chosen when the module loads
    """Resolves plain scalars by YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own declaration, replaced as a whole
    _level = 0

    def descend_resolver(self, _node: Node | None, _index: object) -> None:
        """Count the levels: PyYAML calls this before each node, and would follow the text until the stack is full."""
        self._level += 1
        if self._level > MOST_LEVELS:
            raise RecursionError

    def ascend_resolver(self) -> None:
        """Come back from a node."""
        self._level -= 1


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def _integer(text: str) -> int:
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(text: str) -> float:
    """Read a finite number: JSON knows no other, so that ``.inf`` and ``.nan`` are texts here."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": _integer,
    _TAG + "float": _float,
    _TAG + "str": str,
    _TAG + "merge": str,
}

_COLLECTIONS = (_TAG + "map", _TAG + "seq")


def parse_yaml(text: str, file: str) -> Document:
    """Read one YAML document; an empty text is None. ``file`` is the name for problems. Raises DocumentError."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise DocumentError([_syntax_problem(error, text, file)]) from None
    except RecursionError:
        raise DocumentError([Problem(file, 1, 1, "", "nested too deeply")]) from None
    return _Reader(file, len(text) + _MOST_ALIASED_VALUES).read(node)


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return Problem(file, mark.line + 1, mark.column + 1, "", f"invalid YAML: {error.problem}")
    before = text[: getattr(error, "position", 0)]
    column = len(before) - before.rfind("\n")
    reason = getattr(error, "reason", "unreadable")
    return Problem(file, before.count("\n") + 1, column, "", f"invalid YAML: {reason}")


class _Reader:
    """Turns nodes into values, and notes the place of each."""

    def __init__(self, file: str, most_values: int) -> None:
        self._document = Document(file)
        self._most_values = most_values
        self._open: set[int] = set()
        self._values = 0

    def read(self, node: Node | None) -> Document:
        self._document.places[()] = (1, 1)
        if node is not None:
            self._document.value = self._value(node, ())
        return self._document

    def _value(self, node: Node, path: Path) -> Any:
        self._guard(node, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTIONS:
            self._unsupported(node, path)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _guard(self, node: Node, path: Path) -> None:
        self._values += 1
        if id(node) in self._open:
            raise DocumentError([self._problem(node, path, "an alias refers to what it is part of")])
        if len(path) > MOST_LEVELS:
            raise DocumentError([self._problem(node, path, "nested too deeply")])
        if self._values > self._most_values:
            raise DocumentError([self._problem(node, path, "aliases make the document too large")])

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        read = _SCALARS.get(node.tag)
        try:
            if read is not None:
                return read(node.value)
        except ValueError:  # a number too large, or an explicit tag on a text that is not of its kind: !!int x
            pass
        self._unsupported(node, path)
        return node.value

    def _sequence(self, node: Node, path: Path) -> list[Any]:
        assert isinstance(node, SequenceNode)
        items = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._document.places[here] = _place(item)
            items.append(self._value(item, here))
        return items

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == _MERGE:
                merged = {**self._merged(item, path), **merged}
            elif (name := self._key(key, path, value)) is not None:
                self._document.places[(*path, name)] = _place(key)
                value[name] = self._value(item, (*path, name))
        return {**merged, **value}

    def _key(self, key: Node, path: Path, seen: dict[str, Any]) -> str | None:
        if not isinstance(key, ScalarNode):
            self._flaw(key, path, "a key must be a text")
            return None
        name = str(key.value)
        if name in seen:
            first = self._document.places[(*path, name)][0]
            self._flaw(key, (*path, name), f"the key stands twice, first on line {first}")
            return None
        return name

    def _merged(self, node: Node, path: Path) -> dict[str, Any]:
        """Read what ``<<`` brings in: a mapping, or a list of them of which the first that has a key gives it."""
        value: dict[str, Any] = {}
        for source in _merge_sources(node):
            if not isinstance(source, MappingNode):
                self._flaw(source, path, "<< takes a mapping or a list of mappings")
                continue
            # What a mapping says itself, and what came in before, keeps its own place.
            kept, self._document.places = self._document.places, {}
            value = {**self._value(source, path), **value}
            brought, self._document.places = self._document.places, kept
            for at, place in brought.items():
                kept.setdefault(at, place)
        return value

    def _unsupported(self, node: Node, path: Path) -> None:
        self._flaw(node, path, f"cannot be read as {node.tag.removeprefix(_TAG)}")

    def _flaw(self, node: Node, path: Path, message: str) -> None:
        self._document.flaws.append((path, self._problem(node, path, message)))

    def _problem(self, node: Node, path: Path, message: str) -> Problem:
        line, column = _place(node)
        return Problem(self._document.file, line, column, dotted(path), message)


def _merge_sources(node: Node) -> Iterator[Node]:
    if isinstance(node, SequenceNode):
        yield from node.value
    else:
        yield node


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
