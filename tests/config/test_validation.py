from __future__ import annotations

from typing import Any

import pytest
from tests.config.plugin_catalog import SmallCatalog

from headgate.config.change import KINDS, Kind
from headgate.config.global_rule import GlobalRule
from headgate.config.route import Route
from headgate.config.service import Service
from headgate.config.upstream import Upstream
from headgate.config.validation import MODELS, InvalidConfiguration, validate

CATALOG = SmallCatalog()
UPSTREAM = {"type": "roundrobin", "nodes": {"127.0.0.1:8080": 1}}
ROUTE = {"uri": "/hello", "upstream": UPSTREAM}
NEEDED = (
    '["plugins","uri"] or ["upstream","uri"] or ["upstream_id","uri"] or ["service_id","uri"]'
    ' or ["plugins","uris"] or ["upstream","uris"] or ["upstream_id","uris"] or ["service_id","uris"]'
    ' or ["script","uri"] or ["script","uris"]'
)
HOST = r'"^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"'
NONE_MATCHES = "object matches none of the required"


def refusal(kind: Kind, document: object) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        validate(kind, document, CATALOG)
    return caught.value


@pytest.mark.parametrize(
    "document",
    [
        {"methods": ["GET"], "upstream": UPSTREAM, "desc": "new route", "uri": "/index.html"},
        {**ROUTE, "id": 1},
        {**ROUTE, "id": "a-b-c-ABC_0123"},
        {**ROUTE, "id": "1", "create_time": 1, "update_time": 2},
        {**ROUTE, "host": "*.foo.com"},
        {**ROUTE, "host": "*"},
        {**ROUTE, "host": "[::1]:8080"},
        {"uris": ["/a", "/b*"], "service_id": 1},
        {"uri": "/a", "plugins": {}},
        {"uri": "/a", "upstream_id": "1", "plugin_config_id": 7, "script_id": "x"},
        {**ROUTE, "vars": [["arg_k", "==", "v"], ["http_x", "!", "~~", "^a"]]},
        {**ROUTE, "vars": []},
        {**ROUTE, "remote_addrs": ["127.0.0.1", "10.0.0.0/8", "::1", "fe80::/10"]},
        {**ROUTE, "timeout": {"connect": 1, "send": 0.5, "read": 7200}, "status": 0, "priority": -1},
        {**ROUTE, "labels": {"env": "production"}, "enable_websocket": True, "name": "n" * 256},
        {**ROUTE, "plugins": {"proxy-buffering": {"disable_proxy_buffering": True, "_meta": {"priority": 1}}}},
    ],
)
def test_good_routes_keep_all_that_they_say(document: dict[str, Any]) -> None:
    route = validate("routes", document, CATALOG)
    assert isinstance(route, Route)
    assert route.model_dump(exclude_unset=True) == document


def test_other_kinds_give_their_models() -> None:
    assert isinstance(validate("services", {}, CATALOG), Service)
    assert isinstance(validate("upstreams", {**UPSTREAM, "type": "unknown"}, CATALOG), Upstream)
    assert isinstance(validate("global_rules", {"id": 1, "plugins": {}}, CATALOG), GlobalRule)


def test_the_document_stays_as_it_is() -> None:
    document = {**ROUTE, "plugins": {"limits": {"count": 1, "_meta": {"disable": True}}}}
    before = repr(document)
    validate("routes", document, CATALOG)
    assert repr(document) == before


