"""The plugin ``sse``: a route that serves event streams, whatever the upstream calls them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from headgate.plugins.api import Exchange, Plugin, PluginConfig
from headgate.plugins.header_text import HeaderValue
from headgate.wire.request import ResponseHead, UpstreamRequest


class SseConfig(PluginConfig):
    """Attributes of ``sse``."""

    proxy_read_timeout: int = Field(
        3600, ge=0, description="Longest gap between two reads from the upstream, in seconds; 0 = no limit."
    )
    override_content_type: bool = Field(
        True, description="Answer with `Content-Type: text/event-stream; charset=utf-8` in place of the upstream's."
    )
    connection_header: HeaderValue = Field("keep-alive", description="The response's `Connection` header.")
    cache_control: HeaderValue = Field("no-cache", description="The response's `Cache-Control` header.")


class Sse(Plugin):
    """Sets the read timeout of the route and the headers of every response on it, whatever its status.

    Nothing has to be switched off for it: headgate holds no response back on any route. ``X-Accel-Buffering: no``
    says the same to an NGINX in front. The upstream is asked for no encoding, as whoever compresses holds bytes back.
    """

    name = "sse"
    priority = 1005
    Config: ClassVar[type[SseConfig]] = SseConfig

    def __init__(self, config: SseConfig) -> None:
        super().__init__(config)
        fields = [(b"X-Accel-Buffering", b"no")]
        if config.override_content_type:
            fields.append((b"Content-Type", b"text/event-stream; charset=utf-8"))
        fields.append((b"Connection", config.connection_header.encode()))
        fields.append((b"Cache-Control", config.cache_control.encode()))
        self._fields = tuple(fields)
        self._read_timeout_s = float(config.proxy_read_timeout)

    def on_request(self, exchange: Exchange) -> None:
        """Set the longest gap between two reads."""
        exchange.read_timeout_s = self._read_timeout_s

    def on_upstream_request(self, exchange: Exchange, request: UpstreamRequest) -> None:  # noqa: ARG002 - a phase's signature
        """Ask for a body that is not encoded."""
        request.headers.set(b"Accept-Encoding", b"identity")

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:  # noqa: ARG002 - a phase's signature
        """Set the headers."""
        for name, value in self._fields:
            head.headers.set(name, value)
