"""The service resource: what several routes have in common."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headgate.config.matching import HostPatterns
from headgate.config.resource import Id, Resource, Script
from headgate.config.strict_model import Maybe
from headgate.config.upstream import Upstream


class Service(Resource):
    """A service, with APISIX's fields; all may be left out."""

    plugins: Maybe[dict[str, Any]] = Field(default=None, description="Plugin configurations by plugin name.")
    upstream: Maybe[Upstream] = Field(default=None, description="Where requests go.")
    upstream_id: Maybe[Id] = Field(default=None, description="Id of the upstream where requests go; before `upstream`.")
    script: Maybe[Script] = Field(default=None, description="Lua; refused by headgate, which has plugins for it.")
    enable_websocket: Maybe[bool] = Field(default=None, description="Pass the Upgrade of a WebSocket on.")
    hosts: Maybe[HostPatterns] = Field(default=None, description="Hosts to match, for routes that name none.")