@pytest.mark.parametrize(
    ("change", "location", "text"),
    [
        ({"uri": 666}, ("uri",), 'property "uri" validation failed: wrong type: expected string, got number'),
        ({"uri": None}, ("uri",), 'property "uri" validation failed: wrong type: expected string, got null'),
        (
            {"uri": ""},
            ("uri",),
            'property "uri" validation failed: string too short, expected at least 1, got 0',
        ),
        (
            {"name": "n" * 257},
            ("name",),
            'property "name" validation failed: string too long, expected at most 256, got 257',
        ),
        ({"uris": ["/b"]}, (), "value should match only one schema, but matches both schemas 1 and 2"),
        ({"uri": ...}, (), "value should match only one schema, but matches none"),
        ({"upstream": ...}, (), f"{NONE_MATCHES}: {NEEDED}"),
        (
            {"uri": ..., "uris": []},
            ("uris",),
            'property "uris" validation failed: expect array to have at least 1 items',
        ),
        (
            {"methods": ["GET", "GET"]},
            ("methods",),
            'property "methods" validation failed: expected unique items but items 1 and 2 are equal',
        ),
        (
            {"methods": ["GETX"]},
            ("methods", 0),
            'property "methods" validation failed: failed to validate item 1: matches none of the enum values',
        ),
        (
            {"methods": [1]},
            ("methods", 0),
            'property "methods" validation failed: failed to validate item 1: wrong type: expected string, got number',
        ),
        (
            {"methods": "GET"},
            ("methods",),
            'property "methods" validation failed: wrong type: expected array, got string',
        ),
        ({"service_id": "invalid_id$"}, ("service_id",), f'property "service_id" validation failed: {NONE_MATCHES}'),
        ({"upstream_id": True}, ("upstream_id",), f'property "upstream_id" validation failed: {NONE_MATCHES}'),
        ({"id": "*invalid"}, ("id",), f'property "id" validation failed: {NONE_MATCHES}'),
        ({"id": "a" * 65}, ("id",), f'property "id" validation failed: {NONE_MATCHES}'),
        ({"id": 0}, ("id",), f'property "id" validation failed: {NONE_MATCHES}'),
        ({"id": None}, ("id",), f'property "id" validation failed: {NONE_MATCHES}'),
        (
            {"host": "a.*.foo.com"},
            ("host",),
            f'property "host" validation failed: failed to match pattern {HOST} with "a.*.foo.com"',
        ),
        (
            {"host": "*.a.*.foo.com"},
            ("host",),
            f'property "host" validation failed: failed to match pattern {HOST} with "*.a.*.foo.com"',
        ),
        ({"remote_addr": "10.0.0.256"}, ("remote_addr",), f'property "remote_addr" validation failed: {NONE_MATCHES}'),
        ({"status": 100}, ("status",), 'property "status" validation failed: matches none of the enum values'),
        (
            {"status": True},
            ("status",),
            'property "status" validation failed: wrong type: expected integer, got boolean',
        ),
        (
            {"priority": 1.0},
            ("priority",),
            'property "priority" validation failed: wrong type: expected integer, got number',
        ),
        (
            {"enable_websocket": 1},
            ("enable_websocket",),
            'property "enable_websocket" validation failed: wrong type: expected boolean, got number',
        ),
        (
            {"labels": {"env": {"a": 1}}},
            ("labels", "env"),
            (
                'property "labels" validation failed: failed to validate env (matching ".*"): '
                "wrong type: expected string, got table"
            ),
        ),
        (
            {"labels": {"env": "a b"}},
            ("labels", "env"),
            (
                'property "labels" validation failed: failed to validate env (matching ".*"): '
                r'failed to match pattern "^\\S+$" with "a b"'
            ),
        ),
        (
            {"timeout": {"connect": 1, "send": 1}},
            ("timeout", "read"),
            'property "timeout" validation failed: property "read" is required',
        ),
        (
            {"timeout": {"connect": 0, "send": 1, "read": 1}},
            ("timeout", "connect"),
            'property "timeout" validation failed: property "connect" validation failed: expected 0 to be greater than 0',
        ),
        ({"vars": "a"}, ("vars",), 'property "vars" validation failed: wrong type: expected array, got string'),
        (
            {"filter_func": "return true"},
            ("filter_func",),
            'property "filter_func" validation failed: failed to match pattern "^function" with "return true"',
        ),
        ({"plugins": []}, ("plugins",), 'property "plugins" validation failed: wrong type: expected object, got table'),
        ({"plugins": {}, "script": "local a = 1"}, (), "value wasn't supposed to match schema"),
        ({"plugin_config_id": 1, "script": "local a = 1"}, (), "value wasn't supposed to match schema"),
        ({"_x": 1}, ("_x",), "additional properties forbidden, found _x"),
        (
            {"upstream": {}},
            ("upstream",),
            'property "upstream" validation failed: value should match only one schema, but matches none',
        ),
        (
            {"upstream": {**UPSTREAM, "retries": -1}},
            ("upstream", "retries"),
            'property "upstream" validation failed: property "retries" validation failed: expected -1 to be at least 0',
        ),
        ({"priority": 2**64}, ("priority",), "number out of range at priority"),
        (
            {"upstream": {"nodes": [], "discovery_args": {"a": [float("nan")]}}},
            ("upstream", "discovery_args", "a", 0),
            "number out of range at upstream.discovery_args.a.0",
        ),
    ],
)
def test_what_the_schema_refuses_in_a_route(change: dict[str, Any], location: tuple[object, ...], text: str) -> None:
    document = {key: value for key, value in {**ROUTE, **change}.items() if value is not ...}
    refused = refusal("routes", document)
    assert refused.text == f"invalid configuration: {text}"
    assert refused.location == location


