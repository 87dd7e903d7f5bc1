from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.probe import LowProbe, Probe

from headgate.config.validation import InvalidConfiguration, PluginCatalog, validate
from headgate.plugins.api import Plugin, PluginConfig
from headgate.plugins.catalog import MOST_PASSED, MOST_PASSED_BYTES, Catalog


def refusal(call: Any, *arguments: Any) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("name", "conf", "text", "location"),
    [
        ("x", {}, "unknown plugin [x]", ()),
        ("cors", "blah", 'invalid plugin conf "blah" for plugin [cors]', ()),
        ("cors", [], "invalid plugin conf [] for plugin [cors]", ()),
        (
            "cors",
            {"max_age": "5"},
            (
                "failed to check the configuration of plugin cors err: "
                'property "max_age" validation failed: wrong type: expected integer, got string'
            ),
            ("max_age",),
        ),
        (
            "cors",
            {"allow_credential": True},
            (
                "failed to check the configuration of plugin cors err: "
                "you can not set '*' for other option when 'allow_credential' is true"
            ),
            (),
        ),
        (
            "cors",
            {"_meta": {"filter": [["arg_k", "=", "v"]]}},
            "failed to validate the 'vars' expression: invalid operator '='",
            ("_meta", "filter"),
        ),
        (
            "cors",
            {"_meta": {"filter": [["post_arg.k", "v"]]}},
            "failed to validate the 'vars' expression: post_arg variables are available in a route's vars only",
            ("_meta", "filter"),
        ),
        (
            "cors",
            {"_meta": {"order": 1}},
            (
                "failed to check the configuration of plugin cors err: "
                'property "_meta" validation failed: additional properties forbidden, found order'
            ),
            ("_meta", "order"),
        ),
    ],
)
def test_check_refuses(name: str, conf: Any, text: str, location: tuple[str, ...]) -> None:
    found = refusal(Catalog().check, name, conf)
    assert (found.text, found.location) == (text, location)
    if isinstance(conf, dict):
        assert refusal(Catalog().compile, {name: conf}).text == text


def test_a_disabled_plugin_is_checked_and_left_out() -> None:
    conf = {"max_age": "5", "_meta": {"disable": True}}
    assert refusal(Catalog().check, "cors", conf).location == ("max_age",)
    assert Catalog().compile({"cors": conf}) == Catalog().compile({})


def test_names_go_by_priority() -> None:
    assert Catalog([LowProbe, Probe]).names_by_priority() == ["probe", "low-probe"]
    assert Catalog().names_by_priority()[0] == "stream-guard"


def test_schema_holds_defaults_and_bounds() -> None:
    schema = Catalog().schema("sse")
    assert schema["additionalProperties"] is False
    assert {"default": 3600, "minimum": 0, "type": "integer"}.items() <= schema["properties"][
        "proxy_read_timeout"
    ].items()
    with pytest.raises(KeyError):
        Catalog().schema("x")


def test_conditions_of_routes_may_use_the_form() -> None:
    catalog: PluginCatalog = Catalog()
    catalog.check_condition([["post_arg.k", "v"]])
    with pytest.raises(ValueError, match=r"^invalid operator '='$"):
        catalog.check_condition([["arg_k", "=", "v"]])


