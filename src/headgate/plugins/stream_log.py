"""The plugin ``stream-log``: every event of a route as a record of the access log, to see a stream pass."""

from __future__ import annotations

import time
from typing import ClassVar

from pydantic import Field

from headgate.plugins.api import Exchange, Plugin, PluginConfig
from headgate.wire.sse import RawEvent


class StreamLogConfig(PluginConfig):
    """Attributes of ``stream-log``."""

    data_bytes: int = Field(0, ge=0, le=4096, description="How much of each event's data to show, in bytes; 0 = none.")


class StreamLog(Plugin):
    """Writes one record per event, for debugging and demonstrations; the events themselves pass untouched.

    A record holds ``event_id`` (null if the event sets none), ``event_type``, ``event_bytes`` (on the wire),
    ``since_previous_s`` (null for the first) and, if asked for, ``event_data``. A block that is too large to be held is
    shown piece by piece with ``event_fragment``. Comments and blocks without data are no events.
    """

    name = "stream-log"
    priority = 398
    Config: ClassVar[type[StreamLogConfig]] = StreamLogConfig

    def __init__(self, config: StreamLogConfig) -> None:
        super().__init__(config)
        self._data_bytes = config.data_bytes

    def on_event(self, exchange: Exchange, event: RawEvent) -> bytes:
        """Write the record, leave the event alone."""
        if event.fragment:
            exchange.log("event", event_fragment=True, event_bytes=len(event.raw))
        elif event.is_event:
            exchange.log("event", **self._record(exchange, event))
        return event.raw

    def _record(self, exchange: Exchange, event: RawEvent) -> dict[str, object]:
        now = time.monotonic()
        previous = exchange.state.get(self.name)
        exchange.state[self.name] = now
        record: dict[str, object] = {
            "event_id": None if event.id is None else _text(event.id),
            "event_type": _text(event.type),
            "event_bytes": len(event.raw),
            "since_previous_s": None if previous is None else round(now - previous, 6),
        }
        if self._data_bytes:
            record["event_data"] = _text(event.data[: self._data_bytes])
        return record


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
