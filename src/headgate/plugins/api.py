"""What a plugin is.

A plugin is a class with ``name``, ``priority``, a pydantic ``Config`` and any of the phase methods below. One instance
is made for each configuration of it (a route's, a service's, a global rule's) when the route compiles, and serves many
exchanges at once: it keeps nothing of an exchange on itself, only in ``exchange.state``.

Phases, in order, within each the plugins by falling priority; global rules go before the route's plugins:

====================== =========================== ================================================================
method                 APISIX's phase              may
====================== =========================== ================================================================
on_request             rewrite                     change the request, answer it
on_route               access                      admit or answer the request as it now stands
on_upstream_request    before_proxy                a last change, the target being known
on_response            header_filter               change status and headers of any response but 1xx
on_chunk / on_event    body_filter                 change, drop or keep a piece of body / an event
on_end                 log                         look at the exchange once it has ended
====================== =========================== ================================================================

A phase method that a class does not define costs nothing: chains are tuples of bound methods.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from headgate.stream.policy import StreamPolicy
    from headgate.wire.request import Request, ResponseHead, UpstreamRequest
    from headgate.wire.sse import RawEvent


@dataclass(frozen=True, slots=True)
class Answer:
    """A response made by the gateway itself: body whole in memory, framing added by the connection."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class PluginConfig(BaseModel):
    """Base of every plugin's configuration: strict, no unknown keys; each field carries a description and its unit."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Exchange(Protocol):
    """What a plugin sees of an exchange."""

    @property
    def id(self) -> str:
        """The exchange's own id, unique on this node."""

    @property
    def route_id(self) -> str | None:
        """The matched route, or None."""

    @property
    def request(self) -> Request:
        """The request as received. Plugins change ``upstream_request`` instead."""

    @property
    def upstream_request(self) -> UpstreamRequest:
        """What will go upstream."""

    @property
    def state(self) -> dict[str, Any]:
        """A place for a plugin to keep what it needs between phases, under its own name."""

    read_timeout_s: float | None
    """Longest gap between two reads from the upstream, in seconds; 0 = none; None = by the route and upstream."""

    stream_policy: StreamPolicy
    """What is wanted of an event stream: that of the settings until ``stream-guard`` sets the route's."""

    def variable(self, name: str) -> bytes | None:
        """Give a variable's raw bytes (``uri``, ``arg_x``, ``http_x``, ``remote_addr`` …), or None if absent."""

    def log(self, event: str, **fields: object) -> None:
        """Write one record to the access log, with the exchange's id; dropped and counted when the log is full."""


PhaseResult = Answer | None | Awaitable[Answer | None]


class Plugin:
    """Base class. See the module for the phases, which subclasses define as they need them.

    Signatures::

        def on_request(self, exchange: Exchange) -> PhaseResult
        def on_route(self, exchange: Exchange) -> PhaseResult
        def on_upstream_request(self, exchange: Exchange, request: UpstreamRequest) -> None
        def on_response(self, exchange: Exchange, head: ResponseHead) -> None
        def on_chunk(self, exchange: Exchange, piece: bytes) -> bytes
        def on_event(self, exchange: Exchange, event: RawEvent) -> bytes
        def on_end(self, exchange: Exchange) -> None

    ``on_chunk`` gives the bytes that go on in the piece's place (b"" drops it). ``on_event`` gives the bytes that go
    on in the event's place: ``event.raw`` leaves it untouched, b"" drops it.
    """

    name: ClassVar[str]
    priority: ClassVar[int]
    version: ClassVar[str] = "0.1"
    Config: ClassVar[type[PluginConfig]]

    def __init__(self, config: Any) -> None:
        self.config = config


RequestPhase = Callable[[Exchange], PhaseResult]
UpstreamRequestPhase = Callable[[Exchange, "UpstreamRequest"], None]
ResponsePhase = Callable[[Exchange, "ResponseHead"], None]
ChunkPhase = Callable[[Exchange, bytes], bytes]
EventPhase = Callable[[Exchange, "RawEvent"], bytes]
EndPhase = Callable[[Exchange], None]


@dataclass(frozen=True, slots=True)
class Chain:
    """The plugins of a route or of the global rules, one tuple of bound methods per phase."""

    on_request: tuple[RequestPhase, ...] = ()
    on_route: tuple[RequestPhase, ...] = ()
    on_upstream_request: tuple[UpstreamRequestPhase, ...] = ()
    on_response: tuple[ResponsePhase, ...] = ()
    on_chunk: tuple[ChunkPhase, ...] = ()
    on_event: tuple[EventPhase, ...] = ()
    on_end: tuple[EndPhase, ...] = ()
