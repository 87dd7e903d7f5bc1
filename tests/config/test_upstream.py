from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.config.node import Endpoint
from headgate.config.upstream import Upstream


def test_defaults_are_those_of_apisix() -> None:
    upstream = Upstream.model_validate({"nodes": {}, "keepalive_pool": {}})
    assert (upstream.type, upstream.scheme, upstream.pass_host, upstream.hash_on) == (
        "roundrobin",
        "http",
        "pass",
        "vars",
    )
    assert (upstream.retries, upstream.retry_timeout, upstream.timeout) == (None, None, None)
    pool = upstream.keepalive_pool
    assert pool is not None
    assert (pool.size, pool.idle_timeout, pool.requests) == (320, 60, 1000)


@pytest.mark.parametrize(
    "document",
    [
        {"nodes": {"a:1": 1}, "type": "chash", "hash_on": "header", "key": "x", "retries": 0, "retry_timeout": 0},
        {"nodes": [], "scheme": "grpcs", "pass_host": "rewrite", "upstream_host": "a.com", "tls": {"verify": True}},
        {"service_name": "s", "discovery_type": "dns", "discovery_args": {"group_name": "g"}},
        {"nodes": {}, "service_name": "s"},
        {"nodes": {}, "checks": {"active": {"type": "tcp"}}, "labels": {"a": "b"}, "name": "n", "desc": ""},
    ],
)
def test_good_upstreams(document: dict[str, Any]) -> None:
    assert Upstream.model_validate(document).model_dump(exclude_unset=True) == document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"service_name": "s"},
        {"nodes": {}, "service_name": "s", "discovery_type": "dns"},
        {"nodes": {}, "retries": -1},
        {"nodes": {}, "retries": 1.0},
        {"nodes": {}, "retry_timeout": -1},
        {"nodes": {}, "scheme": "ftp"},
        {"nodes": {}, "pass_host": "keep"},
        {"nodes": {}, "hash_on": "body"},
        {"nodes": {}, "keepalive_pool": {"size": 0}},
        {"nodes": {}, "tls": {"client_cert": "short"}},
    ],
)
def test_bad_upstreams(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Upstream.model_validate(document)


def test_endpoints_come_in_order() -> None:
    assert Upstream.model_validate({"nodes": {"b:1": 1, "a": 2}}).endpoints == (
        Endpoint("b", 1, 1),
        Endpoint("a", None, 2),
    )
    assert Upstream.model_validate({"service_name": "s", "discovery_type": "dns"}).endpoints == ()
