from __future__ import annotations

from typing import Any

import pytest
from tests.config.plugin_catalog import Buffering, Limits, SmallCatalog

from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.validation_plugins import (
    check_plugins,
    check_vars,
    failed_plugin,
    parse_plugin,
    plugin_meta,
    unknown_plugin,
)

FAILED = "failed to check the configuration of plugin"


def test_a_good_configuration_becomes_its_model() -> None:
    conf = {"count": 2, "_meta": {"disable": True}}
    assert parse_plugin("limits", conf, Limits) == Limits(count=2)
    assert conf == {"count": 2, "_meta": {"disable": True}}


@pytest.mark.parametrize(
    ("conf", "location", "text"),
    [
        ("blah", (), 'invalid plugin conf "blah" for plugin [limits]'),
        ([1, "ä"], (), 'invalid plugin conf [1, "ä"] for plugin [limits]'),
        (None, (), "invalid plugin conf null for plugin [limits]"),
        ({}, ("count",), f'{FAILED} limits err: property "count" is required'),
        (
            {"count": "2"},
            ("count",),
            f'{FAILED} limits err: property "count" validation failed: wrong type: expected integer, got string',
        ),
        (
            {"count": -1},
            ("count",),
            f'{FAILED} limits err: property "count" validation failed: expected -1 to be greater than 0',
        ),
        (
            {"count": 1, "rejected_code": 409},
            ("rejected_code",),
            f'{FAILED} limits err: property "rejected_code" validation failed: expected 409 to be at most 404',
        ),
        ({"count": 1, "_x": 1}, ("_x",), f"{FAILED} limits err: additional properties forbidden, found _x"),
        (
            {"count": 1, "rules": [{}, {}]},
            ("rules",),
            f'{FAILED} limits err: property "rules" validation failed: you can not set more than one rule',
        ),
    ],
)
def test_a_bad_configuration(conf: object, location: tuple[object, ...], text: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse_plugin("limits", conf, Limits)
    assert (caught.value.text, caught.value.location) == (text, location)


def test_meta_of_a_configuration() -> None:
    conf = {"_meta": {"priority": 5, "error_response": {"a": 1}, "filter": [["arg_a", "==", "1"]]}, "other": 1}
    meta = plugin_meta("limits", conf)
    assert (meta.disable, meta.priority, meta.error_response) == (False, 5, {"a": 1})
    assert meta.filter == [["arg_a", "==", "1"]]
    assert plugin_meta("limits", {}).model_fields_set == set()


@pytest.mark.parametrize(
    ("meta", "location", "text"),
    [
        (1, (), "wrong type: expected object, got number"),
        (None, (), "wrong type: expected object, got null"),
        ({"foo": 1}, ("foo",), "additional properties forbidden, found foo"),
        (
            {"disable": 1},
            ("disable",),
            'property "disable" validation failed: wrong type: expected boolean, got number',
        ),
        (
            {"error_response": 1},
            ("error_response",),
            'property "error_response" validation failed: value should match only one schema, but matches none',
        ),
        (
            {"pre_function": "return 1"},
            ("pre_function",),
            'property "pre_function" validation failed: headgate runs no Lua: use a plugin, or _meta.filter',
        ),
    ],
)
def test_bad_meta(meta: Any, location: tuple[object, ...], text: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        plugin_meta("limits", {"_meta": meta})
    assert caught.value.text == f'{FAILED} limits err: property "_meta" validation failed: {text}'
    assert caught.value.location == ("_meta", *location)


@pytest.mark.parametrize(
    ("plugins", "location", "text"),
    [
        ({"proxy-buffering": {}, "x": {}}, ("plugins", "x"), "unknown plugin [x]"),
        (
            {"limits": {"count": 1, "_meta": {"a": 1}}},
            ("plugins", "limits", "_meta", "a"),
            f'{FAILED} limits err: property "_meta" validation failed: additional properties forbidden, found a',
        ),
    ],
)
def test_plugins_are_located_from_the_documents_top(
    plugins: dict[str, Any], location: tuple[object, ...], text: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check_plugins(plugins, SmallCatalog())
    assert (caught.value.text, caught.value.location) == (text, location)


def test_vars_that_do_not_compile() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check_vars([["uri", "~~", "a(?=b)"]], SmallCatalog())
    assert caught.value.text.startswith("failed to validate the 'vars' expression: ")
    assert caught.value.location == ("vars",)


def test_texts_for_a_catalog() -> None:
    assert unknown_plugin("x").text == "unknown plugin [x]"
    refused = failed_plugin("cors", "you can not set '*'", location=("a",))
    assert (refused.text, refused.location) == (f"{FAILED} cors err: you can not set '*'", ("a",))
    assert parse_plugin("proxy-buffering", {}, Buffering).disable_proxy_buffering is False
