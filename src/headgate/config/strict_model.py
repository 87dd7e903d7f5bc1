"""How every resource model behaves: strict, no unknown keys, no null for a key that may be left out.

Invariants: a model holds only what its document said, with the documented default where it said nothing; a rule about
which keys stand together is data (:class:`KeyRule`), checked here and shown in the JSON schema alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidatorFunctionWrapHandler, model_validator
from pydantic import ValidationError as PydanticError
from pydantic_core import CoreSchema, PydanticCustomError

T = TypeVar("T")


class _NotNull:
    """Takes null out of ``X | None``: None is only the model's word for a key that is not there."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


Maybe = Annotated[T | None, _NotNull()]
"""A key that may be left out (None), but not be null."""


def match_any(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Make of any failure inside APISIX's one text for a failed ``anyOf``. Use as a WrapValidator."""
    try:
        return handler(value)
    except PydanticError:
        raise PydanticCustomError("any_of", "object matches none of the required") from None


def match_one(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Make of any failure inside APISIX's one text for a ``oneOf`` without a match. Use as a WrapValidator."""
    try:
        return handler(value)
    except PydanticError:
        raise PydanticCustomError("one_of", "value should match only one schema, but matches none") from None


def refuse_repeats(items: list[T]) -> list[T]:
    """Refuse a list in which two items are equal. Use as an AfterValidator."""
    for second, item in enumerate(items):
        first = items.index(item)
        if first < second:
            text = "expected unique items but items {first} and {second} are equal"
            raise PydanticCustomError("unique_items", text, {"first": first + 1, "second": second + 1})
    return items


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Which sets of keys must or must not stand together, with the meaning of JSON schema's word ``kind``."""

    kind: Literal["oneOf", "anyOf", "not"]
    sets: tuple[tuple[str, ...], ...]

    def complaint(self, present: set[str] | frozenset[str]) -> str | None:
        """Give APISIX's text for what is wrong with the keys present, or None."""
        matched = [number for number, keys in enumerate(self.sets, 1) if present.issuperset(keys)]
        if self.kind == "not":
            return "value wasn't supposed to match schema" if matched else None
        if self.kind == "anyOf":
            return None if matched else f"object matches none of the required: {self._listed}"
        if len(matched) == 1:
            return None
        which = f"both schemas {matched[0]} and {matched[1]}" if matched else "none"
        return f"value should match only one schema, but matches {which}"

    @property
    def _listed(self) -> str:
        return " or ".join(json.dumps(keys, separators=(",", ":")) for keys in self.sets)

    def schema(self) -> dict[str, Any]:
        """Give the rule as JSON schema."""
        required = [{"required": list(keys)} for keys in self.sets]
        return {"not": {"anyOf": required}} if self.kind == "not" else {self.kind: required}


def _finish_schema(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Drop the nulls that stand for left-out keys and add the model's key rules."""
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]
    if issubclass(model, StrictModel) and model.key_rules:
        schema["allOf"] = [rule.schema() for rule in model.key_rules]


class StrictModel(BaseModel):
    """Base of resources and of the objects in them. ``key_rules`` are checked in order once all keys are valid."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra=_finish_schema,
        defer_build=True,  # a process builds the validators that it uses, when it does
    )

    key_rules: ClassVar[tuple[KeyRule, ...]] = ()

    @model_validator(mode="after")
    def _check_key_rules(self) -> Self:
        if self.key_rules:
            complaint = _first_complaint(type(self), frozenset(self.model_fields_set))
            if complaint is not None:
                raise PydanticCustomError("key_rule", "{text}", {"text": complaint})
        return self


@lru_cache(maxsize=1024)  # thousands of routes are written with the same few sets of keys
def _first_complaint(model: type[StrictModel], present: frozenset[str]) -> str | None:
    for rule in model.key_rules:
        complaint = rule.complaint(present)
        if complaint is not None:
            return complaint
    return None
