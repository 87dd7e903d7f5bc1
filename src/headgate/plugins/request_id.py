"""The plugin ``request-id``: a request keeps the id that it came with, or gets one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from headgate.plugins.api import Exchange, Plugin, PluginConfig
from headgate.plugins.header_text import FreeHeaderName
from headgate.plugins.identifiers import ksuid, nanoid, range_id, uuid4, uuid7
from headgate.wire.request import ResponseHead

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class RangeIdConfig(PluginConfig):
    """How ids of the algorithm ``range_id`` are made."""

    length: int = Field(default=16, ge=6, le=256, description="Length of an id, in characters.")
    char_set: str = Field(
        default=_ALPHANUMERIC, min_length=6, max_length=256, description="The characters that ids are made of."
    )


class RequestIdConfig(PluginConfig):
    """Attributes of ``request-id``."""

    header_name: FreeHeaderName = Field(
        "X-Request-Id", min_length=1, max_length=256, description="The header with the id."
    )
    include_in_response: bool = Field(
        True, description="Whether the response carries the id too, unless the upstream set that header itself."
    )
    algorithm: Literal["uuid", "nanoid", "range_id", "ksuid", "uuidv7"] = Field(
        "uuid", description="How new ids are made."
    )
    range_id: RangeIdConfig = Field(default=RangeIdConfig(), description="Settings of the algorithm `range_id`.")


class RequestId(Plugin):
    """Keeps a non-empty id that the client sent; makes one otherwise. The upstream gets it in the same header."""

    name = "request-id"
    priority = 12015
    Config: ClassVar[type[RequestIdConfig]] = RequestIdConfig

    def __init__(self, config: RequestIdConfig) -> None:
        super().__init__(config)
        self._header = config.header_name.encode()
        self._lower = self._header.lower()
        self._state_key = f"{self.name} {self._lower.decode()}"
        self._make = _generator(config)
        self._include_in_response = config.include_in_response

    def on_request(self, exchange: Exchange) -> None:
        """Find or make the id."""
        headers = exchange.upstream_request.headers
        value = headers.get(self._lower)
        if not value:
            value = self._make().encode()
            headers.set(self._header, value)
        exchange.state[self._state_key] = value

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Give the id back."""
        value = exchange.state.get(self._state_key)
        if self._include_in_response and value is not None and not head.headers.get(self._lower):
            head.headers.set(self._header, value)


def _generator(config: RequestIdConfig) -> Callable[[], str]:
    characters = config.range_id.char_set
    if not (characters.isascii() and characters.isprintable() and " " not in characters):
        raise ValueError('property "range_id" validation failed: char_set must be printable ASCII without spaces')
    generators: dict[str, Callable[[], str]] = {
        "uuid": uuid4,
        "nanoid": nanoid,
        "range_id": partial(range_id, config.range_id.length, characters),
        "ksuid": ksuid,
        "uuidv7": uuid7,
    }
    return generators[config.algorithm]
