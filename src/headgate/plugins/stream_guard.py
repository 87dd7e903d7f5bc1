"""The plugin ``stream-guard``: what a route wants of its event streams, from their first event to their ending.

The work is done by the relay and the exchange; the plugin gives them the policy (``stream.policy``). It goes before every
other plugin, so that its policy holds for their refusals too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from headgate.plugins.api import Exchange, Plugin
from headgate.plugins.stream_guard_config import PeekConfig, PeekRuleConfig, StreamGuardConfig, end_marker
from headgate.stream.keepalive import parse_keepalive
from headgate.stream.peek_rules import PeekRule, PeekRules, parse_path
from headgate.stream.policy import Close, OnClientGone, OnRouteRemoved, Refusals, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.headers import Headers
from headgate.wire.media_type import is_event_stream
from headgate.wire.request import ResponseHead, UpstreamRequest


class StreamGuard(Plugin):
    """Sets the exchange's policy, asks the upstream for a body that can be read, and keeps hops behind from holding it.

    An attribute that is not given is inherited from the settings where they have it, or from a global rule's
    ``stream-guard``; in all else the route's takes the place of the global rule's. ``X-Stream-Id`` is the exchange's id,
    by which an open stream can be found and ended.
    """

    name = "stream-guard"
    priority = 23900
    Config: ClassVar[type[StreamGuardConfig]] = StreamGuardConfig

    def __init__(self, config: StreamGuardConfig) -> None:
        super().__init__(config)
        self._wanted = _wanted(config)
        self._base = StreamPolicy()
        self._policy = replace(self._base, **self._wanted)

    def on_request(self, exchange: Exchange) -> None:
        """Set the policy."""
        base = exchange.stream_policy
        if base is not self._base:  # the same object for every request, unless a global rule has a filter
            self._base, self._policy = base, replace(base, **self._wanted)
        exchange.stream_policy = self._policy

    def on_upstream_request(self, exchange: Exchange, request: UpstreamRequest) -> None:  # noqa: ARG002 - a phase's signature
        """Ask for no encoding: nothing can be read in an encoded stream, and nothing written into it."""
        request.headers.set(b"Accept-Encoding", b"identity")

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Mark an event stream for hops behind, and for whoever wants to end it."""
        if is_event_stream(head.headers.get(b"content-type")):
            head.headers.set(b"X-Accel-Buffering", b"no")
            _forbid_transforms(head.headers)
            head.headers.set(b"X-Stream-Id", exchange.id.encode())


def _wanted(config: StreamGuardConfig) -> dict[str, Any]:
    """Give the fields of a policy that the configuration sets."""
    inherited = {
        "max_event_bytes": config.max_event_bytes,
        "keepalive_s": config.keepalive_s,
        "retry_s": config.retry_s,
    }
    terminal_event = config.terminal_event
    return {
        **{name: value for name, value in inherited.items() if value is not None},
        "keepalive": parse_keepalive(config.keepalive_style),
        "early": config.early_keepalive,
        "first_event_s": config.first_event_s,
        "event_gap_s": config.event_gap_s,
        "max_duration_s": config.max_duration_s,
        "max_duration_jitter_s": config.max_duration_jitter_s,
        "max_bytes": config.max_bytes,
        "end_marker": end_marker(config.completeness),
        "terminal_event": None if terminal_event is None else TerminalEvent.parse(terminal_event),
        "close": Close(config.close),
        "on_client_gone": OnClientGone(config.on_client_gone),
        "on_route_removed": OnRouteRemoved(config.on_route_removed),
        "refusals": Refusals(config.refusals),
        "peek": None if config.peek is None else _peek_rules(config.peek),
    }


def _peek_rules(config: PeekConfig) -> PeekRules:
    return PeekRules(
        timeout_s=config.timeout_s,
        max_bytes=config.max_bytes,
        skip=frozenset(name.encode() for name in config.skip_events),
        rules=tuple(map(_peek_rule, config.rules)),
    )


def _peek_rule(config: PeekRuleConfig) -> PeekRule:
    return PeekRule(
        event=None if config.event is None else config.event.encode(),
        path=None if config.path is None else parse_path(config.path),
        values=tuple(config.values or ()),
        empty=config.empty,
        next_upstream=config.next_upstream,
        status=config.status,
    )


def _forbid_transforms(headers: Headers) -> None:
    """Say ``no-transform`` beside what is there: who compresses or gathers on the way to the client may not."""
    if b"no-transform" not in headers.tokens(b"cache-control"):
        present = headers.combined(b"cache-control")
        headers.set(b"Cache-Control", present + b", no-transform" if present else b"no-transform")
