"""A catalog of two plugins, for what needs one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headgate.config.validation import parse_plugin, plugin_meta, unknown_plugin
from headgate.expressions.conditions import compile_condition


class Buffering(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    disable_proxy_buffering: bool = False


class Limits(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    count: Annotated[int, Field(gt=0)]
    rejected_code: Annotated[int, Field(ge=200, le=404)] = 404
    policy: Literal["local", "redis"] = "local"
    key: str | int | None = None
    headers: dict[str, Annotated[str, Field(min_length=1)]] | None = None
    rules: list[dict[str, Any]] = []

    @field_validator("rules")
    @classmethod
    def refuse_many(cls, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(rules) > 1:
            msg = "you can not set more than one rule"
            raise ValueError(msg)
        return rules


MODELS: dict[str, type[BaseModel]] = {"proxy-buffering": Buffering, "limits": Limits}


class SmallCatalog:
    def check(self, name: str, conf: object) -> None:
        if name not in MODELS:
            raise unknown_plugin(name)
        parse_plugin(name, conf, MODELS[name])
        assert isinstance(conf, dict)
        plugin_meta(name, conf)

    def check_condition(self, expression: object) -> None:
        compile_condition(expression)
