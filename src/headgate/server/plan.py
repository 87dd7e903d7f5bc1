"""What happens to a request that a route has taken: the route's plugins and upstream, compiled.

A plan is immutable but for its upstream's turn counter. An exchange keeps the plan that it started with, so that a
change of the route, its service or its upstream touches only what comes later.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from headgate.config import upstream as model
from headgate.config.authorities import verifying_context
from headgate.config.client_certificate import load_client_certificate
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.merge import EffectiveRoute
from headgate.config.node import Endpoint
from headgate.config.timeout import Timeout
from headgate.plugins.api import Chain
from headgate.upstream.balance import RoundRobin
from headgate.upstream.pool import KeepAlive
from headgate.upstream.target import Target, TlsClient
from headgate.upstream.upstream import PassHost, Timeouts, Upstream

_DEFAULT_PORTS = {"http": 80, "https": 443}


class ChainCompiler(Protocol):
    """The plugin catalog, as far as it is needed here."""

    def compile(self, plugins: Mapping[str, Any]) -> Chain:
        """Make the plugins of a route."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``timeouts.read_s`` is the first that is configured of the route's and the upstream's, None where neither is."""

    route_id: str
    service_id: str | None
    chain: Chain
    upstream: Upstream | None
    timeouts: Timeouts
    enable_websocket: bool = False


def compile_plan(route: EffectiveRoute, upstream: Upstream | None, catalog: ChainCompiler) -> Plan:
    """Compile a route whose upstream is compiled already; raises InvalidConfiguration for plugins that cannot work."""
    inherited = upstream.timeouts if upstream is not None else Timeouts()
    return Plan(
        route_id=route.id,
        service_id=route.service_id,
        chain=catalog.compile(route.plugins),
        upstream=upstream,
        timeouts=inherited if route.timeout is None else _timeouts(route.timeout),
        enable_websocket=route.enable_websocket,
    )


def compile_upstream(upstream: model.Upstream, *, authorities: str | None) -> Upstream:
    """Compile an upstream; raises InvalidConfiguration."""
    if upstream.scheme not in _DEFAULT_PORTS:
        raise InvalidConfiguration(
            f'invalid configuration: property "scheme" validation failed: "{upstream.scheme}" is not proxied; '
            "use http or https",
            location=("scheme",),
        )
    if upstream.nodes is None:
        raise InvalidConfiguration(
            'invalid configuration: property "service_name" validation failed: service discovery is not there yet; '
            "give nodes",
            location=("service_name",),
        )
    pool = upstream.keepalive_pool
    nodes = [(_target(upstream, node, authorities), node.weight, node.priority) for node in upstream.endpoints]
    return Upstream(
        balance=RoundRobin(nodes),
        timeouts=Timeouts() if upstream.timeout is None else _timeouts(upstream.timeout),
        keep_alive=KeepAlive() if pool is None else KeepAlive(pool.size, pool.idle_timeout, pool.requests),
        pass_host=PassHost(upstream.pass_host),
        upstream_host=(upstream.upstream_host or "").encode(),
        retries=upstream.retries,
        retry_timeout_s=upstream.retry_timeout or 0.0,
    )


def _timeouts(timeout: Timeout) -> Timeouts:
    return Timeouts(timeout.connect, timeout.send, timeout.read)


def _target(upstream: model.Upstream, node: Endpoint, authorities: str | None) -> Target:
    port = node.port or _DEFAULT_PORTS[upstream.scheme]
    tls = None
    if upstream.scheme == "https":
        rewritten = upstream.upstream_host if PassHost(upstream.pass_host) is PassHost.REWRITE else None
        settings = upstream.tls
        context = _tls_context(
            authorities,
            settings.client_cert if settings else None,
            settings.client_key if settings else None,
            verify=settings.verify if settings else True,
        )
        tls = TlsClient(context, rewritten.partition(":")[0] if rewritten else node.host)
    return Target(upstream.scheme, node.host, port, tls)


@lru_cache(maxsize=256)
def _tls_context(authorities: str | None, certificate: str | None, key: str | None, *, verify: bool) -> ssl.SSLContext:
    """Give one context for all upstreams with the same settings: contexts are large, and equal ones share a pool."""
    context = verifying_context(authorities)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None and key is not None:
        try:
            load_client_certificate(context, certificate, key)
        except ValueError as error:
            raise InvalidConfiguration(f"invalid configuration: {error}", location=("tls",)) from None
    return context
