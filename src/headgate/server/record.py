"""What is written down of an exchange: its variables and its access log records.

A stream has one record when it opens and one when it ends, and more between them where ``streams.progress_s`` asks for
it; anything else has one when it ends. Seconds are counted from the arrival of the request's head.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from headgate.observe.exchange_record import ExchangeRecord
from headgate.observe.query_mask import mask_query
from headgate.stream.ending import Ending
from headgate.wire.request import Peer
from headgate.wire.request_head import BadRequest

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange
    from headgate.stream.relay import Relay


def variable(exchange: Exchange, name: str) -> bytes | None:
    """Give a variable that an exchange knows beyond its request, or None: what is not known yet is absent."""
    plan, target = exchange.plan, exchange.target
    match name:
        case "route_id":
            return plan.route_id.encode() if plan is not None else None
        case "service_id":
            return plan.service_id.encode() if plan is not None and plan.service_id is not None else None
        case "upstream_addr":
            return target.address.encode() if target is not None else None
        case "balancer_ip":
            return target.host.encode() if target is not None else None
        case "balancer_port":
            return str(target.port).encode() if target is not None else None
        case "status":
            return str(exchange.status).encode() if exchange.status else None
        case "upstream_status":
            return str(exchange.upstream_status).encode() if exchange.upstream_status else None
        case _:
            return None


def opened(exchange: Exchange, now: float, mask: Collection[str]) -> ExchangeRecord:
    """Give the record of a stream that opens."""
    found = _begin("stream_opened", exchange, mask)
    found.head_s = round(now - exchange.started, 6)
    return found


def progress(exchange: Exchange, now: float, mask: Collection[str]) -> ExchangeRecord:
    """Give the record of a stream that runs on: what :func:`ended` says, as far as it is known."""
    found = _begin("stream_progress", exchange, mask)
    _measure(found, exchange, now)
    return found


def ended(exchange: Exchange, now: float, mask: Collection[str]) -> ExchangeRecord:
    """Give the record of an exchange that has ended."""
    found = _begin("stream_ended" if exchange.is_stream else "request_ended", exchange, mask)
    _measure(found, exchange, now)
    found.ending = exchange.ending
    if exchange.error is not None:
        found.error = exchange.error.code
        found.detail = exchange.error.detail
    return found


def blocked_s(relay: Relay, now: float) -> float:
    """Give how long the client has taken nothing though there was something, in seconds."""
    return relay.blocked_s + (now - relay.blocked_since if relay.blocked_since and relay.ending is None else 0.0)


def refused(exchange_id: str, peer: Peer, error: BadRequest) -> dict[str, object]:
    """Give the record of bytes that were no request."""
    return {
        "event": "request_ended",
        "id": exchange_id,
        "route": None,
        "client": peer.remote_addr,
        "status": error.status,
        "ending": Ending.REFUSED.value,
        "error": "bad_request",
        "detail": error.detail,
    }


def _begin(event: str, exchange: Exchange, mask: Collection[str]) -> ExchangeRecord:
    request, target, plan = exchange.request, exchange.target, exchange.plan
    return ExchangeRecord(
        "",
        event,
        exchange.id,
        plan.route_id if plan is not None else None,
        request.peer.remote_addr,
        request.method.decode("latin-1"),
        request.authority.decode("latin-1"),
        mask_query(request.target, mask),
        exchange.status,
        target.address if target is not None else None,
    )


def _measure(found: ExchangeRecord, exchange: Exchange, now: float) -> None:
    """Say what has passed so far."""
    relay, tunnel = exchange.relay, exchange.tunnel
    started = exchange.started
    sent_bytes = relay.bytes_sent if relay is not None else exchange.answer_bytes
    found.bytes = tunnel.bytes_down if tunnel is not None else sent_bytes
    found.duration_s = round(now - started, 6)
    if relay is None:
        return
    if relay.first_piece_at:
        found.first_byte_s = round(relay.first_piece_at - started, 6)
    if exchange.is_stream:
        _measure_stream(found, relay, started, now)


def _measure_stream(found: ExchangeRecord, relay: Relay, started: float, now: float) -> None:
    found.keepalives = relay.keepalives
    if relay.is_event_stream:
        found.events = relay.events
        if relay.first_event_at:
            found.first_event_s = round(relay.first_event_at - started, 6)
    if blocked := round(blocked_s(relay, now), 6):
        found.blocked_s = blocked
    if relay.untouched is not None:
        found.untouched = relay.untouched
