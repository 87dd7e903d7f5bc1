"""Whether a document may be stored and served: the one gate before store, routes file and data plane.

Invariant: what :func:`validate` lets through is complete in itself. Whether the ids in it exist is left to
``references``, whether its times may be set to :func:`forbid_times`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, overload

from pydantic import ValidationError

from headgate.config.change import Kind
from headgate.config.global_rule import GlobalRule
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.resource import check_id, forbid_times
from headgate.config.route import Route
from headgate.config.service import Service
from headgate.config.upstream import Upstream
from headgate.config.validation_plugins import (
    PluginCatalog,
    PluginMeta,
    check_plugins,
    check_vars,
    failed_plugin,
    parse_plugin,
    plugin_meta,
    unknown_plugin,
)
from headgate.config.validation_texts import describe, wrong_type
from headgate.config.validation_upstream import check_upstream

__all__ = [
    "MODELS",
    "InvalidConfiguration",
    "PluginCatalog",
    "PluginMeta",
    "check_id",
    "failed_plugin",
    "forbid_times",
    "parse_plugin",
    "plugin_meta",
    "unknown_plugin",
    "validate",
]

AnyResource = Route | Service | Upstream | GlobalRule

MODELS: Mapping[Kind, type[AnyResource]] = {
    "routes": Route,
    "services": Service,
    "upstreams": Upstream,
    "global_rules": GlobalRule,
}
"""The model of each kind. ``MODELS[kind].model_json_schema()`` is its JSON schema."""

_EXCLUSIVE = {"routes": (("host", "hosts"), ("remote_addr", "remote_addrs"))}
"""Pairs of keys of which APISIX takes one, with a text of its own that goes before the schema's."""


@overload
def validate(kind: Literal["routes"], document: object, plugins: PluginCatalog) -> Route: ...
@overload
def validate(kind: Literal["services"], document: object, plugins: PluginCatalog) -> Service: ...
@overload
def validate(kind: Literal["upstreams"], document: object, plugins: PluginCatalog) -> Upstream: ...
@overload
def validate(kind: Literal["global_rules"], document: object, plugins: PluginCatalog) -> GlobalRule: ...
@overload
def validate(kind: Kind, document: object, plugins: PluginCatalog) -> AnyResource: ...


def validate(kind: Kind, document: object, plugins: PluginCatalog) -> AnyResource:
    """Validate a document as decoded from JSON or YAML; gives its model and leaves the document as it is.

    Raises InvalidConfiguration with APISIX's text for the first thing that is wrong, in APISIX's order: the schema,
    then the upstream, the plugins, the conditions, Lua.
    """
    if not isinstance(document, dict):
        raise InvalidConfiguration(f"invalid configuration: {wrong_type('object', document)}")
    for one, other in _EXCLUSIVE.get(kind, ()):
        if one in document and other in document:
            raise InvalidConfiguration(f"only one of {one} or {other} is allowed", location=(other,))
    _refuse_unstorable(document)
    resource = _parse(kind, document)
    _check_parts(resource, plugins)
    return resource


def _parse(kind: Kind, document: dict[str, Any]) -> AnyResource:
    model = MODELS[kind]
    try:
        return model.model_validate(document)
    except ValidationError as error:
        text, location = describe(error, document, model)
        raise InvalidConfiguration(f"invalid configuration: {text}", location=location) from None


def _check_parts(resource: AnyResource, catalog: PluginCatalog) -> None:
    if isinstance(resource, Upstream):
        check_upstream(resource)
        return
    if not isinstance(resource, GlobalRule) and resource.upstream is not None:
        try:
            check_upstream(resource.upstream)
        except InvalidConfiguration as error:
            raise error.under("upstream") from None
    check_plugins(resource.plugins or {}, catalog)
    if isinstance(resource, Route) and resource.vars is not None:
        check_vars(resource.vars, catalog)
    if not isinstance(resource, GlobalRule):
        _refuse_lua(resource)


def _refuse_lua(resource: Route | Service) -> None:
    if isinstance(resource, Route) and resource.filter_func is not None:
        text = "failed to load 'filter_func' string: headgate runs no Lua, use 'vars' or a plugin instead"
        raise InvalidConfiguration(text, location=("filter_func",))
    if resource.script is not None:
        text = "failed to load 'script' string: headgate runs no Lua, use 'plugins' instead"
        raise InvalidConfiguration(text, location=("script",))


def _refuse_unstorable(document: dict[str, Any]) -> None:
    """Refuse numbers that the way to the workers cannot carry: JSON has no NaN, MessagePack no more than 64 bits.

    It walks without recursion: nothing has bounded the document's depth yet. Where each value stands is only noted on a
    second walk, for the refusal: of 10,000 routes the first one takes a fifth of the time.
    """
    if _holds_only_storable(document):
        return
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    while waiting:
        location, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(((*location, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            waiting.extend(((*location, index), inner) for index, inner in enumerate(value))
        elif not _is_storable(value):
            text = f"invalid configuration: number out of range at {'.'.join(map(str, location))}"
            raise InvalidConfiguration(text, location=location)


def _holds_only_storable(document: dict[str, Any]) -> bool:
    waiting: list[object] = [document]
    for value in waiting:  # it grows meanwhile
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif not isinstance(value, str) and not _is_storable(value):
            return False
    return True


def _is_storable(value: object) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, float) or math.isfinite(value)
