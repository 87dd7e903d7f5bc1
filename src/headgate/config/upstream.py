"""The upstream resource: the nodes that answer requests, and how they are chosen and spoken to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from headgate.config.client_certificate import UpstreamTls
from headgate.config.health_check import HealthCheck
from headgate.config.matching import HostPattern
from headgate.config.node import Endpoint, Nodes, endpoints
from headgate.config.resource import Resource
from headgate.config.strict_model import KeyRule, Maybe, StrictModel
from headgate.config.timeout import Timeout


class KeepAlivePool(StrictModel):
    """Connections to nodes that are kept for further requests."""

    size: Annotated[int, Field(ge=1)] = Field(default=320, description="Idle connections kept for each node.")
    idle_timeout: Annotated[float, Field(ge=0)] = Field(
        default=60, description="Seconds after which an idle one is closed."
    )
    requests: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="Requests after which a connection is closed."
    )


class Upstream(Resource):
    """An upstream, with APISIX's fields: nodes, or a service name with its kind of discovery."""

    nodes: Maybe[Nodes] = Field(default=None, description='`{"host:port": weight}` or a list of nodes; may be empty.')
    type: str = Field(default="roundrobin", description="How a node is chosen: roundrobin, chash, ewma, least_conn.")
    hash_on: Literal["vars", "header", "cookie", "consumer", "vars_combinations"] = Field(
        default="vars", description="With type chash: where `key` is looked up."
    )
    key: Maybe[str] = Field(
        default=None, description="With type chash: name of the variable, header or cookie to hash."
    )
    checks: Maybe[HealthCheck] = Field(default=None, description="Health checks of the nodes.")
    retries: Maybe[Annotated[int, Field(ge=0)]] = Field(
        default=None, description="Further nodes tried when one fails before its answer; not given: all."
    )
    retry_timeout: Maybe[Annotated[float, Field(ge=0)]] = Field(
        default=None, description="Seconds after which no further node is tried; 0 or not given: no limit."
    )
    timeout: Maybe[Timeout] = Field(default=None, description="Limits in seconds; 60 each if not given.")
    scheme: Literal["http", "https", "grpc", "grpcs", "tcp", "tls", "udp", "kafka"] = Field(
        default="http", description="How nodes are spoken to."
    )
    pass_host: Literal["pass", "node", "rewrite"] = Field(
        default="pass", description="Host sent to the node: the client's, the node's own, or `upstream_host`."
    )
    upstream_host: Maybe[HostPattern] = Field(default=None, description="With pass_host rewrite: the Host sent.")
    keepalive_pool: Maybe[KeepAlivePool] = Field(default=None, description="Connections kept for further requests.")
    tls: Maybe[UpstreamTls] = Field(default=None, description="Client certificate and verification, for TLS schemes.")
    service_name: Maybe[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=None, description="Name to look up in a discovery, in place of nodes."
    )
    discovery_type: Maybe[str] = Field(default=None, description="The discovery to look `service_name` up in.")
    discovery_args: Maybe[dict[str, Any]] = Field(default=None, description="Settings for the discovery.")

    key_rules: ClassVar[tuple[KeyRule, ...]] = (KeyRule("oneOf", (("nodes",), ("service_name", "discovery_type"))),)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The nodes in one form, in their order; none for an upstream that is discovered."""
        return tuple(endpoints(self.nodes or []))
