"""One worker's data plane: its configuration, connections, streams and numbers."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from headgate.config.change import Change
from headgate.config.settings import Settings
from headgate.observe import counters as slot
from headgate.observe.access_log import AccessLog
from headgate.observe.counters import Counters
from headgate.plugins.api import Answer
from headgate.plugins.catalog import Catalog as PluginCatalog
from headgate.server import answers, record
from headgate.server.exchange import Exchange
from headgate.server.forwarded import Forwarding
from headgate.server.generation import Catalog, Generation
from headgate.server.http1_connection import Http1Connection
from headgate.server.listener import Listener, stream_capacity
from headgate.server.peer_watch import PeerWatch
from headgate.stream.ending import Ending
from headgate.timer_wheel import UNSCHEDULED, TimerWheel
from headgate.upstream.pool import Pools
from headgate.upstream.resolve import Resolver
from headgate.wire.request import Peer, ResponseHead
from headgate.wire.request_head import BadRequest, Limits

LOAD_SLICE = 200
"""Changes applied in one turn of the loop while a worker loads."""
PUBLISH_S = 1.0
"""How often the counts of running streams are added to the worker's counters."""
PAUSE_LOG_S = 60.0
"""How often at most a pause of accepting is logged."""
STOP_GRACE = 0.75
"""The part of the time to stop in which requests may still end by themselves."""


