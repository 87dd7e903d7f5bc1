"""The configuration as a worker serves it: immutable, made anew with every change, sharing all that did not change.

Routes are in the table; a route's plan is made at its first request, and again at the first request after a change of
its service or upstream. So a change costs the same with ten routes and with ten thousand. What a plan is made of is
looked at when it is written: each upstream is compiled, each plugin built. So making a plan finds nothing wrong that
was not found then, and control, which makes the same generations to see that a change compiles before it is committed,
makes no plans at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from headgate.config.change import KINDS, Change
from headgate.config.global_rule import GlobalRule
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.merge import effective
from headgate.config.route import Route
from headgate.config.service import Service
from headgate.config.upstream import Upstream as UpstreamModel
from headgate.config.validation import PluginCatalog, validate
from headgate.errors import GatewayError, Source
from headgate.plugins.api import Chain
from headgate.routing.entry import RouteEntry, entry_of
from headgate.routing.table import RouteTable
from headgate.server.plan import ChainCompiler, Plan, compile_plan, compile_upstream
from headgate.upstream.upstream import Upstream


class Catalog(PluginCatalog, ChainCompiler, Protocol):
    """The enabled plugins."""


@dataclass(frozen=True, slots=True)
class _Service:
    model: Service
    upstream: Upstream | None


class RoutePlan:
    """A route's plan, made when it is needed and kept until its service or upstream is another."""

    __slots__ = ("_own_upstream", "_plan", "_service", "_upstream", "_upstream_id", "route")

    def __init__(self, route: Route, own_upstream: Upstream | None) -> None:
        self.route = route
        self._own_upstream = own_upstream
        self._plan: Plan | None = None
        self._service: _Service | None = None
        self._upstream: Upstream | None = None
        self._upstream_id: str | None = None

    def plan(self, generation: Generation) -> Plan:
        """Give the plan in this generation; raises GatewayError when the route's service is gone (503)."""
        service = None
        if self.route.service_id is not None:
            service = generation.services.get(str(self.route.service_id))
            if service is None:  # without it the route may lack the plugins that guard it
                raise GatewayError("service_missing", source=Source.GATEWAY, status=503)
        plan = self._plan
        if plan is not None and service is self._service:
            upstream_id = self._upstream_id
            if upstream_id is None or generation.upstreams.get(upstream_id) is self._upstream:
                return plan
        return self._make(generation, service)

    def _make(self, generation: Generation, service: _Service | None) -> Plan:
        merged = effective(self.route, service.model if service is not None else None)
        if merged.upstream_id is not None:
            upstream = generation.upstreams.get(merged.upstream_id)
        elif merged.upstream is self.route.upstream:
            upstream = self._own_upstream
        else:
            upstream = service.upstream if service is not None else None
        self._plan = compile_plan(merged, upstream, generation.catalog)
        self._service, self._upstream, self._upstream_id = service, upstream, merged.upstream_id
        return self._plan


Entry = RouteEntry[RoutePlan]


@dataclass(frozen=True, slots=True)
class Generation:
    """See the module. ``upstreams`` are compiled; ``services`` and ``rules`` by id; ``entries`` by route id."""

    catalog: Catalog
    authorities: str | None = None
    table: RouteTable[RoutePlan] = field(default_factory=RouteTable.empty)
    entries: dict[str, Entry] = field(default_factory=dict)
    routes_of_service: dict[str, frozenset[str]] = field(default_factory=dict)
    services: dict[str, _Service] = field(default_factory=dict)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    global_chain: Chain | None = None

    @classmethod
    def empty(cls, catalog: Catalog, *, authorities: str | None = None) -> Generation:
        """Give a generation without resources; ``authorities`` (PEM) are what upstreams' certificates need."""
        return cls(catalog, authorities)

    def with_changes(self, changes: Iterable[Change]) -> Generation:
        """Give the next generation, with all changes or none.

        Raises InvalidConfiguration for a document that is not valid or does not compile.
        """
        edit = _Edit(self)
        by_kind: dict[str, list[Change]] = {kind: [] for kind in KINDS}
        for change in changes:
            by_kind[change.kind].append(change)
        for change in by_kind["upstreams"]:
            edit.upstream(change)
        for change in by_kind["services"]:
            edit.service(change)
        for change in by_kind["routes"]:
            edit.route(change)
        if by_kind["global_rules"]:
            edit.global_rules(by_kind["global_rules"])
        return edit.result()


class Trial:
    """A generation that nobody serves: to see whether changes compile together."""

    def __init__(self, catalog: Catalog) -> None:
        self._generation = Generation.empty(catalog)

    def admit(self, change: Change) -> None:
        """Add a change; raises InvalidConfiguration, and leaves it out, if it does not compile with those before it."""
        self._generation = self._generation.with_changes([change])


