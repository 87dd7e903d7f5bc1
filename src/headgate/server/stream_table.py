"""Open streams as rows: what the Admin API shows of each, and which of them are asked for.

Invariant: a table is read in steps, so that a worker with ten thousand streams goes on relaying in between.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from headgate.observe.query_mask import mask_query
from headgate.stream.relay import Relay

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange

STEP_STREAMS = 500
"""Streams looked at in one step when the table is searched."""
STEP_ROWS = 50
"""Rows made in one step; with their masking they cost about ten times as much."""


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One open stream. Seconds with a unit of 1 µs; None: there is none, or it is not known yet."""

    id: str
    route: str | None
    service: str | None
    client: str
    consumer: str | None
    method: str
    host: str
    target: str
    """Path and query as in the access log: cut, and secrets masked."""
    upstream: str | None
    status: int
    opened_at: float
    """When the request's head arrived, in seconds since 1970."""
    age_s: float
    """Since then."""
    events: int | None
    """Events sent; None where they cannot be read (the body is compressed, or not of events)."""
    bytes: int
    first_event_s: float | None
    """From the request's head to the first event."""
    since_event_s: float | None
    """Since the last event."""
    keepalives: int
    blocked_s: float
    """How long the client took nothing though there was something, in all."""
    blocked: bool
    """Whether that is so now."""
    untouched: str | None
    """Why nothing of headgate's own is written into it."""
    state: Literal["open", "draining"]


class Search(msgspec.Struct, frozen=True):
    """Which streams are asked for: those that have all that is not None. ``limit``: how many at most, None = all."""

    id: str | None = None
    route: str | None = None
    client: str | None = None
    consumer: str | None = None
    limit: int | None = None

    def finds(self, exchange: Exchange) -> bool:
        """Say whether a stream is one of those."""
        return (
            (self.route is None or exchange.route_id == self.route)
            and (self.client is None or exchange.request.peer.remote_addr == self.client)
            and (self.consumer is None or self.consumer == consumer_of(exchange))
        )


def consumer_of(exchange: Exchange) -> str | None:
    """Give who the client was authenticated as: nobody, as there are no consumers yet."""
    del exchange
    return None


class StreamTable:
    """The streams in ``streams`` (by id; it changes while it is read). ``mask``: names of query arguments, lower case."""

    def __init__(self, streams: dict[str, Exchange], *, mask: Collection[str]) -> None:
        self._streams = streams
        self._mask = mask

    def get(self, stream_id: str) -> Exchange | None:
        """Give an open stream, or None."""
        return self._streams.get(stream_id)

    def search(self, search: Search) -> Iterator[list[Exchange]]:
        """Give the streams that are found, in any order, step by step."""
        if search.id is not None:
            found = self._streams.get(search.id)
            yield [found] if found is not None and search.finds(found) else []
            return
        every = list(self._streams.values())
        for start in range(0, len(every), STEP_STREAMS):
            yield [exchange for exchange in every[start : start + STEP_STREAMS] if search.finds(exchange)]

    def rows(self, exchanges: Iterable[Exchange], now: float, *, is_draining: bool) -> list[StreamRow]:
        """Give the rows of those that are still open; ``now`` is a reading of the clock that exchanges go by."""
        offset = time.time() - now
        return [
            self._row(exchange, exchange.relay, now, offset, is_draining=is_draining)
            for exchange in exchanges
            if exchange.relay is not None and exchange.ending is None
        ]

    def _row(self, exchange: Exchange, relay: Relay, now: float, offset: float, *, is_draining: bool) -> StreamRow:
        request, plan, target = exchange.request, exchange.plan, exchange.target
        blocked_s = relay.blocked_s + (now - relay.blocked_since if relay.blocked_since else 0.0)
        return StreamRow(
            id=exchange.id,
            route=exchange.route_id,
            service=plan.service_id if plan is not None else None,
            client=request.peer.remote_addr,
            consumer=consumer_of(exchange),
            method=request.method.decode("latin-1"),
            host=request.authority.decode("latin-1"),
            target=mask_query(request.target, self._mask),
            upstream=target.address if target is not None else None,
            status=exchange.status,
            opened_at=round(exchange.started + offset, 3),
            age_s=round(now - exchange.started, 6),
            events=relay.events if relay.is_event_stream else None,
            bytes=relay.bytes_sent,
            first_event_s=round(relay.first_event_at - exchange.started, 6) if relay.first_event_at else None,
            since_event_s=round(now - relay.last_event_at, 6) if relay.last_event_at else None,
            keepalives=relay.keepalives,
            blocked_s=round(blocked_s, 6),
            blocked=bool(relay.blocked_since),
            untouched=relay.untouched,
            state="draining" if is_draining or relay.due_ending is not None else "open",
        )
