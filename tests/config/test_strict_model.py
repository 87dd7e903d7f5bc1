from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from pydantic import AfterValidator, Field, ValidationError, WrapValidator

from headgate.config.strict_model import KeyRule, Maybe, StrictModel, match_any, match_one, refuse_repeats


class Sample(StrictModel):
    name: Maybe[Annotated[str, Field(min_length=1)]] = Field(default=None, description="A name.")
    size: float = 1
    either: Annotated[str | int, WrapValidator(match_any)] = 1
    one: Annotated[str | int, WrapValidator(match_one)] = 1
    items: Annotated[list[Any], AfterValidator(refuse_repeats)] = Field(default=[])


class Ruled(StrictModel):
    a: int = 0
    b: int = 0
    c: int = 0

    key_rules: ClassVar[tuple[KeyRule, ...]] = (
        KeyRule("not", (("a", "c"),)),
        KeyRule("oneOf", (("a",), ("b",), ("c",))),
    )


def complaint(model: type[StrictModel], document: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return str(caught.value.errors()[0]["msg"])


def test_a_key_may_be_left_out_but_not_null() -> None:
    assert Sample.model_validate({}).name is None
    assert "string" in complaint(Sample, {"name": None})


def test_the_schema_says_nothing_of_null() -> None:
    field = Sample.model_json_schema()["properties"]["name"]
    assert field == {"description": "A name.", "minLength": 1, "title": "Name", "type": "string"}


@pytest.mark.parametrize("size", ["1", True, float("inf"), float("nan"), None])
def test_nothing_is_coerced(size: object) -> None:
    assert complaint(Sample, {"size": size})


def test_a_number_may_be_whole() -> None:
    assert Sample.model_validate({"size": 2}).size == 2


def test_unknown_keys_are_refused() -> None:
    assert complaint(Sample, {"nam": "x"})


def test_models_never_change() -> None:
    with pytest.raises(ValidationError):
        Sample().size = 2


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"either": []}, "object matches none of the required"),
        ({"one": []}, "value should match only one schema, but matches none"),
        ({"items": [1, 2, 3, 2]}, "expected unique items but items 2 and 4 are equal"),
        ({"items": [{"a": 1}, {"a": 1}]}, "expected unique items but items 1 and 2 are equal"),
    ],
)
def test_texts_of_the_validators(document: dict[str, Any], text: str) -> None:
    assert complaint(Sample, document) == text


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "value should match only one schema, but matches none"),
        ({"a": 1, "b": 1}, "value should match only one schema, but matches both schemas 1 and 2"),
        ({"b": 1, "c": 0}, "value should match only one schema, but matches both schemas 2 and 3"),
        ({"a": 1, "c": 1}, "value wasn't supposed to match schema"),
    ],
)
def test_key_rules_look_at_what_was_written(document: dict[str, Any], text: str) -> None:
    assert complaint(Ruled, document) == text


def test_key_rules_let_pass_what_keeps_them() -> None:
    assert Ruled.model_validate({"b": 5}).b == 5
    assert KeyRule("anyOf", (("a",), ("a", "b"))).complaint({"a"}) is None


def test_an_any_of_rule_lists_what_it_needs() -> None:
    rule = KeyRule("anyOf", (("active",), ("active", "passive")))
    assert rule.complaint({"passive"}) == 'object matches none of the required: ["active"] or ["active","passive"]'


def test_key_rules_are_in_the_schema() -> None:
    assert Ruled.model_json_schema()["allOf"] == [
        {"not": {"anyOf": [{"required": ["a", "c"]}]}},
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["c"]}]},
    ]
    assert "allOf" not in Sample.model_json_schema()
