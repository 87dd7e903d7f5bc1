"""Bringing one request to a target: the next that takes it, on a pooled connection or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.errors import GatewayError, Source
from headgate.server import phases, upstream_head
from headgate.server.in_task import in_task
from headgate.server.tries import Tries, is_stale

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange
    from headgate.server.gateway import Gateway
    from headgate.upstream.http1_client import Http1Client
    from headgate.upstream.target import Target
    from headgate.upstream.upstream import Upstream


class Dispatch:
    """An exchange's way up. ``client`` is the connection that has the request now, None before and after.

    ``began_at``: when the first target was looked for, a reading of the loop's clock; 0 = not yet.
    """

    __slots__ = ("_exchange", "_gateway", "_next", "_reused", "_tries", "began_at", "client")

    def __init__(self, exchange: Exchange, gateway: Gateway) -> None:
        self._exchange = exchange
        self._gateway = gateway
        self._tries = Tries(exchange.started)
        self._next: Target | None = None  # picked, and not tried yet
        self._reused = False
        self.began_at = 0.0
        self.client: Http1Client | None = None

    def send_at_once(self) -> bool:
        """Send the request to the first target, if a connection to it is in the pool; False: :meth:`forward` it.

        Raises GatewayError where there is no target.
        """
        gateway, upstream = self._gateway, self._upstream
        self.began_at = gateway.clock()
        target = self._exchange.target = self._next = self._tries.next(upstream)
        client = gateway.pools.pool(target, upstream.keep_alive).take()
        if client is None:
            return False
        self._next = None
        self._send(client, target)
        return True

    async def forward(self) -> None:
        """Send the request to the next target that takes it. Raises GatewayError where there is none."""
        self.began_at = self.began_at or self._gateway.clock()
        while True:
            target, self._next = self._next or self._tries.next(self._upstream), None
            self._exchange.target = target
            if await self._try(target, reuse=True):
                return

    async def repeat(self) -> None:
        """Send the request once more to the same target, on a connection of its own."""
        target = self._exchange.target
        assert target is not None
        if not await self._try(target, reuse=False):
            await self.forward()

    def may_go_on(self, error: GatewayError) -> bool:
        """Say whether, after ``error``, another target may be tried."""
        exchange = self._exchange
        if exchange.upload.is_used:
            return False
        return self._tries.may_go_on(error, self._upstream, exchange.request.method, now=self._gateway.clock())

    @property
    def has_another(self) -> bool:
        """Whether there is a target that has not been tried, and a request that can still be sent to it."""
        return not self._exchange.upload.is_used and self._tries.has_another(self._upstream, now=self._gateway.clock())

    def may_repeat(self, error: GatewayError) -> bool:
        """Say whether ``error`` is a pooled connection's that had been closed before the request came."""
        exchange = self._exchange
        return self._reused and not exchange.upload.is_used and is_stale(error, exchange.request.method)

    def drop(self) -> None:
        """Close the connection, if there is one."""
        client, self.client = self.client, None
        if client is not None:
            client.abort()

    @property
    def _upstream(self) -> Upstream:
        """Where the request goes; raises GatewayError ``no_upstream`` (503) where the route has none."""
        plan = self._exchange.plan
        if plan is None or plan.upstream is None:
            raise GatewayError("no_upstream", source=Source.UPSTREAM, status=503, detail="the route has no upstream")
        return plan.upstream

    async def _try(self, target: Target, *, reuse: bool) -> bool:
        """Send the request to a target; False = it cannot be reached, and another one may be tried."""
        plan = self._exchange.plan
        assert plan is not None
        pool = self._gateway.pools.pool(target, self._upstream.keep_alive)
        client = pool.take() if reuse else None
        if client is not None:
            self._send(client, target)
            return True
        await in_task()
        try:
            client = await pool.connect(plan.timeouts.connect_s)
        except GatewayError as error:
            if not self.may_go_on(error):
                raise
            return False
        self._send(client, target)
        return True

    def _send(self, client: Http1Client, target: Target) -> None:
        exchange = self._exchange
        plan = exchange.plan
        assert plan is not None
        self.client = client
        self._reused = client.requests > 0
        outgoing = phases.prepare(exchange.chains, exchange, exchange.upstream_request)
        client.send(upstream_head.make(exchange, outgoing, plan, target), exchange)
        if exchange.request.has_body:
            exchange.upload.begin(client)
