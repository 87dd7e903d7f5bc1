from __future__ import annotations

from typing import Any

import pytest
from tests.config.client_pem import CERTIFICATE, KEY, KEY_OF_ANOTHER
from tests.config.plugin_catalog import SmallCatalog

from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.upstream import Upstream
from headgate.config.validation import validate
from headgate.config.validation_upstream import check_upstream


@pytest.mark.parametrize(
    "document",
    [
        {"pass_host": "rewrite", "upstream_host": "a.com"},
        {"pass_host": "node", "nodes": {"a:1": 1, "b:1": 1}},
        {"type": "chash", "key": "arg_name"},
        {"type": "chash", "key": "remote_addr", "hash_on": "vars"},
        {"type": "chash", "key": "X-Id", "hash_on": "header"},
        {"type": "chash", "key": "$a$b", "hash_on": "vars_combinations"},
        {"type": "chash", "hash_on": "consumer"},
        {"type": "roundrobin", "hash_on": "header", "key": "not a header"},
        {"nodes": {"[::1]:80": 1}},
        {"tls": {"client_cert": CERTIFICATE, "client_key": KEY}},
    ],
)
def test_good_upstreams(document: dict[str, Any]) -> None:
    given = {"nodes": {}, **document}
    assert validate("upstreams", given, SmallCatalog()).model_dump(exclude_unset=True) == given


@pytest.mark.parametrize(
    ("document", "location", "text"),
    [
        (
            {"pass_host": "rewrite"},
            ("upstream_host",),
            "`upstream_host` can't be empty when `pass_host` is `rewrite`",
        ),
        ({"type": "chash"}, ("key",), "missing key"),
        ({"type": "chash", "hash_on": "header"}, ("key",), "missing key"),
        ({"type": "chash", "hash_on": "cookie"}, ("key",), "missing key"),
        (
            {"type": "chash", "hash_on": "header", "key": "a b"},
            ("key",),
            'invalid configuration: failed to match pattern "^[a-zA-Z0-9-_]+$" with "a b"',
        ),
        (
            {"type": "chash", "key": "not_support"},
            ("key",),
            (
                'invalid configuration: failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port'
                '|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "not_support"'
            ),
        ),
        ({"nodes": {"a:99999": 1}}, ("nodes",), "invalid port 99999"),
        ({"nodes": {"a b": 1}}, ("nodes",), 'invalid configuration: invalid node address "a b"'),
        (
            {"nodes": [{"host": "2001:db8::1", "weight": 1}]},
            ("nodes",),
            "invalid configuration: IPv6 address must be enclosed with '[' and ']'",
        ),
        (
            {"tls": {"client_cert": CERTIFICATE, "client_key": KEY_OF_ANOTHER}},
            ("tls",),
            "invalid configuration: failed to load client_cert and client_key: key values mismatch",
        ),
    ],
)
def test_bad_upstreams(document: dict[str, Any], location: tuple[object, ...], text: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check_upstream(Upstream.model_validate({"nodes": {}, **document}))
    assert (caught.value.text, caught.value.location) == (text, location)


def test_nodes_of_neither_form() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        validate("upstreams", {"nodes": {"a": -1}}, SmallCatalog())
    text = 'invalid configuration: property "nodes" validation failed: object matches none of the required'
    assert caught.value.text == text