class _Edit:
    """A generation being made: a dict is copied when it is first touched."""

    def __init__(self, origin: Generation) -> None:
        self._origin = origin
        self._upstreams = origin.upstreams
        self._services = origin.services
        self._entries = origin.entries
        self._routes_of_service = origin.routes_of_service
        self._rules = origin.rules
        self._global_chain = origin.global_chain
        self._removed: list[Entry] = []
        self._added: dict[str, Entry] = {}

    def _own(self) -> None:
        """Have own copies of what routes are kept in."""
        if self._entries is self._origin.entries:
            self._entries = dict(self._entries)
            self._routes_of_service = dict(self._routes_of_service)

    def upstream(self, change: Change) -> None:
        if self._upstreams is self._origin.upstreams:
            self._upstreams = dict(self._upstreams)
        if change.value is None:
            self._upstreams.pop(change.id, None)
        else:
            model = _valid(change, UpstreamModel, self._origin.catalog)
            self._upstreams[change.id] = compile_upstream(model, authorities=self._origin.authorities)

    def service(self, change: Change) -> None:
        if self._services is self._origin.services:
            self._services = dict(self._services)
        old = self._services.pop(change.id, None)
        new = None
        if change.value is not None:
            model = _valid(change, Service, self._origin.catalog)
            self._origin.catalog.compile(model.plugins or {})
            new = self._services[change.id] = _Service(model, self._compiled(model.upstream))
        if _hosts(old) != _hosts(new):
            for route_id in sorted(self._routes_of_service.get(change.id, ())):
                self._place(self._entries[route_id].payload, self._entries[route_id].created_index)

    def route(self, change: Change) -> None:
        self._own()
        old = self._entries.get(change.id)
        if change.value is None:
            if old is not None:
                self._take_out(old)
                del self._entries[change.id]
                self._index_service(old.payload.route, change.id, present=False)
            return
        route = _valid(change, Route, self._origin.catalog)
        if old is not None:
            self._index_service(old.payload.route, change.id, present=False)
        self._index_service(route, change.id, present=True)
        self._place(RoutePlan(route, self._compiled(route.upstream)), change.created_index)

    def global_rules(self, changes: Iterable[Change]) -> None:
        self._rules = dict(self._rules)
        for change in changes:
            if change.value is None:
                self._rules.pop(change.id, None)
            else:
                self._rules[change.id] = _valid(change, GlobalRule, self._origin.catalog).plugins
        merged: dict[str, Any] = {}
        for rule_id, plugins in self._rules.items():
            for name, conf in plugins.items():
                if name in merged:  # APISIX too has a plugin in one global rule only
                    text = f"plugin [{name}] of global rule [{rule_id}] is in another global rule already"
                    raise InvalidConfiguration(text, location=("plugins", name))
                merged[name] = conf
        self._global_chain = self._origin.catalog.compile(merged) if merged else None

    def _compiled(self, model: UpstreamModel | None) -> Upstream | None:
        return None if model is None else compile_upstream(model, authorities=self._origin.authorities)

    def _place(self, payload: RoutePlan, created_index: int) -> None:
        """Put a route where it and its service say, in place of what stood there."""
        self._own()
        route = payload.route
        service = self._services.get(str(route.service_id)) if route.service_id is not None else None
        merged = effective(route, service.model if service is not None else None)
        old = self._entries.get(merged.id)
        if old is not None:
            self._take_out(old)
        try:
            entry = entry_of(merged, payload, created_index=created_index)
        except ValueError as error:
            raise InvalidConfiguration(str(error), location=("vars",)) from None
        self._entries[merged.id] = self._added[merged.id] = entry

    def _take_out(self, entry: Entry) -> None:
        if self._added.get(entry.id) is entry:
            del self._added[entry.id]
        else:
            self._removed.append(entry)

    def _index_service(self, route: Route, route_id: str, *, present: bool) -> None:
        if route.service_id is None:
            return
        service_id = str(route.service_id)
        ids = self._routes_of_service.get(service_id, frozenset())
        ids = ids | {route_id} if present else ids - {route_id}
        if ids:
            self._routes_of_service[service_id] = ids
        else:
            self._routes_of_service.pop(service_id, None)

    def result(self) -> Generation:
        """Give the new generation."""
        table = self._origin.table
        if self._removed or self._added:
            table = table.edited(self._removed, self._added.values())
        return replace(
            self._origin,
            table=table,
            entries=self._entries,
            routes_of_service=self._routes_of_service,
            services=self._services,
            upstreams=self._upstreams,
            rules=self._rules,
            global_chain=self._global_chain,
        )


M = TypeVar("M")


def _valid(change: Change, model: type[M], catalog: PluginCatalog) -> M:
    """Give a change's document as its model, with the id that it is stored under."""
    assert change.value is not None
    valid = validate(change.kind, {**change.value, "id": change.id}, catalog)
    assert isinstance(valid, model)
    return valid


def _hosts(service: _Service | None) -> list[str] | None:
    return service.model.hosts if service is not None else None
