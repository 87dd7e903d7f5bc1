"""The route resource: which requests it takes and what happens to them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from headgate.config.matching import (
    HostPattern,
    HostPatterns,
    Methods,
    PathPattern,
    PathPatterns,
    RemoteAddress,
    RemoteAddresses,
)
from headgate.config.resource import Id, Resource, Script
from headgate.config.strict_model import KeyRule, Maybe
from headgate.config.timeout import Timeout
from headgate.config.upstream import Upstream

_HANDLED = (
    *((handler, uri) for uri in ("uri", "uris") for handler in ("plugins", "upstream", "upstream_id", "service_id")),
    ("script", "uri"),
    ("script", "uris"),
)
"""A path, and something that answers for it; in APISIX's order, which shows in the text of a refusal."""


def _check_status(status: int) -> int:
    if status not in {0, 1}:
        raise PydanticCustomError("enum_values", "matches none of the enum values")
    return status


# No Literal: it would take true and 1.0, which are equal to 1.
Status = Annotated[int, Field(json_schema_extra={"enum": [1, 0]}), AfterValidator(_check_status)]


class Route(Resource):
    """A route, with APISIX's fields."""

    uri: Maybe[PathPattern] = Field(default=None, description="Path to match; a `*` at its end matches any rest.")
    uris: Maybe[PathPatterns] = Field(default=None, description="Paths to match, in place of `uri`.")
    methods: Maybe[Methods] = Field(default=None, description="HTTP methods to match; none given: any.")
    host: Maybe[HostPattern] = Field(
        default=None, description="Host to match, such as `a.com`, `*.a.com`; none given: any."
    )
    hosts: Maybe[HostPatterns] = Field(default=None, description="Hosts to match, in place of `host`.")
    remote_addr: Maybe[RemoteAddress] = Field(default=None, description="Client address or network to match.")
    remote_addrs: Maybe[RemoteAddresses] = Field(
        default=None, description="Client addresses and networks to match, in place of `remote_addr`."
    )
    vars: Maybe[list[Any]] = Field(
        default=None, description='Conditions on the request, such as `[["arg_name", "==", "value"]]`; all must hold.'
    )
    priority: int = Field(default=0, description="Among routes of the same path the higher is tried first.")
    status: Status = Field(default=1, description="1: in use; 0: switched off.")
    enable_websocket: Maybe[bool] = Field(default=None, description="Pass the Upgrade of a WebSocket on.")
    timeout: Maybe[Timeout] = Field(
        default=None, description="Limits towards the upstream, in seconds; over the upstream's own."
    )
    plugins: Maybe[dict[str, Any]] = Field(default=None, description="Plugin configurations by plugin name.")
    plugin_config_id: Maybe[Id] = Field(default=None, description="Id of a plugin configuration to use.")
    upstream: Maybe[Upstream] = Field(default=None, description="Where requests go.")
    upstream_id: Maybe[Id] = Field(default=None, description="Id of the upstream where requests go; before `upstream`.")
    service_id: Maybe[Id] = Field(default=None, description="Id of the service whose settings the route builds on.")
    filter_func: Maybe[Annotated[str, Field(min_length=10, pattern="^function")]] = Field(
        default=None, description="Lua; refused by headgate, which has `vars` for it."
    )
    script: Maybe[Script] = Field(default=None, description="Lua; refused by headgate, which has plugins for it.")
    script_id: Maybe[Id] = Field(default=None, description="Kept for tools that note it; without effect.")

    key_rules: ClassVar[tuple[KeyRule, ...]] = (
        KeyRule("oneOf", (("uri",), ("uris",))),
        KeyRule("anyOf", _HANDLED),
        KeyRule("not", (("script", "plugins"), ("script", "plugin_config_id"))),
    )