@pytest.mark.parametrize(
    ("change", "location", "text"),
    [
        ({"host": "a.com", "hosts": ["a.com"]}, ("hosts",), "only one of host or hosts is allowed"),
        (
            {"remote_addr": "::1", "remote_addrs": ["::1"]},
            ("remote_addrs",),
            "only one of remote_addr or remote_addrs is allowed",
        ),
        ({"plugins": {"no": {}}}, ("plugins", "no"), "unknown plugin [no]"),
        (
            {"plugins": {"limits": "blah"}},
            ("plugins", "limits"),
            'invalid plugin conf "blah" for plugin [limits]',
        ),
        (
            {"plugins": {"proxy-buffering": {"disable_proxy_buffering": "yes"}}},
            ("plugins", "proxy-buffering", "disable_proxy_buffering"),
            (
                "failed to check the configuration of plugin proxy-buffering err: "
                'property "disable_proxy_buffering" validation failed: wrong type: expected boolean, got string'
            ),
        ),
        (
            {"vars": [["arg_k", "=", "v"]]},
            ("vars",),
            "failed to validate the 'vars' expression: invalid operator '='",
        ),
        (
            {"vars": ["arg_k", "==", "v"]},
            ("vars",),
            "failed to validate the 'vars' expression: rule should be wrapped inside brackets",
        ),
        (
            {"filter_func": "function(vars) return true end"},
            ("filter_func",),
            "failed to load 'filter_func' string: headgate runs no Lua, use 'vars' or a plugin instead",
        ),
        (
            {"script": "local a = 1"},
            ("script",),
            "failed to load 'script' string: headgate runs no Lua, use 'plugins' instead",
        ),
        (
            {"upstream": {"nodes": [{"host": "::1", "port": 80, "weight": 1}]}},
            ("upstream", "nodes"),
            "invalid configuration: IPv6 address must be enclosed with '[' and ']'",
        ),
    ],
)
def test_what_goes_beyond_the_schema(change: dict[str, Any], location: tuple[object, ...], text: str) -> None:
    refused = refusal("routes", {**ROUTE, **change})
    assert (refused.text, refused.location) == (text, location)


@pytest.mark.parametrize("kind", ["routes", "services"])
def test_host_and_hosts_come_before_the_schema_only_in_routes(kind: Kind) -> None:
    texts = {
        "routes": "only one of host or hosts is allowed",
        "services": "invalid configuration: additional properties forbidden, found host",
    }
    assert refusal(kind, {"host": "a", "hosts": ["a"]}).text == texts[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("document", "got"), [([], "table"), ("x", "string"), (None, "null"), (1, "number")])
def test_a_document_is_an_object(kind: Kind, document: object, got: str) -> None:
    refused = refusal(kind, document)
    assert refused.text == f"invalid configuration: wrong type: expected object, got {got}"
    assert refused.location == ()


@pytest.mark.parametrize(
    ("kind", "document", "text"),
    [
        ("global_rules", {"plugins": {}}, 'property "id" is required'),
        ("global_rules", {"id": "1"}, 'property "plugins" is required'),
        ("global_rules", {"id": "1", "plugins": {}, "name": "n"}, "additional properties forbidden, found name"),
        ("services", {"uri": "/"}, "additional properties forbidden, found uri"),
        ("upstreams", {**UPSTREAM, "_service_name": "x"}, "additional properties forbidden, found _service_name"),
    ],
)
def test_what_the_schema_refuses_elsewhere(kind: Kind, document: dict[str, Any], text: str) -> None:
    assert refusal(kind, document).text == f"invalid configuration: {text}"


@pytest.mark.parametrize("kind", ["services", "global_rules"])
def test_plugins_are_checked_wherever_they_stand(kind: Kind) -> None:
    assert refusal(kind, {"id": "1", "plugins": {"no": {}}}).text == "unknown plugin [no]"


def test_a_document_of_any_depth_is_refused_without_a_crash() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert refusal("routes", {**ROUTE, "vars": [deep]}).text.startswith("failed to validate the 'vars' expression: ")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_no_default_is_null(kind: Kind) -> None:
    schema = MODELS[kind].model_json_schema()
    for model in (schema, *schema.get("$defs", {}).values()):
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            assert field.get("description"), name
            assert field.get("default", "") is not None
            assert {"type": "null"} not in field.get("anyOf", ())
