"""One request and its response: the object that connection, plugins, upstream and relay share.

Its way up is :class:`~headgate.server.dispatch.Dispatch`, what its client is told :class:`~headgate.server.reply.Reply`.

Until its request is out an exchange is one piece of work, which becomes a task where it has to wait (``in_task``); from then
on the upstream's connection calls it, and there is no task while a response is awaited or flows. It ends exactly once, in :meth:`Exchange._finish`, with one
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
from headgate.server.dispatch import Dispatch
from headgate.server.gone import GONE, Gone
from headgate.server.held_head import REQUEST_BYTES
from headgate.server.in_task import Work, in_task, run
from headgate.server.reply import Reply
from headgate.server.response import pass_on_switch
from headgate.server.tunnel import Tunnel, make_tunnel
from headgate.server.upload import Upload
from headgate.stream.ending import Ending
from headgate.stream.policy import OnClientGone
from headgate.stream.relay import Relay
from headgate.wire.request import Request, ResponseHead
from headgate.wire.request_head import BadRequest

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway
    from headgate.server.http1_connection import Http1Connection
    from headgate.server.plan import Plan
    from headgate.upstream.receivers import BodyReceiver
    from headgate.upstream.target import Target


class Exchange:
    """See the module. Times are readings of the loop's clock, in seconds; 0 = not yet."""

    __slots__ = (
        "_gateway",
        "_state",
        "_task",
        "answer_bytes",
        "chains",
        "connection",
        "dispatch",
        "ending",
        "error",
        "form",
        "id",
        "is_stream",
        "plan",
        "read_timeout_s",
        "relay",
        "reply",
        "request",
        "started",
        "status",
        "stream_policy",
        "target",
        "tunnel",
        "upload",
        "upstream_request",
        "upstream_status",
    )

    def __init__(self, gateway: Gateway, connection: Http1Connection, request: Request) -> None:
        self._gateway = gateway
        self.connection: Http1Connection | Gone = connection
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
        self.is_stream = False
        self.stream_policy = gateway.stream_policy
        self.started = gateway.clock()
        self.ending: Ending | None = None
        self.error: GatewayError | None = None
        self.chains: tuple[Chain, ...] = ()
        self.dispatch = Dispatch(self, gateway)
        self.reply = Reply(self, gateway)
        self._state: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; what needs no wait is done on return."""
        self._task = run(self._run(self._begin), self._spawn)

    def _start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = self._spawn(self._run(work))

    def _spawn(self, work: Work) -> asyncio.Task[None]:
        task = self._gateway.spawn(work, name=self.id)
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None

    def forget_way_up(self) -> None:
        """Let go of what was sent: a stream that flows is not sent to another target."""
        self.upstream_request = upstream_head.SENT

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
            if self.stream_policy.peek is not None:
                self.upload.keep(REQUEST_BYTES)
            if not self.dispatch.send_at_once():
                await self.dispatch.forward()
        else:
            self.reply.answer(answer, Ending.REFUSED)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except GatewayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self.crash(error)

    async def _admit(self) -> Answer | None:
        """Match, and run the phases that may answer; None = forward."""
        generation = self._gateway.generation
        found = generation.table.match(self)
        if found is NeedsForm.NEEDS_FORM:
            await in_task()
            self.form = await self.upload.read_form(self.request, self._gateway.loop)
            found = generation.table.match(self)
        if generation.global_chain is not None:
            self.chains = (generation.global_chain,)
        self._gateway.forwarding.apply(self.request, self.upstream_request.headers)
        if self.chains:
            answer = await phases.admit(self.chains[0], self)
            if answer is not None:
                return answer
        if found is None or isinstance(found, NeedsForm):
            return answers.ROUTE_NOT_FOUND
        self.plan = found.payload.plan(generation)
        chain = self.plan.chain
        self.chains = (*self.chains, chain) if self.chains else (chain,)
        return await phases.admit(chain, self) if chain.on_request or chain.on_route else None

    def body_failed(self, error: BadRequest, ending: Ending) -> None:
        """Give up: where the request's body ends is anybody's guess, so its upstream connection is not used again."""
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(ending)
        elif self.ending is None:
            self.reply.answer(answers.refusal(error.status, error.detail), ending)

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
        self.connection.send_interim(head)

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Pass the head on, or hold it back for a look, and set up whatever takes the body."""
        self.upstream_status = head.status
        return self.reply.head_received(head, content_length, has_body=has_body)

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """Join both connections."""
        try:
            self._join(head, rest)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self.crash(error)

    def _join(self, head: ResponseHead, rest: bytes) -> None:
        connection, client = self.connection, self.dispatch.client
        assert client is not None
        if isinstance(connection, Gone):
            self.drop_upstream()
            self.finish(Ending.CLIENT_GONE)
            return
        self.upstream_status = self.status = head.status
        self._gateway.response_begun(self)
        silence_s = upstream_head.stream_read_timeout_s(self.plan, self.read_timeout_s)
        self.tunnel = make_tunnel(self._gateway, connection, client, silence_s=silence_s, on_end=self._tunnel_ended)
        early = connection.send_tunnel_head(pass_on_switch(head, self._gateway.date()))
        self.tunnel.open(from_client=early, from_upstream=rest)

    def _tunnel_ended(self, ending: Ending) -> None:
        self.drop_upstream()
        if not isinstance(self.connection, Gone):
            self.connection.tunnel_ended()
        self.finish(ending)

    def upstream_failed(self, error: GatewayError) -> None:
        """Try again where that cannot do harm, else answer."""
        self.dispatch.client = None
        self.upload.drop()
        if self.dispatch.may_repeat(error):
            self._start_task(self.dispatch.repeat)
        elif self.dispatch.may_go_on(error):
            self._start_task(self.dispatch.forward)
        else:
            self._fail(error)

    def try_elsewhere(self) -> bool:
        """Send the request to another target in place of this one, if there is one that it can be sent to."""
        if not self.dispatch.has_another:
            return False
        self.drop_upstream()
        self._start_task(self.dispatch.forward)
        return True

    # -- endings ------------------------------------------------------------------------------------------------------------

    def _fail(self, error: GatewayError) -> None:
        self.error = error
        ending = Ending.UPSTREAM_UNREACHABLE if error.source is Source.UPSTREAM else Ending.GATEWAY_ERROR
        if error.code == "read_timeout" and upstream_head.waits_for_event(self):
            ending = Ending.FIRST_EVENT_TIMEOUT
        self.reply.answer(answers.page(error.status), ending)

    def crash(self, error: Exception) -> None:
        """Give the exchange up for a defect of headgate's or a plugin's."""
        self.report_defect(error)
        if self.relay is not None:
            self.relay.stop(Ending.GATEWAY_ERROR)
        elif self.tunnel is None:
            self.reply.answer(answers.page(500), Ending.GATEWAY_ERROR)

    def report_defect(self, error: Exception) -> None:
        """Log what went wrong in headgate or a plugin."""
        self._gateway.log.error("exchange failed", id=self.id, route=self.route_id, exc_info=error)

    def client_gone(self) -> None:
        """Stop everything, for nobody listens; or, if the route wants that, let the upstream finish."""
        if self.stream_policy.on_client_gone is OnClientGone.FINISH and self.upload.is_whole and self.tunnel is None:
            self.connection = GONE
            self._gateway.detach(self)
            if self.relay is not None:
                self.relay.detach()
            return
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(Ending.CLIENT_GONE)
        else:
            self.drop_upstream()
            self.finish(Ending.CLIENT_GONE)

    def stop(self, ending: Ending) -> None:
        """End for headgate's own reason: a response that has begun is broken off, else the answer is 503."""
        if self.ending is not None:
            return
        self._stop_task()
        if self.relay is not None:
            self.relay.stop(ending)
        elif self.tunnel is not None:
            self.drop_upstream()
            self.finish(ending)
            self.tunnel.abort()
        else:
            self.reply.answer(answers.page(503), ending)

    def end_soon(self, ending: Ending) -> None:
        """End a stream for headgate's own reason, as soon as it stands between two events."""
        if self.relay is not None:
            self.relay.end_soon(ending)

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

    def drop_upstream(self) -> None:
        """Close the connection that has the request, if one has it."""
        self.reply.drop_held()
        self.upload.drop()
        self.dispatch.drop()

    def finish(self, ending: Ending) -> None:
        """End, with this reason if it is the first."""
        if self.ending is not None:
            return
        self.ending = Ending.CLIENT_GONE if self.connection is GONE else ending
        self.dispatch.client = None
        self._gateway.detached_ended(self)
        self.reply.ended()
        phases.end(self.chains, self, self.report_defect)
        self._gateway.exchange_ended(self)
