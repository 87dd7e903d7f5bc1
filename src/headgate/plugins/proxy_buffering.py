"""The plugin ``proxy-buffering``: accepted, with nothing to do."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from headgate.plugins.api import Plugin, PluginConfig


class ProxyBufferingConfig(PluginConfig):
    """Attributes of ``proxy-buffering``."""

    disable_proxy_buffering: bool = Field(
        False, description="Whether responses are passed on as they come. headgate does so either way."
    )


class ProxyBuffering(Plugin):
    """Takes APISIX's configuration as it is, and has no phase.

    In APISIX the attribute moves a request to a place where NGINX does not gather the response. headgate gathers no
    response on any route, so both values give what ``true`` gives there: every piece goes on when it comes.
    """

    name = "proxy-buffering"
    priority = 21991
    Config: ClassVar[type[ProxyBufferingConfig]] = ProxyBufferingConfig
