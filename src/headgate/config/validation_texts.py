"""What is wrong with a document, in APISIX's words.

Invariants: one table says it for every kind of error; nothing of pydantic's own wording gets out. A text names the
way from the document's top: ``property "upstream" validation failed: property "retries" validation failed: …``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

Location = tuple[str | int, ...]


def wrong_type(expected: str, value: object) -> str:
    """Give the text for a value of another JSON type; ``expected`` is JSON schema's name of the type."""
    return f"wrong type: expected {expected}, got {_type_name(value)}"


def _type_name(value: object) -> str:
    """Name a value's type as Lua does, except that null is called null."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return "table"


def _quoted(text: object) -> str:
    """Quote as Lua's ``%q`` does."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n") + '"'


def pattern_mismatch(pattern: str, text: str) -> str:
    """Give the text for a string that a pattern does not take."""
    return f"failed to match pattern {_quoted(pattern)} with {_quoted(text)}"


def _of_type(expected: str) -> Callable[[ErrorDetails], str]:
    return lambda error: wrong_type(expected, error["input"])


def _bound(words: str, limit: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"expected {_number(error['input'])} to be {words} {_number(error['ctx'][limit])}"


def _number(value: object) -> str:
    return format(value, ".14g") if isinstance(value, float) else str(value)


def _length(words: str, limit: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"string {words} {error['ctx'][limit]}, got {len(error['input'])}"


def _size(words: str, limit: str) -> Callable[[ErrorDetails], str]:
    def text(error: ErrorDetails) -> str:
        what, things = ("object", "properties") if isinstance(error["input"], dict) else ("array", "items")
        return f"expect {what} to have at {words} {error['ctx'][limit]} {things}"

    return text


def _not_literal(error: ErrorDetails) -> str:
    # pydantic quotes the values that it expected; where all are strings, JSON schema's type comes before its enum.
    if error["ctx"]["expected"].startswith("'") and not isinstance(error["input"], str):
        return wrong_type("string", error["input"])
    return "matches none of the enum values"


def _said(error: ErrorDetails) -> str:
    return str(error["ctx"]["error"])


_TEXTS: dict[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda error: f'property "{error["loc"][-1]}" is required',
    "extra_forbidden": lambda error: f"additional properties forbidden, found {error['loc'][-1]}",
    "string_type": _of_type("string"),
    "string_unicode": lambda _: "expected valid Unicode text",
    "int_type": _of_type("integer"),
    "int_from_float": _of_type("integer"),
    "float_type": _of_type("number"),
    "finite_number": lambda error: f"expected {_number(error['input'])} to be finite",
    "bool_type": _of_type("boolean"),
    "dict_type": _of_type("object"),
    "model_type": _of_type("object"),
    "model_attributes_type": _of_type("object"),
    "list_type": _of_type("array"),
    "tuple_type": _of_type("array"),
    "set_type": _of_type("array"),
    "frozen_set_type": _of_type("array"),
    "literal_error": _not_literal,
    "enum": lambda _: "matches none of the enum values",
    "greater_than": _bound("greater than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("smaller than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": _length("too short, expected at least", "min_length"),
    "string_too_long": _length("too long, expected at most", "max_length"),
    "string_pattern_mismatch": lambda error: pattern_mismatch(error["ctx"]["pattern"], error["input"]),
    "too_short": _size("least", "min_length"),
    "too_long": _size("most", "max_length"),
    "value_error": _said,
}
"""The text for each kind of error of pydantic's. Kinds of our own, and of plugins' validators, bring their text."""

_OF_PYDANTIC = frozenset(get_args(ErrorType))

_ABOUT_A_KEY = frozenset({"missing", "extra_forbidden"})
"""Errors whose text names the last key of their location itself."""


def describe(error: ValidationError, document: object, model: type[BaseModel]) -> tuple[str, Location]:
    """Say what is wrong first: the text, without any prefix for the whole, and where it is.

    ``document`` is what was validated against ``model``. Inside a union it is said only that no member matched.
    """
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    named = location[:-1] if first["type"] in _ABOUT_A_KEY else location
    way, known = _way(named, document, _schema(model))
    if known < len(named):
        return way + "object matches none of the required", named[:known]
    return way + _text(first), location


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _text(error: ErrorDetails) -> str:
    form = _TEXTS.get(error["type"])
    if form is not None:
        return form(error)
    return "invalid value" if error["type"] in _OF_PYDANTIC else error["msg"]


def _way(location: Location, value: Any, schema: dict[str, Any]) -> tuple[str, int]:
    """Follow a location through the document; give the words for it and how many steps the document has."""
    words, definitions = "", schema.get("$defs", {})
    for number, step in enumerate(location):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return words, number  # pydantic's name for a union's member, not a key
        schema = _resolved(schema, definitions)
        if isinstance(step, int):
            words += f"failed to validate item {step + 1}: "
            schema = schema.get("items", {})
        elif _is_map(schema, step):
            words += f'failed to validate {step} (matching ".*"): '
            schema = schema["additionalProperties"]
        else:
            words += f'property "{step}" validation failed: '
            schema = schema.get("properties", {}).get(step, {})
    return words, len(location)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; of alternatives take the one that is not null."""
    for alternative in schema.get("anyOf", ()):
        if alternative.get("type") != "null":
            schema = alternative
            break
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: dict[str, Any] = definitions.get(name, schema)
    return resolved


def _is_map(schema: dict[str, Any], key: str) -> bool:
    """Say whether ``key`` is one of any number of like entries."""
    return isinstance(schema.get("additionalProperties"), dict) and key not in schema.get("properties", {})
