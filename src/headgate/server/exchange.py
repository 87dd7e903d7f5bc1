"""One request and its response: the object that connection, plugins, upstream and relay share.

An exchange runs in one task from its start until the request is out; from then on the upstream's connection calls it,
and there is no task while a response is awaited or flows. It ends exactly once, in :meth:`Exchange._finish`, with one
:class:`~headgate.stream.ending.Ending`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from headgate.errors import GatewayError, Source
from headgate.expressions.variables import compile_variable
from headgate.plugins.api import Answer, Chain, RequestPhase
from headgate.routing.bucket import NeedsForm
from headgate.server import answers, record, upstream_head
from headgate.server.response import make_relay, pass_on
from headgate.server.tries import Tries, is_stale
from headgate.server.tunnel import Tunnel, open_tunnel
from headgate.server.upload import Upload
from headgate.stream.ending import Ending
from headgate.stream.relay import Relay
from headgate.upstream.http1_client import Outgoing
from headgate.upstream.upstream import DEFAULT_READ_TIMEOUT_S
from headgate.wire.media_type import is_event_stream
from headgate.wire.request import Request, ResponseHead
from headgate.wire.request_head import BadRequest

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway
    from headgate.server.http1_connection import Http1Connection
    from headgate.server.plan import Plan
    from headgate.upstream.http1_client import BodyReceiver, Http1Client
    from headgate.upstream.target import Target


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
        "_tunnel",
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
        self.upload = Upload(connection, gateway.count_upload)
        self.form: Mapping[bytes, bytes] | None = None
        self.plan: Plan | None = None
        self.relay: Relay | None = None
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
        self._tunnel: Tunnel | None = None
        self._tries = Tries(self.started)
        self.answer_bytes = 0

    def start(self) -> None:
        """Begin."""
        self._start_task(self._begin())

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
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
        answer = await self._admit()
        if answer is None:
            await self._forward()
        else:
            self._answer(answer, Ending.REFUSED)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GatewayError as error:
            self._fail(error)
        except Exception:
            self._gateway.log.exception("exchange failed", id=self.id, route=self.route_id)
            self._answer(answers.page(500), Ending.GATEWAY_ERROR)

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
            answer = await self._run_phases(self._chains[0])
            if answer is not None:
                return answer
        if found is None or isinstance(found, NeedsForm):
            return answers.ROUTE_NOT_FOUND
        self.plan = found.payload.plan(generation)
        self._chains = (*self._chains, self.plan.chain)
        return await self._run_phases(self.plan.chain)

    async def _run_phases(self, chain: Chain) -> Answer | None:
        phase: RequestPhase
        for phase in chain.on_request + chain.on_route:
            result = phase(self)
            if inspect.isawaitable(result):
                result = await result
            if result is not None:
                return result
        return None

    async def _forward(self) -> None:
        """Send the request to the next target that takes it."""
        plan = self.plan
        assert plan is not None
        if plan.upstream is None:
            raise GatewayError("no_upstream", source=Source.UPSTREAM, status=503, detail="the route has no upstream")
        while True:
            self.target = self._tries.next(plan.upstream)
            pool = self._gateway.pools.pool(self.target, plan.upstream.keep_alive)
            try:
                client = pool.take() or await pool.connect(plan.timeouts.connect_s)
            except GatewayError as error:
                if not self._may_go_on(error):
                    raise
            else:
                self._send(client)
                return

    async def _repeat(self) -> None:
        """Send the request once more to the same target, on a connection of its own."""
        plan = self.plan
        assert plan is not None
        assert plan.upstream is not None
        assert self.target is not None
        pool = self._gateway.pools.pool(self.target, plan.upstream.keep_alive)
        try:
            client = await pool.connect(plan.timeouts.connect_s)
        except GatewayError as error:
            if not self._may_go_on(error):
                raise
            await self._forward()
        else:
            self._send(client)

    def _may_go_on(self, error: GatewayError) -> bool:
        assert self.plan is not None
        assert self.plan.upstream is not None
        now = self._gateway.clock()
        return not self.upload.is_used and self._tries.may_go_on(
            error, self.plan.upstream, self.request.method, now=now
        )

    def _send(self, client: Http1Client) -> None:
        plan = self.plan
        assert plan is not None
        assert plan.upstream is not None
        assert self.target is not None
        request, outgoing = self.request, self.upstream_request
        for chain in self._chains:
            for phase in chain.on_upstream_request:
                phase(self, outgoing)
        host = upstream_head.choose_host(request, outgoing, plan.upstream, self.target)
        upgrade = self._upgrade_wanted()
        timeout_s = plan.timeouts.read_s if self.read_timeout_s is None else self.read_timeout_s
        self._client = client
        self._reused = client.requests > 0
        client.send(
            Outgoing(
                upstream_head.encode(request, outgoing, host, upgrade=upgrade),
                has_body=request.has_body,
                chunked=request.chunked,
                no_response_body=outgoing.method == b"HEAD",
                wants_upgrade=upgrade is not None,
                read_timeout_s=DEFAULT_READ_TIMEOUT_S if timeout_s is None else timeout_s,
                send_timeout_s=plan.timeouts.send_s,
            ),
            self,
        )
        if request.has_body:
            self.upload.begin(client)

    def _upgrade_wanted(self) -> bytes | None:
        if self.plan is None or not self.plan.enable_websocket or not self.request.minor_version:
            return None
        headers = self.request.headers
        return headers.get(b"upgrade") if b"upgrade" in headers.tokens(b"connection") else None

    def body_failed(self, error: BadRequest) -> None:
        """Give up: where the request's body ends is anybody's guess, so its upstream connection is not used again."""
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(Ending.REFUSED)
        elif self.ending is None:
            self._answer(answers.refusal(error.status, error.detail), Ending.REFUSED)

    def upload_blocked(self) -> None:
        """Read no more of the request's body while the target takes none."""
        self._connection.pause_body()

    def upload_ready(self) -> None:
        """Read on."""
        self._connection.resume_body()

    # -- the way down, called by the upstream's connection ----------------------------------------------------------------

    def interim_received(self, head: ResponseHead) -> None:
        """Pass a 1xx on."""
        head.headers = head.headers.without_hop_by_hop()
        self._connection.send_interim(head)

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Pass the head on and set up whatever passes the body on."""
        client = self._client
        assert client is not None
        self.upstream_status = head.status
        pass_on(head.headers)
        self._run_response_phases(head)
        self.is_event_stream = has_body and is_event_stream(head.headers.get(b"content-type"))
        relay = make_relay(
            self, self._chains, self._connection, client, head, clock=self._gateway.clock, on_end=self._finish
        )
        if relay.changes_length:
            content_length = None
        if self.is_event_stream:
            configured_s = self.plan.timeouts.read_s if self.plan is not None else None
            client.set_read_timeout((configured_s if self.read_timeout_s is None else self.read_timeout_s) or 0.0)
        self.relay = relay
        self._send_head(head, content_length, has_body=has_body)
        return relay

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """Join both connections."""
        client = self._client
        assert client is not None
        assert client.transport is not None
        self.upstream_status = self.status = head.status
        pass_on(head.headers)
        self._run_response_phases(head)
        self._gateway.response_begun(self)
        early = self._connection.send_tunnel_head(head)
        self._tunnel = open_tunnel(
            self._connection.transport, client.transport, self._tunnel_ended, from_client=early, from_upstream=rest
        )

    def _tunnel_ended(self) -> None:
        self._drop_upstream()
        self._connection.tunnel_ended()
        self._finish(Ending.COMPLETE)

    def upstream_failed(self, error: GatewayError) -> None:
        """Try again where that cannot do harm, else answer."""
        self._client = None
        self.upload.drop()
        if self._reused and not self.upload.is_used and is_stale(error, self.request.method):
            self._start_task(self._repeat())
        elif self._may_go_on(error):
            self._start_task(self._forward())
        else:
            self._fail(error)

    # -- endings ------------------------------------------------------------------------------------------------------------

    def _fail(self, error: GatewayError) -> None:
        self.error = error
        ending = Ending.UPSTREAM_UNREACHABLE if error.source is Source.UPSTREAM else Ending.GATEWAY_ERROR
        self._answer(answers.page(error.status), ending)

    def _answer(self, answer: Answer, ending: Ending) -> None:
        """Answer in the upstream's place."""
        self._drop_upstream()
        head = self._gateway.head_of(answer)
        self._run_response_phases(head)
        has_body = self.request.method != b"HEAD" and answer.status not in {204, 304}
        self._send_head(head, len(answer.body), has_body=has_body)
        if answer.body and has_body:
            self.answer_bytes = len(answer.body)
            self._connection.send_piece(answer.body)
        self._connection.end_body()
        self._finish(ending)

    def _run_response_phases(self, head: ResponseHead) -> None:
        for chain in self._chains:
            for phase in chain.on_response:
                phase(self, head)

    def _send_head(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> None:
        self.status = head.status
        self._gateway.response_begun(self)
        self._connection.send_head(head, content_length, has_body=has_body)

    def client_gone(self) -> None:
        """Stop everything: nobody listens."""
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(Ending.CLIENT_GONE)
        elif self._tunnel is None:
            self._drop_upstream()
            self._finish(Ending.CLIENT_GONE)

    def stop(self, ending: Ending) -> None:
        """End for headgate's own reason: a response that has begun is broken off, else the answer is 503."""
        if self.ending is not None:
            return
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(ending)
        elif self._tunnel is None:
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
        for chain in self._chains:
            for phase in chain.on_end:
                phase(self)
        self._gateway.exchange_ended(self)
