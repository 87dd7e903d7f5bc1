"""A plugin of its own package: keeps events of some types from clients."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.wire.request import ResponseHead
from headgate.wire.sse import RawEvent


class EventFilterConfig(PluginConfig):
    """Attributes of ``event-filter``."""

    drop: list[str] = Field(min_length=1, description="Types of the events that clients do not get.")
    get_only: bool = Field(False, description="Answer 405 to any method but GET.")


class EventFilter(Plugin):
    """Drops events by type, says so in a header, and logs how many there were."""

    name = "event-filter"
    priority = 405
    Config: ClassVar[type[EventFilterConfig]] = EventFilterConfig

    def __init__(self, config: EventFilterConfig) -> None:
        super().__init__(config)
        if "message" in config.drop:
            raise ValueError("events of type message are what most clients listen to")
        self._dropped = frozenset(name.encode() for name in config.drop)
        self._get_only = config.get_only

    def on_route(self, exchange: Exchange) -> Answer | None:
        """Refuse what cannot be a stream for a browser."""
        if self._get_only and exchange.request.method != b"GET":
            return Answer(405, b'{"message":"only GET here"}', ((b"Content-Type", b"application/json"),))
        return None

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:  # noqa: ARG002 - a phase's signature
        """Name what is missing."""
        head.headers.set(b"X-Events-Dropped", b", ".join(sorted(self._dropped)))

    def on_event(self, exchange: Exchange, event: RawEvent) -> bytes:
        """Drop the event or leave it alone. A part of an event above 1 MiB is never told apart, and passes."""
        if event.fragment or event.type not in self._dropped:
            return event.raw
        exchange.state[self.name] = exchange.state.get(self.name, 0) + 1
        return b""

    def on_end(self, exchange: Exchange) -> None:
        """Write how many events were dropped."""
        if self.name in exchange.state:
            exchange.log("events_dropped", dropped=exchange.state[self.name])
