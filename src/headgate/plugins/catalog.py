"""The plugins there are, by name: their checks and schemas, and the chains made of them.

A plugin from outside that cannot be loaded is left out and reported in ``problems``; the others serve. Whatever a
configuration is refused for is found by building the plugin, so what :meth:`Catalog.check` lets pass also compiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from headgate.config.validation import (
    InvalidConfiguration,
    failed_plugin,
    parse_plugin,
    plugin_meta,
    unknown_plugin,
)
from headgate.expressions.conditions import Condition, compile_condition
from headgate.plugins.api import Chain, Plugin, PluginConfig
from headgate.plugins.builtin import BUILT_IN
from headgate.plugins.chain import ConfiguredPlugin, build_chain
from headgate.plugins.variables import plugin_condition

ENTRY_POINT_GROUP = "headgate.plugins"
MOST_PASSED = 1024
"""How many configurations that have passed are known again: routes by the thousand tend to have the same few."""
MOST_PASSED_BYTES = 4096
"""How long one that is known again may be."""


class Catalog:
    """Plugins by name: those given, else the built-in ones and those that installed packages bring by entry point.

    ``problems``: one text for each plugin that was left out.
    """

    def __init__(self, plugins: Iterable[type[Plugin]] | None = None) -> None:
        given = BUILT_IN if plugins is None else plugins
        self._plugins = {plugin.name: plugin for plugin in given}
        self.problems: list[str] = []
        self._passed: set[tuple[str, bytes]] = set()
        if plugins is None:
            for entry_point in entry_points(group=ENTRY_POINT_GROUP):
                self._add(entry_point)

    def _add(self, entry_point: EntryPoint) -> None:
        try:
            plugin = _load(entry_point)
        except Exception as error:  # noqa: BLE001 - any defect of foreign code is reported, none stops the gateway
            reason = f"{type(error).__name__}: {error}"
        else:
            if self._plugins.setdefault(plugin.name, plugin) is plugin:
                return
            reason = f"there is a plugin {plugin.name} already"
        self.problems.append(f"plugin {entry_point.name} ({entry_point.value}): {reason}")

    def __contains__(self, name: str) -> bool:
        return name in self._plugins

    def names_by_priority(self) -> list[str]:
        """Give the names, highest priority first."""
        return sorted(self._plugins, key=lambda name: (-self._plugins[name].priority, name))

    def plugin(self, name: str) -> type[Plugin]:
        """Give a plugin's class; InvalidConfiguration ``unknown plugin [x]`` if there is none."""
        plugin = self._plugins.get(name)
        if plugin is None:
            raise unknown_plugin(name)
        return plugin

    def schema(self, name: str) -> dict[str, Any]:
        """Give the JSON schema of a plugin's attributes. Raises KeyError for a plugin that there is not."""
        return self._plugins[name].Config.model_json_schema()

    def check(self, name: str, conf: object) -> None:
        """Check one plugin's configuration as written, ``_meta`` included.

        Raises InvalidConfiguration with APISIX's text, its location relative to ``conf``.
        """
        written = _written(conf)
        if written is None:
            self._configure(name, conf)
        elif (name, written) not in self._passed:
            self._configure(name, conf)
            if len(self._passed) >= MOST_PASSED:
                self._passed.clear()
            self._passed.add((name, written))

    def check_condition(self, expression: object) -> None:
        """Check a route's ``vars``; ValueError with lua-resty-expr's text."""
        compile_condition(expression)

    def compile(self, plugins: Mapping[str, dict[str, Any]]) -> Chain:
        """Make the chain of a route's, or of the global rules', plugins. Raises InvalidConfiguration as ``check``."""
        return build_chain(
            self._configure(name, conf) for name, conf in plugins.items() if not _is_disabled(name, conf)
        )

    def _configure(self, name: str, conf: object) -> ConfiguredPlugin:
        plugin = self.plugin(name)
        config = parse_plugin(name, conf, plugin.Config)
        assert isinstance(conf, dict), "parse_plugin refuses what is no object"
        meta = plugin_meta(name, conf)
        return ConfiguredPlugin(
            plugin=_built(plugin, config),
            priority=plugin.priority if meta.priority is None else meta.priority,
            condition=None if meta.filter is None else _filter(meta.filter),
            error_response=meta.error_response,
        )


def _written(conf: object) -> bytes | None:
    """Give what tells one configuration, as decoded from JSON or YAML, from every other; None if nothing short does."""
    try:
        # Not JSON: msgspec writes a NaN as null there.
        written = msgspec.msgpack.encode(conf)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return written if len(written) <= MOST_PASSED_BYTES else None


def _load(entry_point: EntryPoint) -> type[Plugin]:
    plugin: Any = entry_point.load()
    if not _is_subclass(plugin, Plugin):
        raise TypeError("not a subclass of headgate.plugins.api.Plugin")
    name, priority, config = plugin.name, plugin.priority, plugin.Config
    if not (isinstance(name, str) and isinstance(priority, int) and _is_subclass(config, PluginConfig)):
        raise TypeError("name must be a text, priority a whole number, Config a subclass of PluginConfig")
    loaded: type[Plugin] = plugin
    loaded.Config.model_rebuild()  # models are built late, and one that cannot be is better found here than by a write
    return loaded


def _is_subclass(given: Any, wanted: type) -> bool:
    return isinstance(given, type) and issubclass(given, wanted)


def _is_disabled(name: str, conf: object) -> bool:
    return isinstance(conf, dict) and plugin_meta(name, conf).disable


def _built(plugin: type[Plugin], config: PluginConfig) -> Plugin:
    try:
        return plugin(config)
    except ValueError as error:
        raise failed_plugin(plugin.name, str(error)) from None


def _filter(expression: object) -> Condition:
    try:
        return plugin_condition(expression)
    except ValueError as error:
        text = f"failed to validate the 'vars' expression: {error}"
        raise InvalidConfiguration(text, location=("_meta", "filter")) from None
