"""The routes file: all resources in one YAML or JSON file, as APISIX's standalone mode has it.

Invariants: a broken item never takes another one with it, unless that refers to it, and is never dropped in silence:
what is not in ``changes`` has a problem. A file that is broken as a whole raises, and the caller keeps what it had. A
YAML file counts only when it ends in ``#END``, so that one that is still being written is not taken for a short one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate.config.change import KINDS, Change, Kind
from headgate.config.document import Document, DocumentError
from headgate.config.document_file import is_json, parse_document, read_text
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.overrides import did_you_mean
from headgate.config.problem import ConfigurationError, Problem, in_order
from headgate.config.problem import Path as Steps
from headgate.config.references import missing, references
from headgate.config.validation import PluginCatalog, validate
from headgate.config.variables import ExpansionError, expand

UNSERVED = (
    "consumers",
    "ssls",
    "plugin_configs",
    "plugin_metadata",
    "consumer_groups",
    "protos",
    "secrets",
    "stream_routes",
    "plugins",
)
"""Sections that APISIX has in such a file and that headgate does not serve."""

SECTIONS = (*KINDS, *UNSERVED)


class RoutesFileError(ConfigurationError):
    """A routes file that is broken as a whole: unreadable, not ended, no YAML or JSON, no mapping."""


@dataclass(frozen=True, slots=True)
class RoutesFileResult:
    """What a routes file says.

    ``changes``: one for each good item, each after those that it refers to; ``value`` has its ``id`` as text;
    ``created_index`` and ``modified_index`` are the item's number among the good ones, from 1. ``problems``: everything
    else that the file holds, in the order of the text.
    """

    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


Admit = Callable[[Change], None]
"""Takes a valid item; raises InvalidConfiguration for one that cannot work together with those before it."""


def read_routes(
    path: Path,
    plugins: PluginCatalog,
    environ: Mapping[str, str] = os.environ,
    *,
    admit: Admit = lambda _: None,
) -> RoutesFileResult:
    """Read a routes file. ``environ`` gives the values of ``${{NAME}}``. Raises RoutesFileError."""
    try:
        document = parse_routes(read_text(path), path)
    except DocumentError as error:
        raise RoutesFileError(error.problems) from None
    return _Reading(document, plugins, environ, admit).result()


def parse_routes(text: str, path: Path) -> Document:
    """Parse a routes file's text into a document whose value is a mapping. Raises DocumentError or RoutesFileError."""
    lines = text.rstrip().splitlines() or [""]
    if not is_json(path) and not lines[-1].endswith("#END"):
        message = "the file does not end with #END, so it counts as still being written"
        raise RoutesFileError([Problem(str(path), len(lines), len(lines[-1]) + 1, "", message)])
    document = parse_document(text, path)
    if document.value is None:
        document.value = {}
    if not isinstance(document.value, dict):
        raise RoutesFileError([Problem(str(path), 1, 1, "", "expected a mapping of sections, such as routes")])
    broken = [problem for at, problem in document.flaws if len(at) <= 1]
    if broken:
        raise RoutesFileError(broken)
    return document


class _Reading:
    """One pass over a document: its good items, and its problems."""

    def __init__(self, document: Document, plugins: PluginCatalog, environ: Mapping[str, str], admit: Admit) -> None:
        self._document = document
        self._plugins = plugins
        self._admit = admit
        self._environ = environ
        self._flawed = {at[:2] for at, _ in document.flaws}
        self._problems = [problem for _, problem in document.flaws]
        self._good: dict[tuple[Kind, str], dict[str, Any]] = {}

    def result(self) -> RoutesFileResult:
        self._name_unserved()
        for kind in KINDS:
            self._section(kind)
        changes = (
            Change(kind, id_, value, index, index) for index, ((kind, id_), value) in enumerate(self._good.items(), 1)
        )
        return RoutesFileResult(tuple(changes), tuple(in_order(self._problems)))

    def _name_unserved(self) -> None:
        for name in self._document.value:
            if name in UNSERVED:
                self._add((name,), "headgate does not serve this section yet; it is left out")
            elif name not in SECTIONS:
                self._add((name,), "no such section" + did_you_mean(name, SECTIONS))

    def _section(self, kind: Kind) -> None:
        items = self._document.value.get(kind)
        if items is None:
            return
        if not isinstance(items, list):
            self._add((kind,), f"expected a list of {kind}")
            return
        seen: dict[str, int] = {}
        for index, item in enumerate(items):
            if (kind, index) not in self._flawed:
                self._item(kind, index, item, seen)

    def _item(self, kind: Kind, index: int, item: object, seen: dict[str, int]) -> None:
        at = (kind, index)
        try:
            value = expand(item, self._environ, at)
        except ExpansionError as error:
            self._add(error.path, str(error))
            return
        if not isinstance(value, dict):
            self._add(at, "expected a mapping")
            return
        value.setdefault("id", f"arr_{index + 1}")
        id_ = str(value["id"])
        first = seen.setdefault(id_, index)
        if first != index:
            line = self._document.place((kind, first))[0]
            self._add((*at, "id"), f"found duplicate id {id_} in {kind}, first on line {line}")
        elif self._is_valid(kind, value, at) and self._refers_well(kind, value, at):
            good = {**value, "id": id_}
            if self._passes(lambda: self._admit(Change(kind, id_, good)), at):
                self._good[kind, id_] = good

    def _is_valid(self, kind: Kind, value: dict[str, Any], at: Steps) -> bool:
        return self._passes(lambda: validate(kind, value, self._plugins), at)

    def _passes(self, check: Callable[[], object], at: Steps) -> bool:
        try:
            check()
        except InvalidConfiguration as error:
            self._add((*at, *error.location), error.text)
            return False
        return True

    def _refers_well(self, kind: Kind, value: dict[str, Any], at: Steps) -> bool:
        """Say whether all that the item refers to is among the good items, which are read before it."""
        good = True
        for reference in references(kind, value):
            if (reference.kind, reference.id) not in self._good:
                refusal = missing(reference)
                self._add((*at, *refusal.location), refusal.text)
                good = False
        return good

    def _add(self, path: Steps, message: str) -> None:
        self._problems.append(self._document.problem(path, message))
