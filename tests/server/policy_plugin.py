"""A gateway whose routes have a stream policy of the test's own: by a plugin that does nothing but set it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.origin import Origin
from tests.running_gateway import RunningGateway, route
from tests.server.noting_plugin import Chunks, Events, Noting

from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.plugins.builtin import BUILT_IN
from headgate.plugins.catalog import Catalog
from headgate.stream.policy import StreamPolicy


class PolicyConfig(PluginConfig):
    """There is nothing to say: the class has the policy."""


class RefusingConfig(PluginConfig):
    status: int


class Refusing(Plugin):
    """Answers with a status, after the policy is set."""

    name = "refusing"
    priority = 100
    Config: ClassVar[type[RefusingConfig]] = RefusingConfig

    def on_request(self, _: Exchange) -> Answer:
        return Answer(self.config.status, b"no", ((b"Retry-After", b"40"), (b"X-Own", b"1")))


def catalog_with(**policies: StreamPolicy) -> Catalog:
    """Give the built-in plugins, those that note, :class:`Refusing`, and for each policy a plugin of its name that sets it."""

    def make(plugin_name: str, policy: StreamPolicy) -> type[Plugin]:
        class SetsPolicy(Plugin):
            name = plugin_name
            priority = 23900
            Config: ClassVar[type[PolicyConfig]] = PolicyConfig

            def on_request(self, exchange: Exchange) -> None:
                exchange.stream_policy = policy

        return SetsPolicy

    setters = [make(name, policy) for name, policy in policies.items()]
    return Catalog(plugins=[*BUILT_IN, Noting, Chunks, Events, Refusing, *setters])


def governed(
    policy: StreamPolicy, *origins: Origin | str, plugins: Mapping[str, Any] | None = None, **fields: Any
) -> RunningGateway:
    """Give a gateway with one route for everything, ``all``, under ``policy``; ``fields`` are the route's.

    ``origins`` are tried in the order in which they stand, whoever's turn it is.
    """
    addresses = [one if isinstance(one, str) else one.address for one in origins]
    nodes = [
        {"host": host, "port": int(port), "weight": 1, "priority": -turn}
        for turn, (host, _, port) in enumerate(address.partition(":") for address in addresses)
    ]
    settings = fields.pop("settings", {})
    fields.setdefault("upstream", {"nodes": nodes})
    changes = [route("all", "/*", plugins={"policy": {}, **(plugins or {})}, **fields)]
    return RunningGateway(changes, catalog=catalog_with(policy=policy), **settings)
