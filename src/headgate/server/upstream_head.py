"""What a request says to its target: the head's bytes, and how the connection is to go on from there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headgate.server.plan import Plan
from headgate.upstream.http1_client import Outgoing
from headgate.upstream.target import Target
from headgate.upstream.upstream import DEFAULT_READ_TIMEOUT_S, PassHost, Upstream
from headgate.wire.headers import Headers
from headgate.wire.request import Request, UpstreamRequest

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange


def start(request: Request) -> UpstreamRequest:
    """Give what goes upstream before any plugin has changed it: end-to-end fields only, without Host.

    ``Expect`` is not passed on, as with NGINX: headgate answers it itself once the upstream is there to take the body.
    """
    return UpstreamRequest(request.method, request.target, Headers(request.end_to_end))


SENT = UpstreamRequest(b"", b"", Headers([]))
"""Stands for a request that is not needed any more."""


def make(exchange: Exchange, outgoing: UpstreamRequest, plan: Plan, target: Target) -> Outgoing:
    """Make what is sent to a target of ``plan``."""
    assert plan.upstream is not None
    request = exchange.request
    host = choose_host(request, outgoing, plan.upstream, target)
    upgrade = upgrade_of(request) if plan.enable_websocket else None
    return Outgoing(
        encode(request, outgoing, host, upgrade=upgrade),
        has_body=request.has_body,
        chunked=request.chunked,
        no_response_body=outgoing.method == b"HEAD",
        wants_upgrade=upgrade is not None,
        read_timeout_s=exchange.stream_policy.first_event_s if waits_for_event(exchange) else head_timeout_s(exchange),
        send_timeout_s=plan.timeouts.send_s,
    )


def waits_for_event(exchange: Exchange) -> bool:
    """Say whether ``first_event_s`` is what limits the wait for the head: a stream was asked for, and nothing is shorter.

    Where it was not asked for by ``Accept``, what comes may be no stream, and the read timeout alone holds for the head.
    """
    first_s = exchange.stream_policy.first_event_s
    return first_s > 0 and first_s < (head_timeout_s(exchange) or math.inf) and exchange.request.takes_events


def head_timeout_s(exchange: Exchange) -> float:
    """Give the longest gap between two reads where no stream is asked for: a plugin's, the plan's or the default; 0 = no limit."""
    timeout_s = exchange.read_timeout_s
    if timeout_s is None and exchange.plan is not None:
        timeout_s = exchange.plan.timeouts.read_s
    return DEFAULT_READ_TIMEOUT_S if timeout_s is None else timeout_s


def asks_for_events(request: Request) -> bool:
    """Say whether the client accepts ``text/event-stream`` by name, with a weight above 0 (RFC 9110 §12.5.1)."""
    return request.takes_events


def stream_read_timeout_s(plan: Plan | None, own_s: float | None) -> float:
    """Give the longest gap between two reads of a stream or tunnel: only what was configured counts; 0 = no limit."""
    configured_s = plan.timeouts.read_s if plan is not None and own_s is None else own_s
    return configured_s or 0.0


def upgrade_of(request: Request) -> bytes | None:
    """Give the protocol that the client asks to change to (RFC 9110 §7.8), or None.

    Only WebSocket: in a tunnel of HTTP/2 (``h2c``) requests would pass that no route has seen.
    """
    if not request.minor_version or b"upgrade" not in request.headers.tokens(b"connection"):
        return None
    protocol = request.headers.get(b"upgrade")
    return protocol if protocol is not None and protocol.lower() == b"websocket" else None


def choose_host(request: Request, outgoing: UpstreamRequest, upstream: Upstream, target: Target) -> bytes:
    """Give the Host field: a plugin's, else by ``pass_host``; an HTTP/1.0 request without one gets the node's."""
    if outgoing.host is not None:
        return outgoing.host
    if upstream.pass_host is PassHost.REWRITE:
        return upstream.upstream_host
    if upstream.pass_host is PassHost.NODE or not request.authority:
        return target.host_header
    return request.authority


def encode(request: Request, outgoing: UpstreamRequest, host: bytes, *, upgrade: bytes | None) -> bytes:
    """Make the head, its empty line included; ``upgrade`` is the protocol that the client asks for, if it may."""
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (outgoing.method, outgoing.target, host)]
    lines += [name + b": " + value for _, name, value in outgoing.headers.fields]
    if request.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    elif request.content_length is not None:
        lines.append(b"Content-Length: %d" % request.content_length)
    if upgrade is not None:
        lines += [b"Connection: Upgrade", b"Upgrade: " + upgrade]
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
