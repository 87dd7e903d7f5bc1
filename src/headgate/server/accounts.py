"""A worker's accounts: what its exchanges do, counted into the shared slots and written to the access log.

Owns the table of open streams. An exchange is counted when its response begins and when it ends, and a stream that runs
on once a second: nothing is counted per event. Latencies are of requests: what lasts by its nature, a stream or a
tunnel, is measured up to its head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from headgate.observe import counters as slot
from headgate.observe.access_log import AccessLog
from headgate.observe.counters import Counters
from headgate.observe.histogram import MICROSECONDS, add, observe
from headgate.observe.route_rows import Row
from headgate.server import record
from headgate.server.exchange import Exchange
from headgate.stream.ending import Ending
from headgate.stream.event_gaps import EventGaps
from headgate.stream.relay import Relay
from headgate.timer_wheel import UNSCHEDULED, TimerWheel
from headgate.upstream.pool import Pools
from headgate.wire.request import Peer
from headgate.wire.request_head import BadRequest

PUBLISH_S = 1.0
"""How often the counts of running streams are added to the worker's counters."""
_RESPONSES = [slot.RESPONSES[min(max(digit, 1), 5)] for digit in range(10)]
_ENDED = slot.EXCHANGES_ENDED
LEFT = 499
"""What a client that left before a response head is counted as, where a status is asked for (as NGINX does)."""


class _Account:
    """What is in the books already of an open stream."""

    __slots__ = ("blocked_us", "bytes", "events", "exchange", "has_begun", "keepalives", "progress_at", "row")

    def __init__(self, exchange: Exchange, row: Row, *, progress_at: float) -> None:
        self.exchange = exchange
        self.row = row
        self.progress_at = progress_at
        self.bytes = 0
        self.events = 0
        self.keepalives = 0
        self.blocked_us = 0
        self.has_begun = False


