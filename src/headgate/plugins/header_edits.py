"""Changes to a request's headers, written as APISIX writes them and compiled once.

Invariant: no field with a CR, LF or NUL in it is ever written. Values as configured are checked when the plugin is
configured; what variables expand to is the client's, and a field that it would break is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from headgate.config.validation_texts import wrong_type
from headgate.expressions.template import Template
from headgate.expressions.variables import VariableSource
from headgate.plugins.header_text import OF_THE_CONNECTION
from headgate.plugins.variables import plugin_template
from headgate.wire.headers import Headers, valid_name, valid_value

_GROUPS: dict[str, type] = {"set": dict, "add": dict, "remove": list}

_Edit = tuple[bytes, Template]


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Fields to append, to set and to remove, in this order. ``host``: what the Host field is set to, if it is."""

    add: tuple[_Edit, ...] = ()
    set: tuple[_Edit, ...] = ()
    remove: tuple[bytes, ...] = ()
    host: Template | None = None

    @classmethod
    def compile(cls, headers: Mapping[str, Any]) -> Self:
        """Compile ``{"set": {…}, "add": {…}, "remove": […]}``, or flat ``{name: value}`` which sets.

        ValueError with APISIX's texts: ``invalid field character in header``, ``invalid value character in header``,
        ``invalid field length in header``, ``invalid type as header value``.
        """
        groups = _groups(headers)
        to_set = dict(_compiled(groups.get("set", {})))
        host = next((to_set.pop(name) for name in list(to_set) if name.lower() == b"host"), None)
        add = tuple(_compiled(groups.get("add", {})))
        remove = tuple(_checked_name(name).lower() for name in groups.get("remove", []))
        if b"host" in remove or any(name.lower() == b"host" for name, _ in add):
            raise ValueError("header Host can only be set")
        return cls(add, tuple(to_set.items()), remove, host)

    def apply(self, headers: Headers, source: VariableSource) -> None:
        """Make the changes. A field that expands to nothing, or to what no field can hold, is not there afterwards."""
        for name, template in self.add:
            value = template.expand(source)
            if value and valid_value(value):
                headers.add(name, value)
        for name, template in self.set:
            value = template.expand(source)
            if value and valid_value(value):
                headers.set(name, value)
            else:
                headers.remove(name.lower())
        for lower in self.remove:
            headers.remove(lower)


def _groups(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the grouped form, also of flat headers, of which one may be called ``set``."""
    if all(isinstance(value, str | int | float) for value in headers.values()):
        return {"set": headers}
    for key, group in headers.items():
        if key not in _GROUPS:
            raise ValueError("invalid type as header value")
        if not isinstance(group, _GROUPS[key]):
            kind = "array" if key == "remove" else "object"
            raise ValueError(f'property "{key}" validation failed: {wrong_type(kind, group)}')
    return headers


def _compiled(values: Mapping[str, Any]) -> Iterator[_Edit]:
    for name, value in values.items():
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError("invalid type as header value")
        text = str(value)
        if not valid_value(text.encode()):
            raise ValueError("invalid value character in header")
        yield _checked_name(name), plugin_template(text)


def _checked_name(name: object) -> bytes:
    if not isinstance(name, str):
        raise ValueError("invalid type as header field")
    field = name.encode()
    if not field:
        raise ValueError("invalid field length in header")
    if not valid_name(field):
        raise ValueError("invalid field character in header")
    if field.lower() in OF_THE_CONNECTION:
        raise ValueError(f"header {name} belongs to the connection and can not be changed")
    return field
