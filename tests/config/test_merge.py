from __future__ import annotations

from typing import Any

import pytest

from headgate.config.merge import EffectiveRoute, effective
from headgate.config.route import Route
from headgate.config.service import Service
from headgate.config.upstream import Upstream

ONE = {"nodes": {"a:1": 1}}
TWO = {"nodes": {"b:2": 1}}


def merged(route: dict[str, Any], service: dict[str, Any] | None = None) -> EffectiveRoute:
    document = {"id": 1, "uri": "/", "plugins": {}, **route}
    return effective(
        Route.model_validate({key: value for key, value in document.items() if value is not ...}),
        None if service is None else Service.model_validate(service),
    )


def test_a_route_alone() -> None:
    timeout = {"connect": 1, "send": 2, "read": 3}
    route = merged(
        {
            "service_id": 7,
            "name": "n",
            "uri": ...,
            "uris": ["/a", "/b"],
            "host": "a.com",
            "methods": ["GET"],
            "remote_addr": "::1",
            "vars": [["arg_a", "==", "1"]],
            "priority": 3,
            "status": 0,
            "timeout": timeout,
            "labels": {"a": "b"},
        }
    )
    assert (route.id, route.service_id, route.name) == ("1", "7", "n")
    assert (route.uris, route.hosts, route.remote_addrs) == (("/a", "/b"), ("a.com",), ("::1",))
    assert (route.methods, route.vars, route.priority) == (frozenset({"GET"}), [["arg_a", "==", "1"]], 3)
    assert (route.status, route.enabled, route.labels) == (0, False, {"a": "b"})
    assert route.timeout is not None
    assert route.timeout.model_dump() == timeout


def test_what_a_route_leaves_out() -> None:
    route = merged({})
    assert (route.uris, route.hosts, route.remote_addrs, route.methods, route.vars) == (("/",), (), (), None, None)
    assert (route.upstream, route.upstream_id, route.timeout, route.service_id) == (None, None, None, None)
    assert (route.plugins, route.labels, route.enable_websocket, route.enabled) == ({}, {}, False, True)


def test_no_methods_are_any() -> None:
    assert merged({"methods": []}).methods is None


def test_plugins_by_name_the_routes_first() -> None:
    service = {"plugins": {"a": {"from": "service"}, "b": {"from": "service"}}}
    route = {"plugins": {"b": {"from": "route"}, "c": {"from": "route"}}}
    assert merged(route, service).plugins == {"a": {"from": "service"}, "b": {"from": "route"}, "c": {"from": "route"}}


@pytest.mark.parametrize(
    ("route", "service", "upstream", "upstream_id"),
    [
        ({}, {"upstream": TWO}, TWO, None),
        ({}, {"upstream_id": 2}, None, "2"),
        ({"upstream": ONE}, {"upstream": TWO}, ONE, None),
        ({"upstream": ONE}, {"upstream_id": 2}, ONE, None),
        ({"upstream_id": 1}, {"upstream": TWO}, None, "1"),
        ({"upstream_id": "1"}, {"upstream_id": 2}, None, "1"),
        ({"upstream_id": 1, "upstream": ONE}, {"upstream": TWO}, None, "1"),
        ({}, {}, None, None),
    ],
)
def test_the_routes_upstream_replaces_the_services(
    route: dict[str, Any], service: dict[str, Any], upstream: dict[str, Any] | None, upstream_id: str | None
) -> None:
    result = merged(route, service)
    assert result.upstream == (None if upstream is None else Upstream.model_validate(upstream))
    assert result.upstream_id == upstream_id


@pytest.mark.parametrize(
    ("route", "hosts"),
    [({}, ("s.com",)), ({"host": "r.com"}, ("r.com",)), ({"hosts": ["r.com", "q.com"]}, ("r.com", "q.com"))],
)
def test_hosts_are_inherited(route: dict[str, Any], hosts: tuple[str, ...]) -> None:
    assert merged(route, {"hosts": ["s.com"]}).hosts == hosts


@pytest.mark.parametrize(
    ("route", "service", "enabled"),
    [({}, True, True), (False, True, False), (True, False, True), (True, {}, True), ({}, {}, False)],
)
def test_websocket_of_the_route_else_of_the_service(route: Any, service: Any, enabled: bool) -> None:
    documents = [{} if given == {} else {"enable_websocket": given} for given in (route, service)]
    assert merged(*documents).enable_websocket is enabled


def test_labels_are_the_routes_or_the_services() -> None:
    service = {"labels": {"a": "service", "b": "service"}}
    assert merged({}, service).labels == {"a": "service", "b": "service"}
    assert merged({"labels": {"a": "route"}}, service).labels == {"a": "route"}


def test_the_services_name_is_not_the_routes() -> None:
    assert merged({}, {"name": "service"}).name is None
