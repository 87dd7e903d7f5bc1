"""A plugin with every phase that notes where it ran, for tests of what happens around plugins."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.wire.request import ResponseHead, UpstreamRequest
from headgate.wire.sse import RawEvent

PHASES = ("on_request", "on_route", "on_upstream_request", "on_response", "on_chunk", "on_event", "on_end")


class ProbeConfig(PluginConfig):
    status: int | None = None
    slow: bool = False


class Probe(Plugin):
    name = "probe"
    priority = 10
    Config: ClassVar[type[ProbeConfig]] = ProbeConfig

    def _note(self, exchange: Exchange, phase: str) -> None:
        exchange.state.setdefault("ran", []).append((self.name, phase))

    def on_request(self, exchange: Exchange) -> Any:
        self._note(exchange, "on_request")
        if self.config.status is None:
            return None
        answer = Answer(self.config.status, b"own", ((b"Content-Type", b"text/own"), (b"X-Own", b"1")))
        return asyncio.sleep(0, answer) if self.config.slow else answer

    def on_route(self, exchange: Exchange) -> None:
        self._note(exchange, "on_route")

    def on_upstream_request(self, exchange: Exchange, request: UpstreamRequest) -> None:
        self._note(exchange, "on_upstream_request")
        request.headers.add(b"X-Probe", b"1")

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        self._note(exchange, "on_response")
        head.headers.add(b"X-Probe", b"1")

    def on_chunk(self, exchange: Exchange, piece: bytes) -> bytes:
        self._note(exchange, "on_chunk")
        return piece.upper()

    def on_event(self, exchange: Exchange, event: RawEvent) -> bytes:
        self._note(exchange, "on_event")
        return event.raw.upper()

    def on_end(self, exchange: Exchange) -> None:
        self._note(exchange, "on_end")


class LowProbe(Probe):
    name = "low-probe"
    priority = 5


def run_all(chain: Any, given: Exchange) -> tuple[bytes, bytes]:
    """Run every phase of a chain once; give what came of the piece ``a`` and the event ``data: a``."""
    piece, event = b"a", b"data: a\n\n"
    for method in (*chain.on_request, *chain.on_route):
        method(given)
    for method in chain.on_upstream_request:
        method(given, given.upstream_request)
    for method in chain.on_response:
        method(given, ResponseHead(200, b"", given.request.headers))
    for method in chain.on_chunk:
        piece = method(given, piece)
    for method in chain.on_event:
        event = method(given, RawEvent(event))
    for method in chain.on_end:
        method(given)
    return piece, event
