"""Two plugins that note the phases they see, and do in a phase what their configuration says."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.plugins.catalog import Catalog
from headgate.wire.request import ResponseHead, UpstreamRequest
from headgate.wire.sse import RawEvent

NOTES: list[str] = []
"""``label.phase`` of every call of any instance; a test empties it."""


class NotingConfig(PluginConfig):
    label: str = Field("p", description="Stands in the notes and in the header fields.")
    answers_in: str | None = Field(None, description="The phase that answers 418.")
    raises_in: str | None = Field(None, description="The phase that raises.")
    drops: str | None = Field(None, description="A text; what holds it is dropped.")


class Noting(Plugin):
    name = "noting"
    priority = 100
    Config: ClassVar[type[NotingConfig]] = NotingConfig

    def __init__(self, config: NotingConfig) -> None:
        super().__init__(config)
        self._drops = None if config.drops is None else config.drops.encode()

    def _note(self, phase: str) -> Answer | None:
        NOTES.append(f"{self.config.label}.{phase}")
        if self.config.raises_in == phase:
            raise RuntimeError(f"asked to raise in {phase}")
        if self.config.answers_in == phase:
            return Answer(418, b"short and stout", ((b"X-Answer", self.config.label.encode()),))
        return None

    def on_request(self, exchange: Exchange) -> Answer | None:
        exchange.state["noting"] = "seen"
        return self._note("on_request")

    async def on_route(self, exchange: Exchange) -> Answer | None:
        await asyncio.sleep(0)
        assert exchange.state["noting"] == "seen"
        return self._note("on_route")

    def on_upstream_request(self, exchange: Exchange, request: UpstreamRequest) -> None:
        self._note("on_upstream_request")
        request.headers.add(b"X-Target", exchange.variable("upstream_addr") or b"?")

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        self._note("on_response")
        head.headers.add(b"X-Seen-" + self.config.label.encode(), exchange.id.encode())

    def on_end(self, exchange: Exchange) -> None:
        self._note("on_end")
        exchange.log("noted", label=self.config.label, status=(exchange.variable("status") or b"").decode())


class Chunks(Noting):
    """The same, and it looks at pieces of body."""

    name = "chunks"
    priority = 90

    def on_chunk(self, _: Exchange, piece: bytes) -> bytes:
        self._note("on_chunk")
        return piece if self._drops is None else piece.replace(self._drops, b"")


class Events(Noting):
    """The same, and it looks at events."""

    name = "events"
    priority = 80

    def on_event(self, _: Exchange, event: RawEvent) -> bytes:
        self._note("on_event")
        return b"" if self._drops is not None and self._drops in event.raw else event.raw


CATALOG = Catalog(plugins=[Noting, Chunks, Events])
