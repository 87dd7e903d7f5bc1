from __future__ import annotations

from typing import Any

import pytest
from tests.config.client_pem import CERTIFICATE

from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.merge import effective
from headgate.config.route import Route
from headgate.config.upstream import Upstream as Model
from headgate.plugins.catalog import Catalog
from headgate.server.plan import compile_plan, compile_upstream
from headgate.upstream.pool import KeepAlive
from headgate.upstream.upstream import PassHost, Timeouts, Upstream


def compiled(authorities: str | None = None, **fields: Any) -> Upstream:
    return compile_upstream(Model.model_validate({"nodes": {"a.test:81": 1}, **fields}), authorities=authorities)


def test_what_an_upstream_says_nothing_of() -> None:
    upstream = compiled()
    assert upstream.timeouts == Timeouts(60, 60, None)
    assert upstream.keep_alive == KeepAlive(320, 60, 1000)
    assert upstream.pass_host is PassHost.PASS
    assert (upstream.retries, upstream.retry_timeout_s, upstream.tries) == (None, 0.0, 1)


def test_what_an_upstream_says() -> None:
    upstream = compiled(
        nodes={"a:1": 1, "b:1": 2, "c:1": 0},
        timeout={"connect": 1, "send": 2, "read": 3.5},
        keepalive_pool={"size": 1, "idle_timeout": 2, "requests": 3},
        pass_host="rewrite",
        upstream_host="x.test",
        retries=1,
        retry_timeout=4,
    )
    assert upstream.timeouts == Timeouts(1, 2, 3.5)
    assert upstream.keep_alive == KeepAlive(1, 2, 3)
    assert (upstream.pass_host, upstream.upstream_host) == (PassHost.REWRITE, b"x.test")
    assert (upstream.retries, upstream.retry_timeout_s, upstream.tries) == (1, 4, 2)


@pytest.mark.parametrize(
    ("nodes", "scheme", "address", "host"),
    [
        ({"a.test": 1}, "http", "a.test:80", b"a.test"),
        ({"a.test:80": 1}, "http", "a.test:80", b"a.test"),
        ({"a.test:81": 1}, "http", "a.test:81", b"a.test:81"),
        ({"a.test": 1}, "https", "a.test:443", b"a.test"),
        ({"a.test:80": 1}, "https", "a.test:80", b"a.test:80"),
        ({"[::1]:81": 1}, "http", "[::1]:81", b"[::1]:81"),
        ([{"host": "a.test", "port": 82, "weight": 1}], "http", "a.test:82", b"a.test:82"),
    ],
)
def test_targets(nodes: Any, scheme: str, address: str, host: bytes) -> None:
    target = compiled(nodes=nodes, scheme=scheme).balance.pick()
    assert target is not None
    assert (target.address, target.host_header, target.tls is not None) == (address, host, scheme == "https")


@pytest.mark.parametrize(
    ("fields", "name", "verified"),
    [
        ({}, "a.test", True),
        ({"pass_host": "rewrite", "upstream_host": "x.test"}, "x.test", True),
        ({"tls": {"verify": False}}, "a.test", False),
    ],
)
def test_tls_targets(fields: dict[str, Any], name: str, verified: bool) -> None:
    target = compiled(scheme="https", **fields).balance.pick()
    assert target is not None
    assert target.tls is not None
    assert (target.tls.server_name, target.tls.context.check_hostname) == (name, verified)
    again = compiled(scheme="https", **fields).balance.pick()
    assert again == target, "equal settings share a context, and so a pool"


def test_the_authorities_are_what_is_trusted() -> None:
    (target,) = {compiled(CERTIFICATE, scheme="https").balance.pick() for _ in range(2)}
    assert target is not None
    assert target.tls is not None
    assert len(target.tls.context.get_ca_certs()) == 1


def test_a_scheme_that_is_not_proxied_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="not proxied"):
        compiled(scheme="kafka")


@pytest.mark.parametrize(
    ("own", "of_upstream", "expected"),
    [
        (None, None, Timeouts(60, 60, None)),
        (None, {"connect": 1, "send": 2, "read": 3}, Timeouts(1, 2, 3)),
        ({"connect": 4, "send": 5, "read": 6}, {"connect": 1, "send": 2, "read": 3}, Timeouts(4, 5, 6)),
    ],
)
def test_a_routes_timeouts_go_before_its_upstreams(own: Any, of_upstream: Any, expected: Timeouts) -> None:
    timeout = {} if of_upstream is None else {"timeout": of_upstream}
    document = {"id": "1", "uri": "/", "plugins": {}, **({} if own is None else {"timeout": own})}
    route = effective(Route.model_validate(document))
    plan = compile_plan(route, compiled(**timeout), Catalog())
    assert plan.timeouts == expected
    assert (plan.route_id, plan.service_id, plan.enable_websocket) == ("1", None, False)


def test_plugins_that_cannot_work_are_refused() -> None:
    route = effective(Route.model_validate({"id": "1", "uri": "/", "plugins": {"sse": {"proxy_read_timeout": -1}}}))
    with pytest.raises(InvalidConfiguration):
        compile_plan(route, None, Catalog())


def test_an_upstream_that_would_have_to_be_discovered_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="service discovery is not there yet; give nodes"):
        compile_upstream(Model(service_name="s", discovery_type="dns"), authorities=None)
