"""The layers of the settings laid over each other, and what is wrong with the result, in people's words.

Invariants: a value from a variable or flag replaces the file's whole value, lists included; a problem names the layer
that its value comes from, and never the value, unless it is an address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headgate.config.document import Document
from headgate.config.overrides import Override, did_you_mean
from headgate.config.problem import Path, Problem, dotted

_TEXTS = {
    "int_type": "expected a whole number, got {got}",
    "float_type": "expected a number, got {got}",
    "string_type": "expected a text, got {got}",
    "path_type": "expected a path, got {got}",
    "tuple_type": "expected a list, got {got}",
    "model_type": "expected a mapping, got {got}",
    "missing": "this key is required",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be visible ASCII without spaces, at least one character",
    "literal_error": "expected one of {expected}",
    "finite_number": "expected a finite number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}
"""What a problem says, by pydantic's kind of error. A kind that is not here speaks in pydantic's words."""


class Layers:
    """``values``: the file's settings with overrides laid over them, as plain nested data."""

    def __init__(self, document: Document, overrides: Iterable[Override]) -> None:
        self.values: dict[str, Any] = dict(document.value)
        self._document = document
        self._sources: dict[Path, str] = {}
        for override in overrides:
            self._lay(override)

    def _lay(self, override: Override) -> None:
        section = self.values
        for name in override.path[:-1]:
            inner = section.setdefault(name, {})
            if not isinstance(inner, dict):
                return  # the file has something else in the section's place, which is a problem of its own
            section[name] = section = dict(inner)
        section[override.path[-1]] = override.value
        self._sources[override.path] = override.source

    def problem(self, path: Path, message: str) -> Problem:
        """Make a problem with the place of the layer that the path's value comes from."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._sources:
                return Problem(self._sources[path[:end]], None, None, dotted(path), message)
        return self._document.problem(path, message)


def settings_problems(model: type[BaseModel], error: ValidationError, layers: Layers) -> Iterator[Problem]:
    """Translate what pydantic found wrong with the layers' values."""
    for detail in error.errors(include_url=False):
        path = detail.get("ctx", {}).get("at", detail["loc"])
        yield layers.problem(path, _text(model, detail))


def _text(model: type[BaseModel], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        *path, name = detail["loc"]
        return "no such setting" + did_you_mean(str(name), _names(model, path))
    form = _TEXTS.get(detail["type"])
    if form is None:
        return detail["msg"]
    return form.format(got=_got(detail["input"]), **detail.get("ctx", {}))


def _names(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """List the keys that a mapping at a path may have; none for those in lists, whose models say enough."""
    for name in path:
        inner = model.model_fields[name].annotation if isinstance(name, str) else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def _got(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {str: "a text", int: "a number", float: "a fraction", list: "a list", dict: "a mapping"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), type(value).__name__)
