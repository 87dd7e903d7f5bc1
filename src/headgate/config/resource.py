"""What every resource has: id, name, description, labels, times; and the rules for ids and times in a request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WrapValidator

from headgate.config.change import Kind
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.strict_model import Maybe, StrictModel, match_any

_TextId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9-_.]+$")]
_NumberId = Annotated[int, Field(ge=1)]
Id = Annotated[_TextId | _NumberId, WrapValidator(match_any)]
"""1 to 64 letters, digits, ``-``, ``_`` and ``.``; or a whole number from 1. The number 7 and the text "7" are one id."""

Name = Annotated[str, Field(min_length=1, max_length=256)]
Description = Annotated[str, Field(max_length=256)]
LabelValue = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^\S+$")]

Script = Annotated[str, Field(min_length=10, max_length=102400)]
"""Lua, which headgate knows only to refuse it."""

SINGULAR: dict[Kind, str] = {
    "routes": "route",
    "services": "service",
    "upstreams": "upstream",
    "global_rules": "global rule",
}
"""What one resource of a kind is called in the Admin API's texts."""

_TIMES = ("create_time", "update_time")


class Identified(StrictModel):
    """Id and times of a resource."""

    id: Maybe[Id] = Field(default=None, description="Id, unique among resources of the kind; usually given in the URL.")
    create_time: Maybe[int] = Field(
        default=None, description="When the resource was made, in seconds since 1970; not settable."
    )
    update_time: Maybe[int] = Field(
        default=None, description="When it was last written, in seconds since 1970; not settable."
    )


class Resource(Identified):
    """A resource that people name and label."""

    name: Maybe[Name] = Field(default=None, description="A name for people; need not be unique.")
    desc: Maybe[Description] = Field(default=None, description="What the resource is for.")
    labels: Maybe[dict[str, LabelValue]] = Field(default=None, description="Labels: keys and values without spaces.")


def check_id(kind: Kind, path_id: str | None, body_id: object, *, wanted: bool = True) -> Any:
    """Decide under which id a written document is stored, as APISIX does; None for an id that is not given.

    ``wanted`` is True for a PUT: the path's id, else the body's as it is (a number stays a number; whether it is a
    valid id is the schema's to say). It is False for a POST, which takes none; the answer is then None.
    Raises InvalidConfiguration: ``missing route id``, ``wrong route id``, ``wrong route id, do not need it``.
    """
    word = SINGULAR[kind]
    given = body_id if path_id is None else path_id
    if not wanted:
        if given is not None:
            raise InvalidConfiguration(f"wrong {word} id, do not need it", location=("id",))
        return None
    if given is None:
        raise InvalidConfiguration(f"missing {word} id", location=("id",))
    if body_id is not None and str(body_id) != str(given):
        raise InvalidConfiguration(f"wrong {word} id", location=("id",))
    return given


def forbid_times(document: dict[str, Any]) -> None:
    """Refuse the times that headgate itself keeps: on the document, its ``upstream`` and its ``plugins``.

    For PUT and POST only; a PATCH may bring them, as in APISIX. Raises InvalidConfiguration with APISIX's text, two
    spaces included: ``the property is forbidden:  create_time``.
    """
    for place in ((), ("upstream",), ("plugins",)):
        part = document.get(place[0]) if place else document
        for key in _TIMES:
            if isinstance(part, dict) and key in part:
                location = (*place, key)
                raise InvalidConfiguration(f"the property is forbidden:  {'.'.join(location)}", location=location)
