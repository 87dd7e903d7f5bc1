"""Connections to one target: idle ones kept, new ones made.

An idle connection is taken last in, first out; it leaves after ``idle_timeout_s``, after ``requests`` requests, when
more than ``size`` are idle, when all pools together hold as many connections as the worker may have, and at once when
it hears anything or an EOF. What bounds connections in use is the number of clients.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from weakref import ReferenceType, WeakValueDictionary, ref

from headgate.errors import GatewayError, Source
from headgate.tcp_liveness import TcpLiveness
from headgate.timer_wheel import TimerWheel
from headgate.upstream.address_race import first_connected
from headgate.upstream.connect_deadline import ConnectDeadline
from headgate.upstream.http1_client import Http1Client
from headgate.upstream.resolve import Resolver
from headgate.upstream.target import Target

RECENT_POOLS = 1024
"""How many targets' pools are found without comparing the targets."""


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
        """Make a connection within ``timeout_s``, whichever of the name's addresses answers first.

        Raises GatewayError, retryable on another target: ``unresolvable`` 503, ``connect_timeout`` 504,
        ``connect_refused``, ``connect_failed`` and ``tls_failed`` 502.
        """
        pools = self._pools
        pools.connecting += 1
        deadline: ConnectDeadline | None = None
        try:
            await pools.make_room()
            deadline = ConnectDeadline(pools.wheel, pools.loop.time() + timeout_s)
            addresses = await pools.resolver.resolve(self.target.host)
            return await first_connected(addresses, self._connect_to, Http1Client.abort)
        except OSError as error:  # a TimeoutError of the kernel's among them
            code = _code_of(error)
            raise self._error(code, 504 if code == "connect_timeout" else 502, str(error)) from error
        except asyncio.CancelledError:
            if deadline is not None and deadline.took_effect():
                raise self._error("connect_timeout", 504, f"no connection within {timeout_s:g} s") from None
            raise
        finally:
            pools.connecting -= 1
            if deadline is not None:
                deadline.stop()

    async def _connect_to(self, address: str) -> Http1Client:
        pools = self._pools
        tls = self.target.tls
        client = Http1Client(self, pools.loop, pools.wheel, pools.max_head_bytes)
        try:
            await pools.loop.create_connection(
                lambda: client,
                address,
                self.target.port,
                ssl=tls.context if tls else None,
                server_hostname=tls.server_name if tls else None,
            )
        except BaseException:
            if client.transport is not None:
                client.abort()  # whoever waited for it was cancelled, and uvloop does not tell a protocol of its end
            raise
        if not client.is_usable:
            raise ConnectionResetError("closed as soon as it was made")
        assert client.transport is not None
        # uvloop's own socket object is made anew, with a system call, for every option that is set on it.
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM, 0, client.transport.get_extra_info("socket").fileno())
        try:
            pools.liveness.watch(connection)
        finally:
            connection.detach()
        return client

    def _error(self, code: str, status: int, detail: str) -> GatewayError:
        detail = f"{self.target.address}: {detail}"
        return GatewayError(code, source=Source.UPSTREAM, status=status, retryable=True, detail=detail)

    def put_back(self, client: Http1Client) -> None:
        """Keep a connection whose response ended properly, or close it when it or the pool is full."""
        keep_alive = self._keep_alive
        if client.requests >= keep_alive.requests or not keep_alive.idle_timeout_s or not keep_alive.size:
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

    def watch_silence(self, transport: asyncio.Transport, *, is_watched: bool) -> None:
        """Have the kernel give up, or not give up, a connection whose target acknowledges nothing for too long."""
        liveness = self._pools.liveness
        timeout_s = liveness.user_timeout_s if is_watched else 0.0
        liveness.set_user_timeout(transport.get_extra_info("socket"), timeout_s)

    def opened(self) -> None:
        """Count a connection that was made."""
        self._pools.usage.opened += 1
        self._pools.usage.open += 1

    def closed(self, client: Http1Client) -> None:
        """Forget a connection that was closed."""
        self._pools.usage.open -= 1
        if client.idle_since and client in self._idle:
            self._idle.remove(client)

    @property
    def oldest_idle_since(self) -> float:
        """When the connection that has been idle longest became so; infinity if none is idle."""
        return self._idle[0].idle_since if self._idle else math.inf

    def drop_oldest(self) -> None:
        """Close the connection that has been idle longest."""
        self._idle.popleft().abort()

    def close_idle(self) -> None:
        """Close what is idle."""
        for client in list(self._idle):
            client.abort()


def _code_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    return "connect_refused" if isinstance(error, ConnectionRefusedError) else "connect_failed"


class Pools:
    """The pools of a worker. One that no route and no connection holds any longer is forgotten.

    At ``max_open`` connections in all, idle ones make room for new ones, so that they never take descriptors that
    streams need.
    """

    __slots__ = (
        "_pools",
        "_recent",
        "connecting",
        "liveness",
        "loop",
        "max_head_bytes",
        "max_open",
        "resolver",
        "usage",
        "wheel",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wheel: TimerWheel,
        resolver: Resolver,
        *,
        max_head_bytes: int = 65536,
        max_open: int = 1 << 20,
        liveness: TcpLiveness | None = None,
    ) -> None:
        self.loop = loop
        self.wheel = wheel
        self.resolver = resolver
        self.max_head_bytes = max_head_bytes
        self.max_open = max_open
        self.liveness = liveness or TcpLiveness()
        self.connecting = 0
        self.usage = Usage()
        self._pools: WeakValueDictionary[tuple[Target, KeepAlive], Pool] = WeakValueDictionary()
        self._recent: dict[int, tuple[Target, KeepAlive, ReferenceType[Pool]]] = {}

    def pool(self, target: Target, keep_alive: KeepAlive) -> Pool:
        """Give the pool for a target with these settings."""
        recent = self._recent.get(id(target))  # comparing and hashing the two costs more than all else here
        if recent is not None and recent[0] is target and recent[1] is keep_alive and (pool := recent[2]()) is not None:
            return pool
        return self._find(target, keep_alive)

    def _find(self, target: Target, keep_alive: KeepAlive) -> Pool:
        pool = self._pools.get((target, keep_alive))
        if pool is None:
            pool = Pool(target, keep_alive, self)
            self._pools[(target, keep_alive)] = pool
        if len(self._recent) >= RECENT_POOLS:
            self._recent.clear()
        self._recent[id(target)] = target, keep_alive, ref(pool)
        return pool

    async def make_room(self) -> None:
        """Where connections are as many as may be, close the one of all pools that has been idle longest, if one is."""
        if self.usage.open + self.connecting <= self.max_open:
            return
        pool = min(self._pools.values(), key=lambda pool: pool.oldest_idle_since, default=None)
        if pool is not None and len(pool):
            pool.drop_oldest()
            await asyncio.sleep(0)  # the loop closes the descriptor in its next turn

    def close_idle(self) -> None:
        """Close every idle connection."""
        for pool in list(self._pools.values()):
            pool.close_idle()
