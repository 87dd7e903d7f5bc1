"""Connections to one target: idle ones kept, new ones made.

An idle connection is taken last in, first out; it leaves after ``idle_timeout_s``, after ``requests`` requests, when
more than ``size`` are idle, and at once when it hears anything or an EOF. Connections in use are not counted here:
what bounds them is the number of clients.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from weakref import WeakValueDictionary

from headgate.errors import GatewayError, Source
from headgate.timer_wheel import TimerWheel
from headgate.upstream.http1_client import Http1Client
from headgate.upstream.resolve import Resolver
from headgate.upstream.target import Target


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """APISIX's ``keepalive_pool``: idle connections per target and worker, seconds, requests per connection."""

    size: int = 320
    idle_timeout_s: float = 60.0
    requests: int = 1000


@dataclass(slots=True)
class Usage:
    """What all pools of a worker do, for the metrics."""

    open: int = 0
    opened: int = 0
    reused: int = 0


class Pool:
    """The connections of one worker to one target."""

    __slots__ = ("__weakref__", "_idle", "_keep_alive", "_pools", "target")

    def __init__(self, target: Target, keep_alive: KeepAlive, pools: Pools) -> None:
        self.target = target
        self._keep_alive = keep_alive
        self._pools = pools
        self._idle: deque[Http1Client] = deque()

    def __len__(self) -> int:
        """Give the number of idle connections."""
        return len(self._idle)

    def take(self) -> Http1Client | None:
        """Give an idle connection, or None."""
        while self._idle:
            client = self._idle.pop()
            if client.is_usable:
                client.idle_since = 0.0
                self._pools.usage.reused += 1
                return client
        return None

    async def connect(self, timeout_s: float) -> Http1Client:
        """Make a connection within ``timeout_s``, trying each address of the name in turn.

        Raises GatewayError, retryable on another target: ``unresolvable`` 503, ``connect_timeout`` 504,
        ``connect_refused``, ``connect_failed`` and ``tls_failed`` 502.
        """
        pools = self._pools
        target = self.target
        error: OSError | None = None
        try:
            async with asyncio.timeout(timeout_s):
                for address in await pools.resolver.resolve(target.host):
                    try:
                        client = await self._connect_to(address)
                    except OSError as tried:
                        error = tried
                    else:
                        pools.usage.opened += 1
                        pools.usage.open += 1
                        return client
        except TimeoutError:
            raise self._error("connect_timeout", 504, f"no connection within {timeout_s:g} s") from None
        assert error is not None
        raise self._error(_code_of(error), 502, str(error)) from error

    async def _connect_to(self, address: str) -> Http1Client:
        pools = self._pools
        tls = self.target.tls
        _, client = await pools.loop.create_connection(
            lambda: Http1Client(self, pools.loop, pools.wheel, pools.max_head_bytes),
            address,
            self.target.port,
            ssl=tls.context if tls else None,
            server_hostname=tls.server_name if tls else None,
        )
        return client

    def _error(self, code: str, status: int, detail: str) -> GatewayError:
        detail = f"{self.target.address}: {detail}"
        return GatewayError(code, source=Source.UPSTREAM, status=status, retryable=True, detail=detail)

    def put_back(self, client: Http1Client) -> None:
        """Keep a connection whose response ended properly, or close it when it or the pool is full."""
        keep_alive = self._keep_alive
        if client.requests >= keep_alive.requests or not keep_alive.idle_timeout_s:
            client.abort()
            return
        if len(self._idle) >= keep_alive.size:
            self._idle.popleft().abort()
        now = client.clock()
        client.idle_since = now
        self._idle.append(client)
        self._pools.wheel.schedule(client, now + keep_alive.idle_timeout_s)

    def check_idle(self, client: Http1Client, now: float) -> float | None:
        """Close an idle connection whose time is over; give the time of the next look."""
        due = client.idle_since + self._keep_alive.idle_timeout_s
        if now < due:
            return due
        client.abort()
        return None

    def closed(self, client: Http1Client) -> None:
        """Forget a connection that was closed."""
        self._pools.usage.open -= 1
        if client in self._idle:
            self._idle.remove(client)

    def close_idle(self) -> None:
        """Close what is idle."""
        for client in list(self._idle):
            client.abort()


def _code_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return "connect_refused" if isinstance(error, ConnectionRefusedError) else "connect_failed"


class Pools:
    """The pools of a worker. One that no route and no connection holds any longer is forgotten."""

    __slots__ = ("_pools", "loop", "max_head_bytes", "resolver", "usage", "wheel")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wheel: TimerWheel, resolver: Resolver, *, max_head_bytes: int = 65536
    ) -> None:
        self.loop = loop
        self.wheel = wheel
        self.resolver = resolver
        self.max_head_bytes = max_head_bytes
        self.usage = Usage()
        self._pools: WeakValueDictionary[tuple[Target, KeepAlive], Pool] = WeakValueDictionary()

    def pool(self, target: Target, keep_alive: KeepAlive) -> Pool:
        """Give the pool for a target with these settings."""
        pool = self._pools.get((target, keep_alive))
        if pool is None:
            pool = Pool(target, keep_alive, self)
            self._pools[(target, keep_alive)] = pool
        return pool

    def close_idle(self) -> None:
        """Close every idle connection."""
        for pool in list(self._pools.values()):
            pool.close_idle()
