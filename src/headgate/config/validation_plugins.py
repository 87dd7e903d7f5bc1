"""The plugin configurations of a document: who checks them, and APISIX's texts for what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, Field, ValidationError, WrapValidator, field_validator
from pydantic_core import PydanticCustomError

from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.strict_model import Maybe, StrictModel, match_one
from headgate.config.validation_texts import describe

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class PluginCatalog(Protocol):
    """What configuration must know of the plugins there are."""

    def check(self, name: str, conf: object) -> None:
        """Check one plugin's configuration as written, ``_meta`` included.

        Raises InvalidConfiguration, its location relative to ``conf``: :func:`unknown_plugin` for a plugin that there
        is not, what :func:`parse_plugin` and :func:`plugin_meta` raise, :func:`failed_plugin` for all else.
        """

    def check_condition(self, expression: object) -> None:
        """Check that a route's ``vars`` compile. Raises ValueError with what is wrong."""


class PluginMeta(StrictModel):
    """What may stand under ``_meta`` in the configuration of any plugin, as in APISIX."""

    disable: bool = Field(default=False, description="Leave the plugin out.")
    error_response: Maybe[Annotated[str | dict[str, Any], WrapValidator(match_one)]] = Field(
        default=None, description="Body in place of the plugin's own when it answers with a status from 400."
    )
    priority: Maybe[int] = Field(
        default=None, description="Order among the plugins of the route; the plugin's own if not given."
    )
    filter: Maybe[list[Any]] = Field(
        default=None, description="Condition, written as `vars`; the plugin runs only if it holds."
    )
    pre_function: Maybe[str] = Field(default=None, description="Lua; refused by headgate.")

    @field_validator("pre_function")
    @classmethod
    def _refuse_lua(cls, _: str) -> str:
        raise PydanticCustomError("lua", "headgate runs no Lua: use a plugin, or _meta.filter")


class _WithMeta(StrictModel):
    meta: PluginMeta = Field(alias="_meta")


_NO_META = PluginMeta.model_construct()


def plugin_meta(name: str, conf: Mapping[str, Any]) -> PluginMeta:
    """Read the ``_meta`` of a plugin's configuration. Raises InvalidConfiguration."""
    if "_meta" not in conf:
        return _NO_META
    return _parse(name, {key: value for key, value in conf.items() if key == "_meta"}, _WithMeta).meta


def parse_plugin(name: str, conf: object, model: type[ConfigT]) -> ConfigT:
    """Validate a plugin's configuration as written, ``_meta`` left aside, against the plugin's model.

    Raises InvalidConfiguration: ``invalid plugin conf "blah" for plugin [basic-auth]`` for what is no object,
    ``failed to check the configuration of plugin cors err: <detail>`` for what the model refuses.
    """
    if not isinstance(conf, dict):
        raise InvalidConfiguration(f"invalid plugin conf {json.dumps(conf, ensure_ascii=False)} for plugin [{name}]")
    return _parse(name, {key: value for key, value in conf.items() if key != "_meta"}, model)


def _parse(name: str, conf: dict[str, Any], model: type[ConfigT]) -> ConfigT:
    try:
        return model.model_validate(conf)
    except ValidationError as error:
        detail, location = describe(error, conf, model)
        raise failed_plugin(name, detail, location=location) from None


def failed_plugin(name: str, detail: str, *, location: tuple[str | int, ...] = ()) -> InvalidConfiguration:
    """Make the refusal of a plugin's configuration for a reason that no model can state."""
    return InvalidConfiguration(f"failed to check the configuration of plugin {name} err: {detail}", location=location)


def unknown_plugin(name: str) -> InvalidConfiguration:
    """Make the refusal of a plugin that there is not."""
    return InvalidConfiguration(f"unknown plugin [{name}]")


def check_plugins(plugins: Mapping[str, Any], catalog: PluginCatalog) -> None:
    """Check all plugin configurations of a document. Raises InvalidConfiguration, located from the document's top."""
    for name, conf in plugins.items():
        try:
            catalog.check(name, conf)
        except InvalidConfiguration as error:
            raise error.under("plugins", name) from None


def check_vars(expression: object, catalog: PluginCatalog) -> None:
    """Check a route's ``vars``. Raises InvalidConfiguration with APISIX's text around what is wrong."""
    try:
        catalog.check_condition(expression)
    except ValueError as error:
        text = f"failed to validate the 'vars' expression: {error}"
        raise InvalidConfiguration(text, location=("vars",)) from None
