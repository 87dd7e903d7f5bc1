"""What an exchange's client is told: the upstream's response, or an answer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.plugins.api import Answer
from headgate.server import answers, phases, refusal, upstream_head
from headgate.server.gone import GONE
from headgate.server.held_head import HeldHead
from headgate.server.response import (
    Nobody,
    fit_body,
    gets_body,
    is_peeked,
    is_stream,
    make_clock,
    make_relay,
    pass_on,
    receiver_of,
)
from headgate.stream.ending import Ending
from headgate.stream.stream_clock import StreamClock
from headgate.wire.request import ResponseHead

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange
    from headgate.server.gateway import Gateway
    from headgate.upstream.receivers import BodyReceiver


class Reply:
    """See the module. One head is sent, whoever it comes from."""

    __slots__ = ("_clock", "_exchange", "_gateway", "_held_head")

    def __init__(self, exchange: Exchange, gateway: Gateway) -> None:
        self._exchange = exchange
        self._gateway = gateway
        self._clock: StreamClock | None = None
        self._held_head: HeldHead | None = None

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Pass the upstream's head on, or hold it back for a look into the stream; give whoever takes the body."""
        exchange = self._exchange
        client, rules = exchange.dispatch.client, exchange.stream_policy.peek
        if rules is not None and client is not None and is_peeked(exchange.request, head, has_body=has_body):
            self._held_head = HeldHead(exchange, self._gateway, client, head, content_length, rules)
            return self._held_head.peek
        return self.pass_on(head, content_length, has_body=has_body)

    def pass_on(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Pass the upstream's head on and give whoever passes the body on."""
        self._held_head = None
        try:
            return self._pass_on(head, content_length, has_body=has_body)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            self._exchange.crash(error)
            return Nobody()

    def _pass_on(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        exchange, gateway, connection = self._exchange, self._gateway, self._exchange.connection
        client = exchange.dispatch.client
        assert client is not None
        status = head.status
        if status in refusal.TURNED and refusal.is_turned(status, exchange.request, exchange.stream_policy):
            self.answer(refusal.of(head), Ending.REFUSED)
            return Nobody()
        pass_on(head.headers, gateway.date())
        phases.respond(exchange.chains, exchange, head)
        is_dropped = has_body and not gets_body(exchange.request.method, head.status)
        exchange.is_stream = has_body and not is_dropped and is_stream(exchange.request, head, content_length)
        relay = make_relay(exchange, gateway, connection, client, head, content_length)
        if relay.changes_length:
            content_length = None
        if exchange.is_stream:
            client.set_read_timeout(upstream_head.stream_read_timeout_s(exchange.plan, exchange.read_timeout_s))
        elif upstream_head.waits_for_event(exchange):  # in vain: there is no stream
            client.set_read_timeout(upstream_head.head_timeout_s(exchange))
        exchange.upload.keep_no_longer()
        exchange.relay = relay
        exchange.forget_way_up()
        self._send_head(head, content_length, has_body=has_body)
        relay.send_by(connection.piece_sender, connection.chunk_passer)
        self._clock = make_clock(relay, gateway, asked_at=client.asked_at)
        if is_dropped:
            relay.stop(Ending.COMPLETE)
        elif connection is GONE:
            relay.detach()
        elif connection.is_blocked:  # by what was sent before: it will not say so again
            relay.client_blocked()
        return receiver_of(relay, exchange.chains, exchange.crash)

    def answer(self, answer: Answer, ending: Ending) -> None:
        """Answer in the upstream's place; the status that is counted and logged is the true one."""
        exchange = self._exchange
        if exchange.ending is not None:
            return
        exchange.drop_upstream()
        status = None
        if refusal.is_turned(answer.status, exchange.request, exchange.stream_policy):
            status, answer = answer.status, refusal.as_event(answer, exchange.stream_policy)
            self._gateway.accounts.refused_by_event()
        head = self._gateway.head_of(answer)
        try:
            phases.respond(exchange.chains, exchange, head)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and the client answered
            exchange.report_defect(error)
            status, answer, ending = None, answers.page(500), Ending.GATEWAY_ERROR
            head = self._gateway.head_of(answer)
        content_length = None if head.status == 304 else len(answer.body)
        if self._send_head(head, content_length, has_body=True, status=status) and answer.body:
            exchange.answer_bytes = len(answer.body)
            exchange.connection.send_piece(answer.body)
        exchange.connection.end_body()
        exchange.finish(ending)

    def drop_held(self) -> None:
        """Look no further into a stream whose head is held back: it is not wanted any more."""
        if self._held_head is not None:
            self._held_head.peek.stop()
            self._held_head = None

    def ended(self) -> None:
        """Let go of what runs beside the exchange."""
        if self._clock is not None:
            self._clock.stop()

    def _send_head(
        self, head: ResponseHead, content_length: int | None, *, has_body: bool, status: int | None = None
    ) -> bool:
        exchange = self._exchange
        content_length, has_body = fit_body(exchange.request.method, head.status, content_length, has_body=has_body)
        exchange.status = head.status if status is None else status
        self._gateway.accounts.response_begun(exchange)
        exchange.connection.send_head(head, content_length, has_body=has_body)
        return has_body
