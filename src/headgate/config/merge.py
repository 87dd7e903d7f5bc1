"""What the data plane compiles: a route together with what it takes from its service.

Invariant: an effective route has at most one of ``upstream`` and ``upstream_id``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headgate.config.route import Route
from headgate.config.service import Service
from headgate.config.timeout import Timeout
from headgate.config.upstream import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRoute:
    """A route with its service's settings merged in.

    ``hosts``, ``remote_addrs`` empty and ``methods`` None mean any. ``plugins`` holds the configurations as written, by
    plugin name. ``timeout`` is the route's own, which goes before the upstream's. ``upstream_id`` is not resolved.
    """

    id: str
    service_id: str | None
    name: str | None
    uris: tuple[str, ...]
    hosts: tuple[str, ...]
    methods: frozenset[str] | None
    remote_addrs: tuple[str, ...]
    vars: list[Any] | None
    priority: int
    status: int
    plugins: dict[str, dict[str, Any]]
    upstream: Upstream | None
    upstream_id: str | None
    timeout: Timeout | None
    enable_websocket: bool
    labels: dict[str, str]

    @property
    def enabled(self) -> bool:
        """Whether the route takes requests."""
        return self.status == 1


_NO_SERVICE = Service.model_construct()  # not validated: that would cost each process a validator that few need


def effective(route: Route, service: Service | None = None) -> EffectiveRoute:
    """Merge a route that has its id with the service that it names, as APISIX does.

    The route's own goes before the service's: plugins by name; upstream and upstream_id together; hosts, labels and
    enable_websocket each as a whole. Where both an upstream and an upstream_id are left, the id is the one that counts.
    """
    assert route.id is not None, "a route that is served has an id"
    service = service or _NO_SERVICE
    upstream, upstream_id = _upstream(route, service)
    websocket = service.enable_websocket if route.enable_websocket is None else route.enable_websocket
    return EffectiveRoute(
        id=str(route.id),
        service_id=_text(route.service_id),
        name=route.name,
        uris=_one_or_many(route.uri, route.uris),
        hosts=_one_or_many(route.host, route.hosts) or tuple(service.hosts or ()),
        methods=frozenset(route.methods) if route.methods else None,
        remote_addrs=_one_or_many(route.remote_addr, route.remote_addrs),
        vars=route.vars,
        priority=route.priority,
        status=route.status,
        plugins={**(service.plugins or {}), **(route.plugins or {})},
        upstream=upstream,
        upstream_id=upstream_id,
        timeout=route.timeout,
        enable_websocket=bool(websocket),
        labels=(service.labels if route.labels is None else route.labels) or {},
    )


def _upstream(route: Route, service: Service) -> tuple[Upstream | None, str | None]:
    for owner in (route, service):
        if owner.upstream_id is not None:
            return None, str(owner.upstream_id)
        if owner.upstream is not None:
            return owner.upstream, None
    return None, None


def _text(number_or_text: int | str | None) -> str | None:
    return None if number_or_text is None else str(number_or_text)


def _one_or_many(one: str | None, many: list[str] | None) -> tuple[str, ...]:
    return tuple(many or ()) if one is None else (one,)
