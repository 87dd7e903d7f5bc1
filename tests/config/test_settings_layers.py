from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.config.document import Document
from headgate.config.overrides import Override
from headgate.config.problem import Path
from headgate.config.settings_layers import Layers, settings_problems
from headgate.config.yaml_places import parse_yaml


class Inner(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    size: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    inner: Inner = Inner()
    inners: list[Inner] = []
    name: str = ""


def document(text: str) -> Document:
    return parse_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "overrides", "values"),
    [
        ("name: a", [], {"name": "a"}),
        ("name: a", [Override(("name",), "V", "b"), Override(("name",), "--v", "c")], {"name": "c"}),
        ("inner: {size: 1, x: 2}", [Override(("inner", "size"), "V", 3)], {"inner": {"size": 3, "x": 2}}),
        ("name: a", [Override(("inner", "size"), "V", 3)], {"name": "a", "inner": {"size": 3}}),
        ("inner: 5", [Override(("inner", "size"), "V", 3)], {"inner": 5}),
    ],
)
def test_what_comes_later_wins(text: str, overrides: list[Override], values: dict[str, Any]) -> None:
    assert Layers(document(text), overrides).values == values


def test_the_document_is_left_as_it_is() -> None:
    below = document("inner: {size: 1}")
    Layers(below, [Override(("inner", "size"), "V", 3)])
    assert below.value == {"inner": {"size": 1}}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("name",), "V: name: bad"),
        (("name", 0, "x"), "V: name[0].x: bad"),
        (("inner", "size"), "f.yaml:2:9: inner.size: bad"),
        (("inner", "other"), "f.yaml:2:1: inner.other: bad"),
    ],
)
def test_a_problem_names_the_layer_that_the_value_comes_from(path: Path, text: str) -> None:
    layers = Layers(document("name: a\ninner: {size: 1}"), [Override(("name",), "V", "b")])
    assert str(layers.problem(path, "bad")) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("inner: {size: x}", "f.yaml:1:9: inner.size: expected a whole number, got a text"),
        ("inner: {size: [1]}", "f.yaml:1:9: inner.size: expected a whole number, got a list"),
        ("name: {a: 1}", "f.yaml:1:1: name: expected a text, got a mapping"),
        ("inner: {siz: 1}", 'f.yaml:1:9: inner.siz: no such setting; did you mean "size"?'),
        ("inners: [{siz: 1}]", "f.yaml:1:11: inners[0].siz: no such setting"),
        ("inners: x", "f.yaml:1:1: inners: Input should be a valid list"),
    ],
)
def test_errors_are_said_in_peoples_words(text: str, problem: str) -> None:
    layers = Layers(document(text), [])
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(layers.values)
    assert [str(found) for found in settings_problems(Outer, caught.value, layers)] == [problem]
