"""The clocks of one event stream: its one entry in the worker's timer wheel.

Nothing is done per event: a look compares the stamps that the relay keeps anyway. While the client blocks every clock
rests, and none is charged with that time. A keep-alive moves no clock of the upstream's.
"""

from __future__ import annotations

import random

from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay
from headgate.timer_wheel import UNSCHEDULED, TimerWheel

END_WITHIN_S = 5.0
"""How long a stream that is due to end may take to reach a boundary before it is cut."""


class StreamClock:
    """See the module. ``first_event_s`` counts from ``asked_at``, all else from ``now``; both in the wheel's time."""

    __slots__ = ("_asked_at", "_began", "_cut_at", "_duration_s", "_relay", "_silent_from", "_wheel", "wheel_slot")

    def __init__(self, relay: EventStreamRelay, wheel: TimerWheel, *, asked_at: float, now: float) -> None:
        policy = relay.policy
        self._relay = relay
        self._wheel = wheel
        self._asked_at = asked_at
        self._began = now
        self._cut_at = 0.0  # when it is cut, if it has reached its longest duration; blocked time comes on top
        self._silent_from = now  # the last keep-alive, or the last look at a client that blocked
        self._duration_s = policy.max_duration_s - random.uniform(0, policy.max_duration_jitter_s)  # noqa: S311 - spreads load
        self.wheel_slot = UNSCHEDULED

    def start(self) -> None:
        """Begin, if there is anything to look at."""
        again = self._next(self._began)
        if again is not None:
            self._wheel.schedule(self, again)

    def stop(self) -> None:
        """Look no more."""
        self._wheel.cancel(self)

    def check_deadline(self, now: float) -> float | None:
        """Do what is due; give the time of the next look, None once the stream has ended."""
        relay = self._relay
        if relay.ending is not None:
            return None
        if relay.blocked_since:
            self._silent_from = now
            return now + 1.0
        self._keep_alive(now)
        ending = self._due_ending(now)
        if ending is Ending.MAX_DURATION:
            self._end_soon(now)
        elif ending is not None:
            relay.stop(ending)
        return self._next(now)

    def _end_soon(self, now: float) -> None:
        relay = self._relay
        if relay.is_detached:
            relay.stop(Ending.MAX_DURATION)  # no event is cut for anybody
        elif not self._cut_at:
            self._cut_at = now + END_WITHIN_S - relay.blocked_s
            relay.end_soon(Ending.MAX_DURATION)
        elif now >= self._cut_at + relay.blocked_s:
            relay.stop(relay.due_ending or Ending.MAX_DURATION)

    def _keep_alive(self, now: float) -> None:
        if self._keepalive_due(now) <= now and self._relay.keep_alive():
            self._silent_from = now

    def _keepalive_due(self, now: float) -> float:
        policy = self._relay.policy
        if not policy.keepalive_s or self._relay.untouched is not None:
            return now + 3600.0
        return max(self._relay.sent_at, self._silent_from) + policy.keepalive_s

    def _due_ending(self, now: float) -> Ending | None:
        relay, policy = self._relay, self._relay.policy
        has_begun = bool(relay.last_event_at)
        if policy.first_event_s and not has_begun and now >= self._asked_at + policy.first_event_s + relay.blocked_s:
            return Ending.FIRST_EVENT_TIMEOUT
        if policy.event_gap_s and has_begun and now >= relay.last_event_at + policy.event_gap_s:
            return Ending.UPSTREAM_STALL
        if policy.max_duration_s and now >= self._began + self._duration_s + relay.blocked_s:
            return Ending.MAX_DURATION
        return None

    def _next(self, now: float) -> float | None:
        relay, policy = self._relay, self._relay.policy
        if relay.ending is not None:
            return None
        dues: list[float] = []
        if policy.keepalive_s and relay.untouched is None:
            due = self._keepalive_due(now)
            dues.append(due if due > now else now + policy.keepalive_s)  # it may not be written now
        if policy.first_event_s and not relay.last_event_at:
            dues.append(self._asked_at + policy.first_event_s + relay.blocked_s)
        if policy.event_gap_s:
            dues.append((relay.last_event_at or now) + policy.event_gap_s)
        if policy.max_duration_s:
            dues.append((self._cut_at or self._began + self._duration_s) + relay.blocked_s)
        return min(dues, default=None)
