"""The soak's visitors: each asks for streams of its kind, treats them in its manner, and checks everything that comes.

``python -m bench.soak.visitors PORT PROCESS PROCESSES VISITORS KINDS`` plays every PROCESSES-th visitor, from number PROCESS on. It answers
``{"visitors": n}`` and begins. Orders: ``tell`` answers the tally so far; ``finish`` has everybody leave and answers the last tally.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop
from bench.load.orders import Message, answer, on_order
from bench.soak.kinds import KEEPALIVE_S, Manner, cast
from bench.soak.visit import ANSWERS_OF_A_GATEWAY, Visit, connect

ARRIVALS_PER_S = 125
"""Of this process's visitors, at the beginning."""
CONNECT_WITHIN_S = 20.0
HEAD_WITHIN_S = 30.0
SILENCE_S = 30.0
"""Twice the time after which headgate by default sends a comment on a silent stream."""
QUIET_SILENCE_S = KEEPALIVE_S + 10.0
GIVEN_UP_WITHIN_S = 20.0
"""How long a visitor that read nothing, and does so again, gets bytes at most: the gateway has given it up meanwhile."""
KEPT_VIOLATIONS = 50


@dataclass(slots=True)
class Tally:
    """What the visitors of a process have seen so far; sums, and of the ``violations`` the first in words.

    ``ends`` by who ended and how: ``left`` (the visitor), ``proper``, ``fin`` (cut), ``rst``.
    """

    connections: int = 0
    streams: int = 0
    events: int = 0
    keepalives: int = 0
    resumed: int = 0
    by_retry: int = 0
    violated: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    announced: Counter[str] = field(default_factory=Counter)
    retry_ms: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def violation(self, what: str) -> None:
        """Count what must not be."""
        self.violated += 1
        if len(self.violations) < KEPT_VIOLATIONS:
            self.violations.append(f"{time.strftime('%H:%M:%S')} {what}")

    def tell(self) -> dict[str, Any]:
        """Give it as JSON; of the retry times the smallest and the largest."""
        told: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        told["retry_ms"] = [min(self.retry_ms), max(self.retry_ms)] if self.retry_ms else []
        return told


class Visitor:
    """Somebody who comes again and again. ``after`` is the last event of ``key`` that was received, -1 before the first."""

    def __init__(self, crowd: Crowd, number: int, kind: str, manner: Manner) -> None:
        self.crowd = crowd
        self.kind = kind
        self.manner = manner
        self.after = -1
        self._number = number
        self._stories = 0
        self._task: asyncio.Task[None] | None = None
        self.key = b""
        self._begin_story()

    def _begin_story(self) -> None:
        self.key = b"%d-%d" % (self._number, self._stories)
        self._stories += 1
        self.after = -1

    def come_in(self, delay_s: float) -> None:
        """Come after so many seconds."""
        self.crowd.loop.call_later(delay_s, self._come)

    def _come(self) -> None:
        if not self.crowd.is_leaving:
            self._task = self.crowd.loop.create_task(self._connect())

    async def _connect(self) -> None:
        tally = self.crowd.tally
        tally.connections += 1
        tally.resumed += self.after >= 0
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await connect(Visit(self), self.crowd.loop, self.crowd.port)
        except OSError as error:
            tally.violation(f"{self}: no connection: {error!r}")
            self.come_in(1.0)

    def visit_ended(self, visit: Visit, how: str) -> None:
        """Judge a visit that has ended, and come again."""
        check, tally = visit.check, self.crowd.tally
        self.crowd.visits.discard(visit)
        tally.ends[how] += 1
        tally.events += check.events
        tally.keepalives += check.keepalives
        if visit.status:
            tally.statuses[str(visit.status)] += 1
        tally.streams += visit.status == 200
        if how != "left":
            self._judge(visit, how)
        for problem in check.problems[:3]:
            tally.violation(f"{self}: {problem}")
        self._come_again(visit, how)

    def _judge(self, visit: Visit, how: str) -> None:
        check, tally = visit.check, self.crowd.tally
        if visit.status == 200:
            check.end(properly=how == "proper")
        elif visit.status == 0:
            tally.violation(f"{self}: {how} before a response, {visit.age_s:.2f} s behind the request")
        elif visit.status not in ANSWERS_OF_A_GATEWAY:
            tally.violation(f"{self}: status {visit.status}")
        if check.announced is not None:
            tally.announced[check.announced] += 1
        if check.retry_ms is not None:
            tally.retry_ms.append(check.retry_ms)

    def _come_again(self, visit: Visit, how: str) -> None:
        check = visit.check
        self.after = check.number
        if check.is_final or check.problems:
            self._begin_story()
        if check.retry_ms is not None and how != "left":
            self.crowd.tally.by_retry += 1
            self.come_in(check.retry_ms / 1000)
        else:
            self.come_in(random.uniform(0.2, 1.2))

    def silence_s(self) -> float:
        """Give how long nothing at all may come."""
        return QUIET_SILENCE_S if self.kind in {"quiet", "patient"} else SILENCE_S

    def __str__(self) -> str:
        return f"{self.kind} {self.key.decode()}, {self.manner.name.lower()}"


class Crowd:
    """All visitors of this process, and their visits that are open."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, roles: list[tuple[int, tuple[str, Manner]]]) -> None:
        self.loop = loop
        self.port = port
        self.tally = Tally()
        self.visits: set[Visit] = set()
        self.is_leaving = False
        self._looked_at = loop.time()
        for number, (kind, manner) in roles:
            Visitor(self, number, kind, manner).come_in(random.uniform(0, len(roles) / ARRIVALS_PER_S))
        loop.call_later(1.0, self._look)

    def obey(self, message: Message) -> None:
        """Take an order."""
        if message["order"] == "finish":
            self.is_leaving = True
            for visit in list(self.visits):
                visit.leave()
        self.loop.call_soon(self._tell)  # closed connections report the loss in this turn

    def _tell(self) -> None:
        told = self.tally.tell()
        told["open"] = len(self.visits)
        told["events"] += sum(visit.check.events for visit in self.visits)
        answer(**told)

    def _look(self) -> None:
        """See who gets nothing; not when this process itself was kept from running."""
        now = self.loop.time()
        if now - self._looked_at < 2.0:
            for visit in list(self.visits):
                self._look_at(visit, now)
        self._looked_at = now
        self.loop.call_later(1.0, self._look)

    def _look_at(self, visit: Visit, now: float) -> None:
        visitor = visit.visitor
        silent_s = now - visit.heard_at
        if visit.has_asked and not visit.status and silent_s > HEAD_WITHIN_S:
            self.tally.violation(f"{visitor}: no response for {silent_s:.0f} s")
        elif visit.status and not visit.is_paused and silent_s > visitor.silence_s():
            self.tally.violation(f"{visitor}: nothing came for {silent_s:.0f} s")
        elif visit.resumed_at and now - visit.resumed_at > GIVEN_UP_WITHIN_S:
            self.tally.violation(f"{visitor}: read nothing for long, and is still served")
        else:
            return
        visit.leave()


def main(port: int, process: int, processes: int, visitors: int, *, kinds: list[str]) -> None:
    """Visit until stdin ends."""
    random.seed(process)
    loop = uvloop.new_event_loop()
    roles = list(enumerate(cast(visitors, kinds)))[process::processes]
    crowd = Crowd(loop, port, roles)
    answer(visitors=len(roles))
    on_order(loop, crowd.obey)
    loop.run_forever()


if __name__ == "__main__":
    place = [int(argument) for argument in sys.argv[1:5]]
    main(*place, kinds=sys.argv[5].split(","))
