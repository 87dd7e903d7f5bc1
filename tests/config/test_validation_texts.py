from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from headgate.config.validation_texts import describe, pattern_mismatch, wrong_type


class Colour(Enum):
    RED = "red"


class Inner(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    size: Annotated[float, Field(ge=-1, lt=10)] = 1


class Sample(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    text: Annotated[str, Field(min_length=1, max_length=3, pattern=r'^[a-z"\\]+$')] = "a"
    number: float = 1
    flag: bool = False
    level: Literal[1, 2] = 1
    colour: Colour = Colour.RED
    items: Annotated[list[Inner], Field(max_length=2)] = []
    pair: tuple[int, int] = (1, 2)
    unique: set[int] = set()
    maximum: Annotated[dict[str, int], Field(max_length=1)] = {}
    either: Inner | list[int] | None = None
    maybe: Inner | None = None
    when: Annotated[bytes, Field()] = b""
    named: int = 0

    @field_validator("named")
    @classmethod
    def name(cls, value: int) -> int:
        if value:
            raise PydanticCustomError("own", "{value} is too much", {"value": value})
        return value


@pytest.mark.parametrize(
    ("document", "text", "location"),
    [
        ([], "wrong type: expected object, got table", ()),
        ({"text": 1}, 'property "text" validation failed: wrong type: expected string, got number', ("text",)),
        ({"text": ""}, 'property "text" validation failed: string too short, expected at least 1, got 0', ("text",)),
        ({"text": "aaaa"}, 'property "text" validation failed: string too long, expected at most 3, got 4', ("text",)),
        (
            {"text": 'A"\\'},
            r'property "text" validation failed: failed to match pattern "^[a-z\"\\\\]+$" with "A\"\\"',
            ("text",),
        ),
        ({"text": "\ud800"}, 'property "text" validation failed: expected valid Unicode text', ("text",)),
        ({"number": "1"}, 'property "number" validation failed: wrong type: expected number, got string', ("number",)),
        ({"number": float("inf")}, 'property "number" validation failed: expected inf to be finite', ("number",)),
        ({"flag": None}, 'property "flag" validation failed: wrong type: expected boolean, got null', ("flag",)),
        ({"level": 3}, 'property "level" validation failed: matches none of the enum values', ("level",)),
        ({"colour": "red"}, 'property "colour" validation failed: invalid value', ("colour",)),
        ({"items": {}}, 'property "items" validation failed: wrong type: expected array, got table', ("items",)),
        (
            {"items": [{}, {}, {}]},
            'property "items" validation failed: expect array to have at most 2 items',
            ("items",),
        ),
        (
            {"items": [{}, {"size": -1.5}]},
            (
                'property "items" validation failed: failed to validate item 2: property "size" validation failed: '
                "expected -1.5 to be at least -1"
            ),
            ("items", 1, "size"),
        ),
        (
            {"items": [{"size": 10}]},
            (
                'property "items" validation failed: failed to validate item 1: property "size" validation failed: '
                "expected 10 to be smaller than 10"
            ),
            ("items", 0, "size"),
        ),
        (
            {"items": [{"sise": 1}]},
            'property "items" validation failed: failed to validate item 1: additional properties forbidden, found sise',
            ("items", 0, "sise"),
        ),
        ({"pair": 1}, 'property "pair" validation failed: wrong type: expected array, got number', ("pair",)),
        ({"unique": True}, 'property "unique" validation failed: wrong type: expected array, got boolean', ("unique",)),
        (
            {"maximum": "x"},
            'property "maximum" validation failed: wrong type: expected object, got string',
            ("maximum",),
        ),
        (
            {"maximum": {"a": 1, "b": 2}},
            'property "maximum" validation failed: expect object to have at most 1 properties',
            ("maximum",),
        ),
        (
            {"maximum": {"a": "1"}},
            (
                'property "maximum" validation failed: failed to validate a (matching ".*"): '
                "wrong type: expected integer, got string"
            ),
            ("maximum", "a"),
        ),
        ({"either": "x"}, 'property "either" validation failed: object matches none of the required', ("either",)),
        ({"either": ["x"]}, 'property "either" validation failed: object matches none of the required', ("either",)),
        (
            {"maybe": {"size": "x"}},
            (
                'property "maybe" validation failed: property "size" validation failed: '
                "wrong type: expected number, got string"
            ),
            ("maybe", "size"),
        ),
        ({"when": 1}, 'property "when" validation failed: invalid value', ("when",)),
        ({"named": 9}, 'property "named" validation failed: 9 is too much', ("named",)),
        (
            {"nam": 9, "text": 1},
            'property "text" validation failed: wrong type: expected string, got number',
            ("text",),
        ),
    ],
)
def test_every_kind_of_error_has_its_text(document: Any, text: str, location: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(document)
    assert describe(caught.value, document, Sample) == (text, location)


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "null"), (True, "boolean"), (1, "number"), (1.5, "number"), ("", "string"), ([], "table"), ({}, "table")],
)
def test_types_have_lua_names(value: object, name: str) -> None:
    assert wrong_type("x", value) == f"wrong type: expected x, got {name}"


def test_patterns_are_quoted_as_lua_does() -> None:
    assert pattern_mismatch(r"^\/.*", "home") == r'failed to match pattern "^\\/.*" with "home"'
