"""One request and its response: the object that connection, plugins, upstream and relay share.

An exchange runs in one task from its start until the request is out; from then on the upstream's connection calls it,
and there is no task while a response is awaited or flows. It ends exactly once, in :meth:`Exchange._finish`, with one
:class:`~headgate.stream.ending.Ending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from headgate.errors import GatewayError, Source
from headgate.expressions.variables import compile_variable
from headgate.plugins.api import Answer, Chain
from headgate.routing.bucket import NeedsForm
from headgate.server import answers, phases, record, upstream_head
from headgate.server.response import Nobody, fit_body, gets_body, make_relay, pass_on, pass_on_switch, receiver_of
from headgate.server.tries import Tries, is_stale
from headgate.server.tunnel import Tunnel, make_tunnel
from headgate.server.upload import Upload
from headgate.stream.ending import Ending
from headgate.stream.relay import Relay
from headgate.wire.media_type import is_event_stream
from headgate.wire.request import Request, ResponseHead
from headgate.wire.request_head import BadRequest

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway
    from headgate.server.http1_connection import Http1Connection
    from headgate.server.plan import Plan
    from headgate.upstream.http1_client import BodyReceiver, Http1Client
    from headgate.upstream.target import Target
    from headgate.upstream.upstream import Upstream


class Exchange:
    """See the module. Times are readings of the loop's clock, in seconds; 0 = not yet."""

    __slots__ = (
        "_chains",
        "_client",
        "_connection",
        "_gateway",
        "_reused",
        "_state",
        "_task",
        "_tries",
        "answer_bytes",
        "ending",
        "error",
        "form",
        "id",
        "is_event_stream",
        "plan",
        "published_bytes",
        "published_events",
        "read_timeout_s",
        "relay",
        "request",
        "started",
        "status",
        "target",
        "tunnel",
        "upload",
        "upstream_request",
        "upstream_status",
    )

    def __init__(self, gateway: Gateway, connection: Http1Connection, request: Request) -> None:
        self._gateway = gateway
        self._connection = connection
        self.id = gateway.next_id()
        self.request = request
        self.upstream_request = upstream_head.start(request)
        self.upload = Upload(connection, request, gateway)
        self.form: Mapping[bytes, bytes] | None = None
        self.plan: Plan | None = None
        self.relay: Relay | None = None
        self.tunnel: Tunnel | None = None
        self.answer_bytes = 0
        self.read_timeout_s: float | None = None
        self.target: Target | None = None
        self.status = 0
        self.upstream_status = 0
        self.is_event_stream = False
        self.started = gateway.clock()
        self.published_bytes = 0
        self.published_events = 0
        self.ending: Ending | None = None
        self.error: GatewayError | None = None
        self._chains: tuple[Chain, ...] = ()
        self._client: Http1Client | None = None
        self._reused = False
        self._state: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._tries = Tries(self.started)

    def start(self) -> None:
        """Begin."""
        self._start_task(self._begin)

    def _start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = self._gateway.spawn(self._run(work), name=self.id)

    # -- what plugins and expressions see -------------------------------------------------------------------------------

    @property
    def route_id(self) -> str | None:
        """The matched route, or None."""
        return self.plan.route_id if self.plan is not None else None

    @property
    def state(self) -> dict[str, Any]:
        """What plugins keep between phases."""
        if self._state is None:
            self._state = {}
        return self._state

    def variable(self, name: str) -> bytes | None:
        """Give a variable's raw bytes, or None."""
        return compile_variable(name)(self)

    def extra(self, name: str) -> bytes | None:
        """Give a variable that is not of the request alone."""
        return record.variable(self, name)

    def log(self, event: str, **fields: object) -> None:
        """Write a record to the access log."""
        if self._gateway.access_log.enabled:
            self._gateway.access_log.write({"event": event, "id": self.id, "route": self.route_id, **fields})

    # -- the way up -----------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        if (answer := await self._admit()) is None:
            await self._forward()
        else:
            self._answer(answer, Ending.REFUSED)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except GatewayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self._crash(error)

    async def _admit(self) -> Answer | None:
        """Match, and run the phases that may answer; None = forward."""
        generation = self._gateway.generation
        found = generation.table.match(self)
        if isinstance(found, NeedsForm):
            self.form = await self.upload.read_form(self.request, self._gateway.loop)
            found = generation.table.match(self)
        if generation.global_chain is not None:
            self._chains = (generation.global_chain,)
        self._gateway.forwarding.apply(self.request, self.upstream_request.headers)
        if self._chains:
            answer = await phases.admit(self._chains[0], self)
            if answer is not None:
                return answer
        if found is None or isinstance(found, NeedsForm):
            return answers.ROUTE_NOT_FOUND
        self.plan = found.payload.plan(generation)
        self._chains = (*self._chains, self.plan.chain)
        return await phases.admit(self.plan.chain, self)

    @property
    def _upstream(self) -> Upstream:
        """Where the request goes; raises GatewayError ``no_upstream`` (503) where the route has none."""
        upstream = self.plan.upstream if self.plan is not None else None
        if upstream is None:
            raise GatewayError("no_upstream", source=Source.UPSTREAM, status=503, detail="the route has no upstream")
        return upstream

    async def _forward(self) -> None:
        """Send the request to the next target that takes it."""
        while True:
            self.target = self._tries.next(self._upstream)
            if await self._try(self.target, reuse=True):
                return

    async def _repeat(self) -> None:
        """Send the request once more to the same target, on a connection of its own."""
        assert self.target is not None
        if not await self._try(self.target, reuse=False):
            await self._forward()

    async def _try(self, target: Target, *, reuse: bool) -> bool:
        """Send the request to a target; False = it cannot be reached, and another one may be tried."""
        plan = self.plan
        assert plan is not None
        pool = self._gateway.pools.pool(target, self._upstream.keep_alive)
        try:
            client = (pool.take() if reuse else None) or await pool.connect(plan.timeouts.connect_s)
        except GatewayError as error:
            if not self._may_go_on(error):
                raise
            return False
        self._send(client, plan, target)
        return True

    def _may_go_on(self, error: GatewayError) -> bool:
        now = self._gateway.clock()
        return not self.upload.is_used and self._tries.may_go_on(error, self._upstream, self.request.method, now=now)

    def _send(self, client: Http1Client, plan: Plan, target: Target) -> None:
        self._client = client
        self._reused = client.requests > 0
        outgoing = phases.prepare(self._chains, self, self.upstream_request)
        client.send(upstream_head.make(self.request, outgoing, plan, target, self.read_timeout_s), self)
        if self.request.has_body:
            self.upload.begin(client)

    def body_failed(self, error: BadRequest, ending: Ending) -> None:
        """Give up: where the request's body ends is anybody's guess, so its upstream connection is not used again."""
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(ending)
        elif self.ending is None:
            self._answer(answers.refusal(error.status, error.detail), ending)

    def upload_blocked(self) -> None:
        """Read no more of the request's body while the target takes none."""
        self.upload.pause()

    def upload_ready(self) -> None:
        """Read on."""
        self.upload.resume()

    # -- the way down, called by the upstream's connection ----------------------------------------------------------------

    def interim_received(self, head: ResponseHead) -> None:
        """Pass a 1xx on."""
        head.headers = head.headers.without_hop_by_hop()
        self._connection.send_interim(head)

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Pass the head on and set up whatever passes the body on."""
        try:
            return self._pass_on(head, content_length, has_body=has_body)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self._crash(error)
            return Nobody()

    def _pass_on(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        client = self._client
        assert client is not None
        self.upstream_status = head.status
        pass_on(head.headers, self._gateway.date())
        phases.respond(self._chains, self, head)
        is_dropped = has_body and not gets_body(self.request.method, head.status)
        self.is_event_stream = has_body and not is_dropped and is_event_stream(head.headers.get(b"content-type"))
        relay = make_relay(
            self, self._chains, self._connection, client, head, clock=self._gateway.clock, on_end=self._finish
        )
        if relay.changes_length:
            content_length = None
        if self.is_event_stream:
            client.set_read_timeout(upstream_head.stream_read_timeout_s(self.plan, self.read_timeout_s))
        self.relay = relay
        self._send_head(head, content_length, has_body=has_body)
        relay.send_by(self._connection.piece_sender, self._connection.chunk_passer)
        if is_dropped:
            relay.stop(Ending.COMPLETE)
        elif self._connection.is_blocked:  # by what was sent before: it will not say so again
            relay.client_blocked()
        return receiver_of(relay, self._chains, self._crash)

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """Join both connections."""
        try:
            self._join(head, rest)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self._crash(error)

    def _join(self, head: ResponseHead, rest: bytes) -> None:
        assert self._client is not None
        self.upstream_status = self.status = head.status
        self._gateway.response_begun(self)
        silence_s = upstream_head.stream_read_timeout_s(self.plan, self.read_timeout_s)
        self.tunnel = make_tunnel(
            self._gateway, self._connection, self._client, silence_s=silence_s, on_end=self._tunnel_ended
        )
        early = self._connection.send_tunnel_head(pass_on_switch(head, self._gateway.date()))
        self.tunnel.open(from_client=early, from_upstream=rest)

    def _tunnel_ended(self, ending: Ending) -> None:
        self._drop_upstream()
        self._connection.tunnel_ended()
        self._finish(ending)

    def upstream_failed(self, error: GatewayError) -> None:
        """Try again where that cannot do harm, else answer."""
        self._client = None
        self.upload.drop()
        if self._reused and not self.upload.is_used and is_stale(error, self.request.method):
            self._start_task(self._repeat)
        elif self._may_go_on(error):
            self._start_task(self._forward)
        else:
            self._fail(error)

    # -- endings ------------------------------------------------------------------------------------------------------------

    def _fail(self, error: GatewayError) -> None:
        self.error = error
        ending = Ending.UPSTREAM_UNREACHABLE if error.source is Source.UPSTREAM else Ending.GATEWAY_ERROR
        self._answer(answers.page(error.status), ending)

    def _crash(self, error: Exception) -> None:
        """Give the exchange up for a defect of headgate's or a plugin's."""
        self._report_defect(error)
        if self.relay is not None:
            self.relay.stop(Ending.GATEWAY_ERROR)
        elif self.tunnel is None:
            self._answer(answers.page(500), Ending.GATEWAY_ERROR)

    def _report_defect(self, error: Exception) -> None:
        self._gateway.log.error("exchange failed", id=self.id, route=self.route_id, exc_info=error)

    def _answer(self, answer: Answer, ending: Ending) -> None:
        """Answer in the upstream's place."""
        if self.ending is not None:
            return
        self._drop_upstream()
        head = self._gateway.head_of(answer)
        try:
            phases.respond(self._chains, self, head)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self._report_defect(error)
            answer, ending = answers.page(500), Ending.GATEWAY_ERROR
            head = self._gateway.head_of(answer)
        if self._send_head(head, None if head.status == 304 else len(answer.body), has_body=True) and answer.body:
            self.answer_bytes = len(answer.body)
            self._connection.send_piece(answer.body)
        self._connection.end_body()
        self._finish(ending)

    def _send_head(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> bool:
        content_length, has_body = fit_body(self.request.method, head.status, content_length, has_body=has_body)
        self.status = head.status
        self._gateway.response_begun(self)
        self._connection.send_head(head, content_length, has_body=has_body)
        return has_body

    def client_gone(self) -> None:
        """Stop everything: nobody listens."""
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(Ending.CLIENT_GONE)
        else:
            self._drop_upstream()
            self._finish(Ending.CLIENT_GONE)

    def stop(self, ending: Ending) -> None:
        """End for headgate's own reason: a response that has begun is broken off, else the answer is 503."""
        if self.ending is not None:
            return
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(ending)
        elif self.tunnel is not None:
            self._drop_upstream()
            self._finish(ending)
            self.tunnel.abort()
        else:
            self._answer(answers.page(503), ending)

    def client_blocked(self) -> None:
        """Pause the upstream."""
        if self.relay is not None:
            self.relay.client_blocked()

    def client_ready(self) -> None:
        """Resume the upstream."""
        if self.relay is not None:
            self.relay.client_ready()

    def _stop_task(self) -> None:
        task = self._task
        if task is not None and not task.done():
            task.cancel()

    def _drop_upstream(self) -> None:
        client, self._client = self._client, None
        self.upload.drop()
        if client is not None:
            client.abort()

    def _finish(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        self._client = None
        phases.end(self._chains, self, self._report_defect)
        self._gateway.exchange_ended(self)
