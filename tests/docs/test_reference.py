"""The reference pages against the code that they describe: whoever adds a name or changes a default changes the page."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from prometheus_client.core import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tests.docs.page import DOCS, blocks, headings, names, read_page, rows, section

from headgate.admin.unserved import UNSERVED as UNSERVED_RESOURCES
from headgate.cli.main import app
from headgate.config.overrides import overrides_from
from headgate.config.resource import SINGULAR
from headgate.config.routes_file import SECTIONS, UNSERVED
from headgate.config.settings import AdminKey, WrittenSettings
from headgate.config.settings_sources import load as load_settings
from headgate.config.validation import MODELS, PluginMeta, validate
from headgate.expressions import variables
from headgate.expressions.operators import OPERATORS
from headgate.observe.counters import HISTOGRAMS, SLOTS, Counters, create_memory
from headgate.observe.metrics import WorkerCollector
from headgate.observe.route_rows import CODES, NODE_ROWS, ROWS
from headgate.plugins.builtin import BUILT_IN
from headgate.plugins.catalog import Catalog
from headgate.runtime.settings_reader import TAKES_RESTART
from headgate.stream.ending import Ending
from headgate.stream.terminal_event import PRESETS


def leaves(model: type[BaseModel], *way: str) -> Iterator[tuple[str, FieldInfo]]:
    """Give the fields of a model by dotted name, those of nested models in place of these."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, *way, name)
        else:
            yield ".".join((*way, name)), field


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """Give the model that a field holds, holds a list of, or may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(nested_model, get_args(annotation))), None)


def attributes(model: type[BaseModel], *way: str) -> Iterator[tuple[str, str]]:
    """Give a plugin's attributes by dotted name with what their defaults are written as, those within others too."""
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        inner = nested_model(field.annotation)
        if inner is not field.annotation:
            yield ".".join((*way, name)), "required" if field.is_required() else written(field.default)
        if inner is not None:
            yield from attributes(inner, *way, name)