class Gateway:
    """See the module. Methods are for the loop's thread."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        counters: Counters,
        access_log: AccessLog,
        worker: int = 0,
        catalog: Catalog | None = None,
    ) -> None:
        self.loop = loop
        self.clock = loop.time
        self.settings = settings
        self.access_log = access_log
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger("headgate.server")
        http = settings.http
        self.limits = Limits(http.max_headers, http.max_head_bytes, http.max_uri_bytes)
        self.wheel = TimerWheel(loop)
        self.peer_watch = PeerWatch(loop)
        resolver = Resolver(loop, interval_s=settings.upstream.resolve_interval_s)
        self.pools = Pools(
            loop,
            self.wheel,
            resolver,
            max_head_bytes=settings.upstream.max_head_bytes,
            max_open=stream_capacity(),
        )
        self.forwarding = Forwarding(legacy=settings.x_forwarded_host == "legacy", trusted=settings.trusted_addresses)
        self.generation = Generation.empty(catalog or PluginCatalog(), authorities=settings.authorities)
        self.is_stopping = False
        self.wheel_slot = UNSCHEDULED
        self._slots = counters.slots
        self._date = answers.DateField()
        self._mask = frozenset(name.lower() for name in settings.mask_query_keys)
        self._ids = f"{worker}-{os.getpid():x}{int(time.time()) & 0xFFFFFF:06x}-"
        self._next_number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Http1Connection] = set()
        self._streams: set[Exchange] = set()
        self._listener: Listener | None = None
        self._pause_logged = -PAUSE_LOG_S
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    # -- configuration ------------------------------------------------------------------------------------------------

    async def load(self, changes: Sequence[Change]) -> None:
        """Apply many changes in slices, the loop turning in between; for a worker that does not accept yet."""
        for start in range(0, len(changes), LOAD_SLICE):
            self.apply(changes[start : start + LOAD_SLICE])
            await asyncio.sleep(0)

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply changes, all at once: the next request sees them, running exchanges keep what they have."""
        self.generation = self.generation.with_changes(changes)

    def replace(self, generation: Generation) -> None:
        """Serve another configuration from the next request on."""
        self.generation = generation

    # -- life -----------------------------------------------------------------------------------------------------------

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to accept; the sockets are bound, listening and stay the caller's."""
        self._listener = Listener(
            self.loop, sockets, partial(Http1Connection, self), capacity=stream_capacity(), on_pause=self._accept_paused
        )
        self._listener.start()

    async def stop(self, within_s: float) -> None:
        """Accept no more, let requests end, end streams, close everything; return within ``within_s`` seconds.

        Event streams end at once if they stand between two events, else at the end of the time, as does what is left.
        """
        self.is_stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        for exchange in list(self._streams):
            if exchange.relay is not None and exchange.relay.at_boundary:
                exchange.stop(Ending.DRAIN)
        await self._wait_closed(within_s * STOP_GRACE)
        for connection in list(self._connections):
            if connection.exchange is not None:
                connection.exchange.stop(Ending.DRAIN)
        await self._wait_closed(within_s * (1 - STOP_GRACE))
        for connection in list(self._connections):
            connection.transport.abort()
        self.pools.close_idle()
        await asyncio.sleep(0)  # aborted transports report the loss in the loop's next turn
        self.peer_watch.close()

    async def _wait_closed(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_closed.wait()
        except TimeoutError:
            return

    def _accept_paused(self) -> None:
        self._slots[slot.ACCEPT_PAUSES] += 1
        now = self.clock()
        if now - self._pause_logged >= PAUSE_LOG_S:
            self._pause_logged = now
            self.log.warning(
                "accepting paused: the descriptor limit is reached",
                connections=len(self._connections),
                capacity=stream_capacity(),
            )

    # -- what connections and exchanges need ------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Make a task that is kept until it is done."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def next_id(self) -> str:
        """Give an id for an exchange, unique on this node."""
        self._next_number += 1
        return f"{self._ids}{self._next_number}"

    def date(self) -> bytes:
        """Give the Date field's value of now."""
        return self._date.at(time.time())

    def head_of(self, answer: Answer) -> ResponseHead:
        """Give the head of a response of our own."""
        return answers.head_of(answer, self.date())

    def connection_opened(self, connection: Http1Connection) -> None:
        """Count a connection."""
        self._connections.add(connection)
        self._all_closed.clear()
        self._slots[slot.CONNECTIONS_ACCEPTED] += 1
        self._slots[slot.CONNECTIONS_OPEN] += 1

    def connection_closed(self, connection: Http1Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._slots[slot.CONNECTIONS_OPEN] -= 1
        if self._listener is not None:
            self._listener.connection_closed()
        if not self._connections:
            self._all_closed.set()

    def request_begun(self) -> None:
        """Count a request."""
        self._slots[slot.REQUESTS] += 1

    def response_begun(self, exchange: Exchange) -> None:
        """Count a response, and if it is an event stream, note that it is open."""
        self._slots[slot.RESPONSES[min(max(exchange.status // 100, 1), 5)]] += 1
        if exchange.is_event_stream:
            self._streams.add(exchange)
            self._slots[slot.STREAMS_OPENED] += 1
            self._slots[slot.STREAMS_OPEN] += 1
            self._publish_soon()
            if self.access_log.enabled:
                self.access_log.write(record.opened(exchange, self.clock(), self._mask))

    def exchange_ended(self, exchange: Exchange) -> None:
        """Count and log an exchange that has ended."""
        ending = exchange.ending
        assert ending is not None
        self._slots[slot.EXCHANGES_ENDED[ending]] += 1
        self._publish(exchange)
        self._publish_soon()
        if exchange in self._streams:
            self._streams.discard(exchange)
            self._slots[slot.STREAMS_ENDED[ending]] += 1
            self._slots[slot.STREAMS_OPEN] -= 1
        if self.access_log.enabled:
            self.access_log.write(record.ended(exchange, self.clock(), self._mask))

    def refused(self, peer: Peer, error: BadRequest) -> None:
        """Count and log what was no request."""
        self._slots[slot.REQUESTS] += 1
        self._slots[slot.RESPONSES[error.status // 100]] += 1
        self._slots[slot.EXCHANGES_ENDED[Ending.REFUSED]] += 1
        if self.access_log.enabled:
            self.access_log.write(record.refused(self.next_id(), peer, error))

    def count_upload(self, count: int) -> None:
        """Count bytes of a request's body sent upstream."""
        self._slots[slot.UPSTREAM_REQUEST_BYTES] += count

    # -- numbers of running streams and pools -------------------------------------------------------------------------------

    def _publish_soon(self) -> None:
        if self.wheel_slot == UNSCHEDULED:
            self.wheel.schedule(self, self.clock() + PUBLISH_S)

    def check_deadline(self, now: float) -> float | None:
        """Add what running streams have relayed since the last time, and say what the pools hold."""
        for exchange in self._streams:
            self._publish(exchange)
        usage = self.pools.usage
        self._slots[slot.UPSTREAM_CONNECTIONS_OPEN] = usage.open
        self._slots[slot.UPSTREAM_CONNECTIONS_OPENED] = usage.opened
        self._slots[slot.UPSTREAM_CONNECTIONS_REUSED] = usage.reused
        return now + PUBLISH_S if self._streams or usage.open else None

    def _publish(self, exchange: Exchange) -> None:
        relay = exchange.relay
        if relay is not None:
            self._slots[slot.EVENTS] += relay.events - exchange.published_events
            self._slots[slot.BYTES_TO_CLIENTS] += relay.bytes_sent - exchange.published_bytes
            exchange.published_events = relay.events
            exchange.published_bytes = relay.bytes_sent
