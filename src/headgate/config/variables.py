"""``${{NAME}}`` and ``${{NAME:=default}}`` in a routes file, as APISIX expands them.

A variable that is set, if only to nothing, wins over the default. Expansion happens after parsing, in texts and in
keys, so that a value cannot change the structure of the file. A text that a variable made into a JSON number, ``true``
or ``false`` becomes that value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from headgate.config.problem import Path

_BEGINNING = "${{"
_VARIABLE = re.compile(r"\$\{\{\s*([A-Za-z0-9_]+)\s*(?::=(.*?))?\s*\}\}", re.DOTALL)
_PLAIN = re.compile(r"true|false|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?")


class ExpansionError(ValueError):
    """A variable that cannot be expanded; ``path`` leads to the text that it stands in."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def expand(value: Any, environ: Mapping[str, str], path: Path = ()) -> Any:
    """Give a copy of JSON-like data with its variables expanded. Raises ExpansionError at the first that is not set."""
    if isinstance(value, str):
        return _typed(value, _text(value, environ, path)) if _BEGINNING in value else value
    if isinstance(value, list):
        return [expand(item, environ, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _mapping(value, environ, path)
    return value


def _mapping(value: dict[str, Any], environ: Mapping[str, str], path: Path) -> dict[str, Any]:
    expanded: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        name = _text(key, environ, here) if _BEGINNING in key else key
        if name in expanded:
            raise ExpansionError(here, f'the key "{name}" stands twice once variables are expanded')
        expanded[name] = expand(item, environ, here)
    return expanded


def _text(text: str, environ: Mapping[str, str], path: Path) -> str:
    def put_in(match: re.Match[str]) -> str:
        value = environ.get(match[1], None if match[2] is None else match[2].strip())
        if value is None:
            raise ExpansionError(path, f"environment variable {match[1]} is not set, and no default is given")
        return value

    return _VARIABLE.sub(put_in, text)


def _typed(before: str, after: str) -> Any:
    return json.loads(after) if _VARIABLE.search(before) and _PLAIN.fullmatch(after) else after