def test_a_whole_route_is_checked() -> None:
    document = {"uri": "/a", "plugins": {"proxy-rewrite": {"uri": "hello"}}, "upstream_id": "1"}
    found = refusal(validate, "routes", document, Catalog())
    assert found.location == ("plugins", "proxy-rewrite", "uri")
    assert "failed to check the configuration of plugin proxy-rewrite err: " in found.text


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package that brings plugins, one good and several not."""
    (tmp_path / "outside_plugins.py").write_text(
        "from headgate.plugins.api import Plugin, PluginConfig\n"
        "class Good(Plugin):\n    name = 'good'\n    priority = 3\n    Config = PluginConfig\n"
        "class Twin(Good):\n    name = 'sse'\n"
        "class Nameless(Good):\n    name = None\n"
        "class Loose(Good):\n    Config = dict\n"
        "class Unbuilt(Good):\n    class Config(PluginConfig):\n        socket: memoryview\n"
        "function = len\n"
    )
    information = tmp_path / "outside-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1\n")
    names = ("Good", "Twin", "Nameless", "Loose", "Unbuilt", "function", "Missing")
    lines = [f"{name.lower()} = outside_plugins:{name}" for name in names] + ["gone = no_such_module:Plugin"]
    (information / "entry_points.txt").write_text("[headgate.plugins]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_plugins_of_other_packages_come_by_entry_point() -> None:
    catalog = Catalog()
    assert catalog.names_by_priority()[-1] == "good"
    assert len(catalog.compile({"good": {}}).on_request) == 0
    unbuilt = catalog.problems.pop(3)
    assert unbuilt.startswith("plugin unbuilt (outside_plugins:Unbuilt): PydanticSchemaGenerationError: Unable to")
    assert catalog.problems == [
        "plugin twin (outside_plugins:Twin): there is a plugin sse already",
        (
            "plugin nameless (outside_plugins:Nameless): TypeError: "
            "name must be a text, priority a whole number, Config a subclass of PluginConfig"
        ),
        (
            "plugin loose (outside_plugins:Loose): TypeError: "
            "name must be a text, priority a whole number, Config a subclass of PluginConfig"
        ),
        "plugin function (outside_plugins:function): TypeError: not a subclass of headgate.plugins.api.Plugin",
        "plugin missing (outside_plugins:Missing): AttributeError: module 'outside_plugins' has no attribute 'Missing'",
        "plugin gone (no_such_module:Plugin): ModuleNotFoundError: No module named 'no_such_module'",
    ]


def test_without_outside_plugins_there_is_no_problem() -> None:
    assert Catalog().problems == []


class BuiltPlugin(Plugin):
    """Counts how often it is made."""

    name = "built"
    priority = 1
    made = 0

    class Config(PluginConfig):
        value: Any = None
        room: str = ""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        BuiltPlugin.made += 1
        if config.value == "bad":
            raise ValueError("no good")


@pytest.fixture
def built() -> Catalog:
    BuiltPlugin.made = 0
    return Catalog([BuiltPlugin])


def test_a_configuration_that_has_passed_is_known_again(built: Catalog) -> None:
    for _ in range(5):
        built.check("built", {"value": {"a": [1, None]}})
    assert BuiltPlugin.made == 1


def test_each_chain_has_plugins_of_its_own(built: Catalog) -> None:
    for _ in range(3):
        built.check("built", {})
        built.compile({"built": {}})
    assert BuiltPlugin.made == 1 + 3


@pytest.mark.parametrize(
    "values",
    [(1, 1.0, True, "1"), (0, False, None, "", []), (math.nan, None), ({"1": 2}, {"1": 2.0}), ([1, 2], [2, 1])],
    ids=range(5),
)
def test_configurations_that_differ_are_never_taken_for_each_other(built: Catalog, values: tuple[Any, ...]) -> None:
    for value in values:
        built.check("built", {"value": value})
    assert BuiltPlugin.made == len(values)


def test_a_configuration_that_was_refused_is_refused_again(built: Catalog) -> None:
    for made in (1, 2):
        assert "no good" in refusal(built.check, "built", {"value": "bad"}).text
        assert BuiltPlugin.made == made


@pytest.mark.parametrize("conf", [{"room": "x" * MOST_PASSED_BYTES}, {"value": 2**70}], ids=["long", "large number"])
def test_what_cannot_be_known_again_is_checked_each_time(built: Catalog, conf: dict[str, Any]) -> None:
    built.check("built", conf)
    built.check("built", conf)
    assert BuiltPlugin.made == 2


def test_no_more_than_so_many_are_known_again(built: Catalog) -> None:
    for number in range(2 * MOST_PASSED + 1):
        built.check("built", {"value": number})
        assert len(built._passed) <= MOST_PASSED
