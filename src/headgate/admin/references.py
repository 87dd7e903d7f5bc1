"""Reference checks of writes: what a document names has to exist, what another names is not deleted without force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from headgate.admin.resources import Resources
from headgate.config.change import Kind
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.references import in_use, missing, references

_Referred = Literal["upstreams", "services"]

_SERVED: Mapping[str, _Referred] = {"upstreams": "upstreams", "services": "services"}
_FIELDS: Mapping[_Referred, str] = {"upstreams": "upstream_id", "services": "service_id"}
_USERS: Mapping[_Referred, tuple[Kind, ...]] = {"upstreams": ("routes", "services"), "services": ("routes",)}
"""Where a resource may be named, in the order in which APISIX looks."""


def check_references(kind: Kind, document: Mapping[str, Any], state: Resources) -> None:
    """Raise InvalidConfiguration if a document names what is not there, or repeats a plugin of another global rule."""
    for reference in references(kind, document):
        served = _SERVED.get(reference.kind)
        if served is None or state.get(served, reference.id) is None:
            raise missing(reference)
    if kind == "global_rules":
        _check_plugins_are_in_no_other_rule(document, state)


def check_deletable(kind: Kind, resource_id: str, state: Resources) -> None:
    """Raise InvalidConfiguration if a route or service names the resource."""
    referred = _SERVED.get(kind)
    if referred is None:
        return
    field = _FIELDS[referred]
    for user in _USERS[referred]:
        for item in state.all(user):
            if field in item.value and str(item.value[field]) == resource_id:
                raise in_use(referred, user, item.id)


def _check_plugins_are_in_no_other_rule(document: Mapping[str, Any], state: Resources) -> None:
    """Raise InvalidConfiguration in APISIX's words: two rules with one plugin would have no defined order."""
    for other in state.all("global_rules"):
        for name in document["plugins"]:
            if other.id != str(document["id"]) and name in other.value["plugins"]:
                text = f"plugin '{name}' already exists in global rule with id '{other.id}'"
                raise InvalidConfiguration(text, location=("plugins", name))
