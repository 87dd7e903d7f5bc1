"""Looking into a stream's first meaningful event while its head is still held back.

A peek takes the body in the relay's place until it has decided, exactly once: pass everything on as it came, or hand
the stream to whoever knows what else to do. It decides at the first meaningful event, at the end of the body, after
``timeout_s`` or with ``max_bytes`` held, whichever comes first; a slow or endless start is passed on, never refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from headgate.errors import GatewayError
from headgate.stream.peek_rules import PeekRule, PeekRules
from headgate.timer_wheel import UNSCHEDULED, TimerWheel
from headgate.wire.sse import EventCutter, RawEvent


class Verdict(StrEnum):
    """Why a stream was passed on."""

    PASSED = "passed"
    """Its first meaningful event, or its end, matched no rule."""
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"


class Judge(Protocol):
    """Whoever holds the head back. One of the two is called, once."""

    def peek_passed(self, verdict: Verdict, held: bytes) -> None:
        """Pass the head on, and then the bytes that were held; what follows is told to whoever takes the body then."""

    def peek_matched(self, rule: PeekRule, event: RawEvent | None) -> None:
        """Do what the rule says; ``event`` is the one that matched, None for a stream that ended before any."""


class BodyTaker(Protocol):
    """Whoever takes the body after a peek that has passed."""

    def response_ended(self) -> None:
        """Hear that the framing ended properly."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Hear that the body will not be completed."""


class Peek:
    """See the module. The body's end is told to ``next_taker`` if that was set by :meth:`Judge.peek_passed`."""

    __slots__ = ("_cutter", "_held", "_judge", "_rules", "_wheel", "is_decided", "next_taker", "wheel_slot")

    def __init__(self, rules: PeekRules, judge: Judge, wheel: TimerWheel, *, now: float) -> None:
        self._rules = rules
        self._judge = judge
        self._wheel = wheel
        self._cutter = EventCutter(rules.max_bytes)
        self._held = bytearray()
        self.is_decided = False
        self.next_taker: BodyTaker | None = None
        self.wheel_slot = UNSCHEDULED
        wheel.schedule(self, now + rules.timeout_s)

    def piece_received(self, piece: bytes) -> None:
        """Hold a piece, and decide if it says enough."""
        if self.is_decided:
            return
        self._held += piece
        for event in self._cutter.feed(piece):
            if not event.fragment and self._rules.is_meaningful(event):
                rule = self._rules.match(event)
                if rule is None:
                    self._pass(Verdict.PASSED)
                else:
                    self._decide()
                    self._judge.peek_matched(rule, event)
                return
        if len(self._held) >= self._rules.max_bytes:
            self._pass(Verdict.TOO_LARGE)

    def chunks_received(self, data: bytes) -> bool:
        """Have what is held parsed."""
        del data
        return False

    def response_ended(self) -> None:
        """Decide about a stream that ended before its first meaningful event, or tell of its end."""
        if self._ends_empty() and self.next_taker is not None:
            self.next_taker.response_ended()

    def upstream_failed(self, error: GatewayError) -> None:
        """Decide about a stream that broke before its first meaningful event, or tell of it."""
        if self._ends_empty() and self.next_taker is not None:
            self.next_taker.upstream_failed(error)

    def _ends_empty(self) -> bool:
        """Decide, if that is still to be done; say whether the end is to be told on."""
        if not self.is_decided:
            rule = self._rules.match_empty()
            if rule is not None:
                self._decide()
                self._judge.peek_matched(rule, None)
                return False
            self._pass(Verdict.PASSED)
        return True

    def check_deadline(self, now: float) -> float | None:  # noqa: ARG002 - there is one deadline, and this is it
        """Pass on what is slow."""
        if not self.is_decided:
            self._pass(Verdict.TIMEOUT)
        return None

    def stop(self) -> None:
        """Decide nothing any more."""
        if not self.is_decided:
            self._decide()

    def _pass(self, verdict: Verdict) -> None:
        self._decide()
        self._judge.peek_passed(verdict, bytes(self._held))

    def _decide(self) -> None:
        self.is_decided = True
        self._wheel.cancel(self)