def written(value: Any) -> str:
    """Write a default as the pages do."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


# -- settings ---------------------------------------------------------------------------------------------------------


def test_every_setting_is_there_with_its_default() -> None:
    page = {row[0]: row[3] for row in rows(read_page("reference/settings.md"), "setting")}
    code = {
        name: "one for each CPU" if name == "workers" else written(field.get_default(call_default_factory=True))
        for name, field in leaves(WrittenSettings)
    }
    assert page == code


def test_every_environment_name_sets_what_the_page_says() -> None:
    for name, variable, *_ in rows(read_page("reference/settings.md"), "setting"):
        overrides, problems = overrides_from(WrittenSettings, {variable: "x"}, {})
        assert ([".".join(override.path) for override in overrides], problems) == ([name], [])


def test_every_unit_in_a_settings_name_is_the_one_on_the_page() -> None:
    units = {"_s": "seconds", "_bytes": "bytes"}
    for name, _, unit, *_ in rows(read_page("reference/settings.md"), "setting"):
        for ending, word in units.items():
            assert unit == word or not name.endswith(ending), name


def test_every_setting_that_takes_a_restart_is_named() -> None:
    sentence = read_page("reference/settings.md").partition("take a restart, and keep their value until then: ")[2]
    assert sentence.partition(".\n")[0].replace("`", "").split(", ") == list(TAKES_RESTART)


def test_the_settings_file_on_the_page_is_a_good_one(tmp_path: Path) -> None:
    (example,) = blocks(read_page("reference/settings.md"), "yaml")
    file = tmp_path / "headgate.yaml"
    file.write_text(example)
    settings = load_settings(file, {}, {})
    assert {"streams", "tcp", "drain"} <= settings.model_fields_set


def test_every_attribute_of_an_admin_key_is_there() -> None:
    assert names(section(read_page("reference/settings.md"), "Admin keys"), "attribute") == list(AdminKey.model_fields)


# -- plugins and resources --------------------------------------------------------------------------------------------


def test_every_plugin_has_a_section() -> None:
    assert headings(read_page("reference/plugins.md")) == ["_meta", *(plugin.name for plugin in BUILT_IN)]


@pytest.mark.parametrize(
    ("name", "model"), [("_meta", PluginMeta), *((plugin.name, plugin.Config) for plugin in BUILT_IN)]
)
def test_every_attribute_is_there_with_its_default(name: str, model: type[BaseModel]) -> None:
    page = {row[0]: row[1] for row in rows(section(read_page("reference/plugins.md"), name), "attribute")}
    assert page == dict(attributes(model))


def test_every_priority_is_the_plugins_own() -> None:
    page = read_page("reference/plugins.md")
    for plugin in BUILT_IN:
        assert f"\n\nPriority {plugin.priority}. " in section(page, plugin.name)


def test_every_preset_of_a_terminal_event_is_there() -> None:
    page = dict(rows(section(read_page("reference/plugins.md"), "stream-guard"), "preset"))
    assert page == {name: template.replace("\n", ", ") for name, template in PRESETS.items()}


def test_every_field_of_a_resource_is_there() -> None:
    page = read_page("reference/resources.md")
    assert headings(page) == [
        SINGULAR[kind].capitalize() for kind in ("routes", "services", "upstreams", "global_rules")
    ]
    for kind, model in MODELS.items():
        assert sorted(names(section(page, SINGULAR[kind].capitalize()), "field")) == sorted(model.model_fields), kind


# -- numbers and records ----------------------------------------------------------------------------------------------


def test_every_metric_is_there_with_type_labels_and_text() -> None:
    page = {row[0]: tuple(row[1:]) for row in rows(read_page("reference/metrics.md"), "metric")}
    code: dict[str, tuple[str, ...]] = {
        f"headgate_{slot.name}" + ("_total" if slot.type == "counter" else ""): (
            slot.type,
            ", ".join(name for name, _ in slot.labels),
            slot.help,
        )
        for slot in SLOTS
    }
    code |= {f"headgate_{histogram.name}": ("histogram", "", histogram.help) for histogram in HISTOGRAMS}
    assert {name: row for name, row in page.items() if name.startswith("headgate_")} == code


def counters_in_use() -> Counters:
    """Give counters with a row, so that every metric has a sample."""
    counters = Counters.private()
    row = counters.open_rows().find("r", "s", "n")
    counters.slots[row.code(200)] += 1
    counters.slots[row.egress] += 1
    row.observe_latency(counters.slots, 0.1, 0.1)
    return counters


def test_every_metric_that_is_exposed_is_there_with_its_labels() -> None:
    registry = CollectorRegistry()
    registry.register(WorkerCollector([counters_in_use()]))
    lines = generate_latest(registry).decode().splitlines()
    exposed = {tuple(line.split()[2:]) for line in lines if line.startswith("# TYPE")}
    page = rows(read_page("reference/metrics.md"), "metric")
    assert exposed == {(name, kind) for name, kind, *_ in page}
    for name, _, labels, _ in page:
        sample = next(line for line in lines if re.match(rf"{name}(_bucket)?(\{{| )", line))
        shown = set(re.findall(r"(\w+)=", sample)) - {"le"}
        assert shown == set(filter(None, labels.split(", "))), name


@pytest.mark.parametrize(
    ("label", "slot"), [("reason", "streams_untouched"), ("outcome", "peeks"), ("status", "responses")]
)
def test_every_value_of_a_label_is_there(label: str, slot: str) -> None:
    said = next(row[1] for row in rows(read_page("reference/metrics.md"), "label") if row[0] == label)
    for value in (dict(one.labels)[label] for one in SLOTS if one.name == slot):
        assert value in said or (label == "status" and said == "1xx to 5xx")


def test_every_code_with_a_label_of_its_own_is_there() -> None:
    said = read_page("reference/metrics.md").partition("a label of their own: ")[2].partition(". Others")[0]
    spans = [part.split(" to ") for part in said.replace("\n", " ").split(", ")]
    assert sorted(code for span in spans for code in range(int(span[0]), int(span[-1]) + 1)) == sorted(CODES)


def test_the_bounds_of_labels_and_memory_are_as_said() -> None:
    page = read_page("reference/metrics.md")
    memory = create_memory()
    assert f"A worker has {ROWS} rows" in page
    assert f"From the {NODE_ROWS}th on" in page
    assert f"is {round(os.fstat(memory).st_size / 1024)} KiB" in page
    os.close(memory)


def test_every_ending_is_there() -> None:
    assert sorted(names(read_page("concepts.md"), "ending")) == sorted(Ending)


# -- command line -----------------------------------------------------------------------------------------------------


def test_every_command_is_there() -> None:
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    commands += [str(group.typer_instance.info.name) for group in app.registered_groups if group.typer_instance]
    assert sorted(headings(read_page("reference/command-line.md"))) == sorted(f"headgate {name}" for name in commands)


@pytest.mark.parametrize("name", ["run", "reload", "drain", "check", "demo", "echo", "version"])
def test_every_flag_is_there(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]  # a group, as there are several
    flags = [flag for parameter in command.params for flag in parameter.opts if flag.startswith("-")]
    flags += [flag for parameter in command.params for flag in parameter.secondary_opts]
    page = names(section(read_page("reference/command-line.md"), f"headgate {name}"), "flag")
    assert sorted(page) == sorted(flags)


# -- matching, routes file, Admin API ---------------------------------------------------------------------------------


def test_every_operator_is_there() -> None:
    assert names(read_page("reference/matching.md"), "operator") == list(OPERATORS)


def test_every_variable_of_a_request_is_there() -> None:
    page = read_page("reference/matching.md").partition("Known once there is a route")[0]
    prefixes = [prefix for prefix, _ in variables._PREFIXED if prefix != "post_arg_"]  # said beside post_arg.
    assert names(page, "variable") == [*variables._FIXED, *(f"{prefix}NAME" for prefix in prefixes)]


def test_every_section_of_a_routes_file_is_there() -> None:
    page = {row[0]: row[1] == "served" for row in rows(read_page("reference/routes-file.md"), "section")}
    assert page == {name: name not in UNSERVED for name in SECTIONS}


def test_every_resource_that_answers_501_is_there() -> None:
    assert names(read_page("reference/admin-api.md"), "resource") == sorted(UNSERVED_RESOURCES)


# -- the pages themselves ---------------------------------------------------------------------------------------------


def test_the_plugin_on_its_page_is_the_tested_one() -> None:
    page = read_page("how-to/write-a-plugin.md")
    for name in ("event_filter.py", "pyproject.toml"):
        assert f"\n{(DOCS.parent / 'examples' / 'event_filter' / name).read_text().strip()}\n```\n" in page


@pytest.mark.parametrize("name", ["how-to/llm-streams.md", "how-to/endings-and-clocks.md", "how-to/browsers.md"])
def test_every_configuration_of_plugins_on_a_page_is_a_good_one(name: str) -> None:
    examples = [json.loads(text) for text in blocks(read_page(name), "json")]
    assert examples
    catalog = Catalog()
    for example in examples:
        for plugin, conf in example.get("plugins", example).items():
            catalog.check(plugin, conf)
        if "plugins" in example:
            validate("routes", example, catalog)


def test_every_page_is_in_the_index() -> None:
    index = read_page("README.md")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name == "README.md" or name.startswith("design/") or f"({name})" in index, name


def test_every_link_leads_to_a_file() -> None:
    for page in DOCS.rglob("*.md"):
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
