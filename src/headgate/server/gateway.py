"""One worker's data plane: its configuration, connections, streams and numbers."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Collection, Coroutine, Sequence
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
from headgate.server import answers
from headgate.server.accounts import Accounts
from headgate.server.exchange import Exchange
from headgate.server.forwarded import Forwarding
from headgate.server.generation import Catalog, Generation
from headgate.server.http1_connection import Http1Connection
from headgate.server.listener import Listener, stream_capacity
from headgate.server.peer_watch import PeerWatch
from headgate.stream.ending import Ending
from headgate.stream.policy import OnRouteRemoved, StreamPolicy
from headgate.tcp_liveness import TcpLiveness
from headgate.timer_wheel import TimerWheel
from headgate.upstream.pool import Pools
from headgate.upstream.resolve import Resolver
from headgate.wire.request import Peer, ResponseHead
from headgate.wire.request_head import BadRequest, Limits

LOAD_SLICE = 200
"""Changes applied in one turn of the loop while a worker loads."""
PAUSE_LOG_S = 60.0
"""How often at most a pause of accepting is logged."""
SPREAD = 0.9
"""The part of the time to stop over which streams are told to end; the rest is for those within an event, or blocked."""
CLOSE_S = 0.25
"""How long connections may take to close once everything has been ended."""


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
            liveness=TcpLiveness(settings.tcp.user_timeout_s, settings.tcp.keepalive_s),
        )
        self.forwarding = Forwarding(legacy=settings.x_forwarded_host == "legacy", trusted=settings.trusted_addresses)
        self.generation = Generation.empty(catalog or PluginCatalog(), authorities=settings.authorities)
        self.is_stopping = False
        self.keeps_idle = True
        streams = settings.streams
        self.stream_policy = StreamPolicy(
            keepalive_s=streams.keepalive_s, max_event_bytes=streams.max_event_bytes, retry_s=streams.retry_s
        )
        self.liveness = TcpLiveness(settings.tcp.user_timeout_s, settings.tcp.keepalive_s)
        self.detached: set[Exchange] = set()
        mask = frozenset(name.lower() for name in settings.mask_query_keys)
        self.accounts = Accounts(
            loop, counters, access_log, self.wheel, self.pools, mask=mask, progress_s=streams.progress_s
        )
        self.streams = self.accounts.streams
        self._slots = counters.slots
        self._date = answers.DateField()
        self._ids = f"{worker}-{os.getpid():x}{int(time.time()) & 0xFFFFFF:06x}-"
        self._next_number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Http1Connection] = set()
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
        """Apply changes, all at once: the next request sees them, running exchanges keep what they have.

        Streams of a route that is deleted or switched off go on, unless its ``stream-guard`` says otherwise.
        """
        self.generation = self.generation.with_changes(changes)
        last = {change.id: change for change in changes if change.kind == "routes"}
        gone = {route_id for route_id, change in last.items() if not _is_served(change)}
        if gone and self.streams:
            self._leave(gone)

    def _leave(self, routes: Collection[str]) -> None:
        """End the streams of routes that are gone, if those wanted that."""
        left = [exchange for exchange in self.streams.values() if exchange.route_id in routes]
        for exchange in left:
            if exchange.stream_policy.on_route_removed is OnRouteRemoved.CLOSE:
                exchange.stop(Ending.ROUTE_REMOVED)
        drained = [one for one in left if one.stream_policy.on_route_removed is OnRouteRemoved.DRAIN]
        if drained:
            window_s = self.settings.drain.window_s
            self.spawn(self._end_spread(drained, Ending.ROUTE_REMOVED, window_s), name="drain-route")

    def replace(self, generation: Generation) -> None:
        """Serve another configuration from the next request on."""
        self.generation = generation

    # -- life -----------------------------------------------------------------------------------------------------------

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to accept; the sockets are bound, listening and stay the caller's."""
        for listening in sockets:
            self.liveness.watch(listening)
        self._listener = Listener(
            self.loop, sockets, partial(Http1Connection, self), capacity=stream_capacity(), on_pause=self._accept_paused
        )
        self._listener.start()

    async def stop(self, *, window_s: float, idle_s: float = 0.0) -> None:
        """Accept no more, let requests end, end streams, close everything; return within ``window_s`` and a little.

        Event streams end between two events, spread evenly over the window, each with a reconnection time of its own;
        what has not ended with the window is cut. A request on a connection that is open already is answered, with
        ``Connection: close``; connections without one are closed after ``idle_s``.
        """
        self.is_stopping = True
        self.accounts.drain_begun()
        if self._listener is not None:
            self._listener.close()
        ends_at = self.clock() + window_s
        self.spawn(self._close_idle(idle_s), name="close-idle")
        self.spawn(self._end_spread(list(self.streams.values()), Ending.DRAIN, window_s), name="drain")
        await self._wait_closed(window_s * SPREAD)
        for exchange in list(self.streams.values()):  # those that began meanwhile, too
            exchange.end_soon(Ending.DRAIN)
        await self._wait_closed(ends_at - self.clock())
        self._cut_all()
        await self._wait_closed(CLOSE_S)
        for connection in list(self._connections):
            connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        self.pools.close_idle()
        await asyncio.sleep(0)  # aborted transports report the loss in the loop's next turn
        self.peer_watch.close()

    def _cut_all(self) -> None:
        self.keeps_idle = False
        for exchange in list(self.detached):
            exchange.stop(Ending.DRAIN)
        for connection in list(self._connections):
            if connection.exchange is not None:
                connection.exchange.stop(Ending.DRAIN)
            else:
                connection.close_if_idle()

    async def _close_idle(self, after_s: float) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        self.keeps_idle = False
        for connection in list(self._connections):
            connection.close_if_idle()

    async def _end_spread(self, exchanges: Sequence[Exchange], ending: Ending, window_s: float) -> None:
        """End streams one after another, the first now; in good time before the window's end."""
        began = self.clock()
        for number, exchange in enumerate(exchanges):
            wait_s = began + window_s * SPREAD * number / len(exchanges) - self.clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            exchange.end_soon(ending)

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
        self._note_closed()

    def detach(self, exchange: Exchange) -> None:
        """Remember an exchange whose client has left and whose upstream may finish."""
        self.detached.add(exchange)
        self._all_closed.clear()

    def detached_ended(self, exchange: Exchange) -> None:
        """Forget it again: it has ended."""
        if exchange in self.detached:
            self.detached.discard(exchange)
            self._note_closed()

    def _note_closed(self) -> None:
        if not (self._connections or self.detached):
            self._all_closed.set()

    def request_begun(self) -> None:
        """Count a request."""
        self._slots[slot.REQUESTS] += 1

    def response_begun(self, exchange: Exchange) -> None:
        """Count a response."""
        self.accounts.response_begun(exchange)

    def exchange_ended(self, exchange: Exchange) -> None:
        """Count and log an exchange that has ended."""
        self.accounts.exchange_ended(exchange)

    def refused(self, peer: Peer, error: BadRequest) -> None:
        """Count and log what was no request."""
        self.accounts.refused(self.next_id(), peer, error)

    def count_upload(self, count: int) -> None:
        """Count bytes of a request's body sent upstream."""
        self._slots[slot.UPSTREAM_REQUEST_BYTES] += count


def _is_served(change: Change) -> bool:
    return change.value is not None and change.value.get("status", 1) != 0