class Accounts:
    """See the module. Methods are for the loop's thread.

    ``mask``: names of query arguments to mask, lower case; ``progress_s``: how often an open stream has a record, 0 =
    never. ``streams``: the open streams by their exchanges' ids; ``gaps``: where relays count the times between events.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        access_log: AccessLog,
        wheel: TimerWheel,
        pools: Pools,
        *,
        mask: Collection[str],
        progress_s: float,
    ) -> None:
        self.streams: dict[str, Exchange] = {}
        self.gaps = EventGaps()
        self.wheel_slot = UNSCHEDULED
        self._accounts: dict[str, _Account] = {}
        self._slots = counters.slots
        self._rows = counters.open_rows()
        self._access_log = access_log
        self._wheel = wheel
        self._clock = loop.time
        self._pools = pools
        self._mask = mask
        self._progress_s = progress_s
        self._is_draining = False

    # -- exchanges ----------------------------------------------------------------------------------------------------

    def response_begun(self, exchange: Exchange) -> None:
        """Count a response, and if it is a stream, note that it is open."""
        self._slots[_RESPONSES[exchange.status // 100]] += 1
        if exchange.is_stream:
            self._open(exchange)
        elif exchange.status == 101:
            self._count_request(exchange, self._row_of(exchange), self._clock())

    def exchange_ended(self, exchange: Exchange) -> None:
        """Count and log an exchange that has ended."""
        ending = exchange.ending
        assert ending is not None
        now = self._clock()
        self._slots[_ENDED[ending]] += 1
        account = self._accounts.pop(exchange.id, None) if exchange.is_stream else None
        if account is not None:
            self._close(account, ending, now)
        else:
            row = self._row_of(exchange)
            self._count_bytes(exchange, row)
            if exchange.status != 101:
                self._count_request(exchange, row, now)
        self._publish_soon()
        if self._access_log.enabled:
            self._access_log.write(record.ended(exchange, now, self._mask))

    def refused(self, exchange_id: str, peer: Peer, error: BadRequest) -> None:
        """Count and log what was no request."""
        slots = self._slots
        slots[slot.REQUESTS] += 1
        slots[slot.RESPONSES[error.status // 100]] += 1
        slots[slot.EXCHANGES_ENDED[Ending.REFUSED]] += 1
        slots[self._rows.find("", "", "").code(error.status)] += 1
        if self._access_log.enabled:
            self._access_log.write(record.refused(exchange_id, peer, error))

    def _row_of(self, exchange: Exchange) -> Row:
        plan, target = exchange.plan, exchange.target
        if plan is None:
            return self._rows.find("", "", "")
        return self._rows.find(plan.route_id, plan.service_id or "", target.host if target is not None else "")

    def _count_request(self, exchange: Exchange, row: Row, now: float) -> None:
        """Count the status and how long it took until ``now``."""
        asked_at = exchange.dispatch.began_at
        self._slots[row.code(exchange.status or LEFT)] += 1
        row.observe_latency(self._slots, now - exchange.started, now - asked_at if asked_at else None)

    def _count_bytes(self, exchange: Exchange, row: Row) -> None:
        """Count all bytes of an exchange that was no stream."""
        slots, relay, tunnel = self._slots, exchange.relay, exchange.tunnel
        if exchange.upload.sent_bytes:
            slots[row.ingress] += exchange.upload.sent_bytes
        if exchange.answer_bytes:
            slots[row.egress] += exchange.answer_bytes
        if tunnel is not None:
            slots[row.ingress] += tunnel.bytes_up
            slots[row.egress] += tunnel.bytes_down
        elif relay is not None:
            slots[slot.BYTES_TO_CLIENTS] += relay.bytes_sent
            slots[row.egress] += relay.bytes_sent

    # -- streams ------------------------------------------------------------------------------------------------------

    def _open(self, exchange: Exchange) -> None:
        now, slots = self._clock(), self._slots
        self.streams[exchange.id] = exchange
        row = self._row_of(exchange)
        self._count_request(exchange, row, now)
        self._accounts[exchange.id] = _Account(exchange, row, progress_at=now + self._progress_s)
        slots[row.ingress] += exchange.upload.sent_bytes
        slots[slot.STREAMS_OPENED] += 1
        slots[slot.STREAMS_OPEN] += 1
        observe(slots, slot.STREAM_OPEN, now - exchange.started)
        if exchange.relay is not None and exchange.relay.untouched is not None:
            slots[slot.STREAMS_UNTOUCHED[exchange.relay.untouched]] += 1
        self._count_draining()
        self._publish_soon()
        if self._access_log.enabled:
            self._access_log.write(record.opened(exchange, now, self._mask))

    def _close(self, account: _Account, ending: Ending, now: float) -> None:
        exchange, slots = account.exchange, self._slots
        if exchange.relay is not None:
            self._publish(account, exchange.relay, now)
        del self.streams[exchange.id]
        slots[slot.STREAMS_ENDED[ending]] += 1
        slots[slot.STREAMS_OPEN] -= 1
        observe(slots, slot.STREAM_LIFETIME, now - exchange.started)
        self._count_draining()
        if not self.streams:  # the last one of a worker that stops: there may be no next time
            self._publish_gaps()

    def drain_begun(self) -> None:
        """Count the open streams as draining from now on."""
        self._is_draining = True
        self._count_draining()

    def _count_draining(self) -> None:
        if self._is_draining:
            self._slots[slot.STREAMS_DRAINING] = len(self.streams)

    def peeked(self, outcome: str) -> None:
        """Count a look into a stream's first event: ``passed``, ``next_upstream``, ``answered``, ``timeout``, ``too_large``."""
        self._slots[slot.PEEKS[outcome]] += 1

    def refused_by_event(self) -> None:
        """Count a refusal that was told as an event."""
        self._slots[slot.REFUSALS_AS_EVENTS] += 1

    def tail_lost(self, events: int) -> None:
        """Count events that a live tail was too slow for."""
        self._slots[slot.TAIL_EVENTS_LOST] += events

    # -- what runs on -------------------------------------------------------------------------------------------------

    def _publish_soon(self) -> None:
        if self.wheel_slot == UNSCHEDULED:
            self._wheel.schedule(self, self._clock() + PUBLISH_S)

    def check_deadline(self, now: float) -> float | None:
        """Add what running streams have done since the last time, and say what the pools hold."""
        for account in self._accounts.values():
            relay = account.exchange.relay
            if relay is not None:
                self._publish(account, relay, now)
        if self._progress_s and self._access_log.enabled:
            self._write_progress(now)
        self._publish_gaps()
        usage = self._pools.usage
        self._slots[slot.UPSTREAM_CONNECTIONS_OPEN] = usage.open
        self._slots[slot.UPSTREAM_CONNECTIONS_OPENED] = usage.opened
        self._slots[slot.UPSTREAM_CONNECTIONS_REUSED] = usage.reused
        return now + PUBLISH_S if self.streams or usage.open else None

    def _publish(self, account: _Account, relay: Relay, now: float) -> None:
        slots = self._slots
        if relay.bytes_sent != account.bytes:
            sent = relay.bytes_sent - account.bytes
            slots[slot.EVENTS] += relay.events - account.events
            slots[slot.BYTES_TO_CLIENTS] += sent
            slots[account.row.egress] += sent
            account.bytes, account.events = relay.bytes_sent, relay.events
            if not account.has_begun and relay.first_event_at:
                account.has_begun = True
                observe(slots, slot.STREAM_FIRST_EVENT, relay.first_event_at - account.exchange.started)
        if relay.keepalives != account.keepalives:
            slots[slot.KEEPALIVES] += relay.keepalives - account.keepalives
            account.keepalives = relay.keepalives
        if relay.blocked_since or relay.blocked_s:
            blocked_us = round(record.blocked_s(relay, now) * MICROSECONDS)
            slots[slot.CLIENT_BLOCKED] += blocked_us - account.blocked_us
            account.blocked_us = blocked_us

    def _publish_gaps(self) -> None:
        counts, total_s = self.gaps.take()
        add(self._slots, slot.STREAM_EVENT_GAP, counts, total_s)

    def _write_progress(self, now: float) -> None:
        for account in self._accounts.values():
            if now >= account.progress_at:
                account.progress_at = max(account.progress_at + self._progress_s, now)
                self._access_log.write(record.progress(account.exchange, now, self._mask))
