"""Settings given outside the file: ``HEADGATE_…`` environment variables and flags.

The variable of ``http.max_headers`` is ``HEADGATE_HTTP_MAX_HEADERS``. An empty variable counts as not set. A variable
with the prefix that is no setting is a problem, except those that Kubernetes makes for a Service named headgate
(``HEADGATE_SERVICE_HOST``, ``HEADGATE_PORT_9080_TCP`` …) and those that commands read (``HEADGATE_ADMIN_KEY``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from headgate.config.problem import Problem

PREFIX = "HEADGATE_"

_KUBERNETES = re.compile(
    r"HEADGATE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)\w*)?)"
)

_OF_COMMANDS = frozenset({"HEADGATE_ADMIN_KEY"})

SettingPath = tuple[str, ...]


Kind = Literal["text", "number", "list"]


@dataclass(slots=True)
class Override:
    """One value from a variable or flag; ``source`` is its name as people write it."""

    path: SettingPath
    source: str
    value: Any


def overrides_from(
    model: type[BaseModel], environ: Mapping[str, str], flags: Mapping[str, object]
) -> tuple[list[Override], list[Problem]]:
    """Give what variables and flags say about the settings of ``model``, flags last, and the names that are none.

    ``flags`` are by dotted name (``http.max_headers``); a value None, () or [] is a flag that was not given.
    """
    kinds = dict(_settings(model, ()))
    variables = {PREFIX + "_".join(path).upper(): path for path in kinds}
    ours = {name: text for name, text in environ.items() if _is_ours(name, variables) and text}
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    found = [
        *_look_up(ours, variables, {name: name for name in ours}),
        *_look_up(given, {".".join(path): path for path in kinds}, {name: _flag(name) for name in given}),
    ]
    overrides = [override for override in found if isinstance(override, Override)]
    for override in overrides:
        override.value = _read(override.value, kinds[override.path])
    return overrides, [problem for problem in found if isinstance(problem, Problem)]


def _settings(model: type[BaseModel], path: SettingPath) -> Iterator[tuple[SettingPath, Kind]]:
    """List the path and kind of each setting, those of nested sections in place of the sections."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, (*path, name))
        else:
            yield (*path, name), _kind(kind)


def _kind(annotation: Any) -> Kind:
    if any(get_origin(part) is tuple for part in (annotation, *get_args(annotation))):
        return "list"
    return "number" if annotation in (int, float) else "text"


def _is_ours(name: str, variables: Mapping[str, SettingPath]) -> bool:
    if name in _OF_COMMANDS or _KUBERNETES.fullmatch(name):
        return name in variables
    return name.startswith(PREFIX)


def _flag(name: str) -> str:
    return "--" + re.sub(r"[._]", "-", name)


def _look_up(
    values: Mapping[str, object], paths: Mapping[str, SettingPath], sources: Mapping[str, str]
) -> Iterator[Override | Problem]:
    for name, value in values.items():
        path = paths.get(name)
        if path is None:
            yield Problem(sources[name], None, None, "", "no such setting" + did_you_mean(name, paths))
        else:
            yield Override(path, sources[name], value)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Suggest the known name that is most like a wrong one: ``; did you mean "listen"?``, or nothing."""
    close = get_close_matches(name, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _read(value: Any, kind: Kind) -> Any:
    """Turn a text into what the setting takes; what it cannot be stays a text, for the model to refuse."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, str) or kind == "text":
        return value
    parsed = _parse(value)
    if kind == "number":
        return parsed if isinstance(parsed, int | float) else value
    return parsed if isinstance(parsed, list) else [part.strip() for part in value.split(",")]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
