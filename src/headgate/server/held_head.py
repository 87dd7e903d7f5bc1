"""A response's head that is held back until its stream's first meaningful event has been looked at (``stream-guard.peek``)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from headgate.plugins.api import Answer
from headgate.server import answers, upstream_head
from headgate.stream.ending import Ending
from headgate.stream.peek import Peek, Verdict
from headgate.stream.peek_rules import PeekRule, PeekRules
from headgate.wire.request import ResponseHead
from headgate.wire.sse import RawEvent

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange
    from headgate.server.gateway import Gateway
    from headgate.upstream.http1_client import Http1Client

REQUEST_BYTES = 1024 * 1024
"""How much of a request's body is kept, so that it can be sent to another target; with more, there is no other."""


class HeldHead:
    """See the module. ``peek`` takes the body until it has decided; nothing has been sent to the client until then.

    The head has come, so its stream's read timeout holds; and a head is held no longer than its first event may take.
    """

    __slots__ = ("_client", "_content_length", "_exchange", "_gateway", "_head", "peek")

    def __init__(
        self,
        exchange: Exchange,
        gateway: Gateway,
        client: Http1Client,
        head: ResponseHead,
        content_length: int | None,
        rules: PeekRules,
    ) -> None:
        self._exchange = exchange
        self._gateway = gateway
        self._client = client
        self._head = head
        self._content_length = content_length
        now = gateway.clock()
        if first_s := exchange.stream_policy.first_event_s:
            left_s = max(client.asked_at + first_s - now, 0.0)
            rules = replace(rules, timeout_s=min(rules.timeout_s, left_s))
        client.set_read_timeout(upstream_head.stream_read_timeout_s(exchange.plan, exchange.read_timeout_s))
        self.peek = Peek(rules, self, gateway.wheel, now=now)

    def peek_passed(self, verdict: Verdict, held: bytes) -> None:
        """Send the head and what was held, and let the relay take the rest."""
        self._gateway.accounts.peeked(verdict.value)
        receiver = self._exchange.reply.pass_on(self._head, self._content_length, has_body=True)
        self._client.hand_body_to(receiver)
        self.peek.next_taker = receiver
        if held:
            receiver.piece_received(held)

    def peek_matched(self, rule: PeekRule, event: RawEvent | None) -> None:
        """Send the request to the next target, if the rule wants that and there is one, else answer."""
        if event is None:
            self._exchange.dispatch.client = None  # its response has ended: it is back in the pool, or closed
        if rule.next_upstream and self._exchange.try_elsewhere():
            self._gateway.accounts.peeked("next_upstream")
            return
        self._gateway.accounts.peeked("answered")
        self._exchange.reply.answer(_answer(rule.status, event), Ending.UPSTREAM_UNREACHABLE)


def _answer(status: int, event: RawEvent | None) -> Answer:
    """Give what the event says, if that is JSON, under the rule's status; else the usual page."""
    if event is None:
        return answers.page(status)
    try:
        json.loads(event.data)
    except (ValueError, RecursionError):
        return answers.page(status)
    return Answer(status, event.data + b"\n", ((b"Content-Type", b"application/json"),))
