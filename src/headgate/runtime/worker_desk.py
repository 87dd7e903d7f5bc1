"""Control's questions to one worker about its streams, and the tails that are open there.

Invariants: nobody waits longer than :data:`ANSWER_S` for the worker's next word; at most :data:`MAX_UNANSWERED` questions wait with
it, those included that nobody waits for any more. What it says is taken without waiting, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from headgate.runtime.remote_tail import RemoteTail
from headgate.runtime.stream_messages import (
    KillStream,
    ListStreams,
    StartTail,
    StopTail,
    StreamCommand,
    StreamKilled,
    StreamReport,
    StreamRows,
    TailBatch,
    TailRefusal,
    TailStarted,
)
from headgate.server.stream_table import Search, StreamRow
from headgate.stream.ending import Ending

ANSWER_S = 2.0
"""How long a worker may take for its next word."""
ANSWERS_S = 10.0
"""How long it may take for all of them: a list comes in parts."""
MAX_UNANSWERED = 64


class SilentError(Exception):
    """The worker does not answer."""


class _Question:
    """What a worker says to one question; ``is_abandoned``: nobody waits for it any more."""

    __slots__ = ("heard", "is_abandoned", "reports")

    def __init__(self) -> None:
        self.reports: list[StreamReport] = []
        self.heard = asyncio.Event()
        self.is_abandoned = False


class WorkerDesk:
    """One worker that has joined. ``send`` takes a command for it without waiting, and is not called once it has left.

    ``started`` is when its process began: of two in one slot the one that began later has taken the other's place.
    """

    def __init__(self, worker: int, pid: int, started: float, send: Callable[[StreamCommand], None]) -> None:
        self.worker = worker
        self.pid = pid
        self.started = started
        self._send_command = send
        self._has_left = False
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}
        self._tails: dict[int, RemoteTail] = {}

    # -- the worker's side ------------------------------------------------------------------------------------------------

    def take(self, report: StreamReport) -> None:
        """Take what the worker says."""
        number = report.number
        if isinstance(report, TailBatch):
            if number in self._tails:
                self._tails[number].add(report)
            return
        question = self._questions.get(number)
        if question is None:
            return
        if not isinstance(report, StreamRows) or report.total is not None:
            del self._questions[number]
        if not question.is_abandoned:
            question.reports.append(report)
            question.heard.set()
        elif isinstance(report, TailStarted) and report.refusal is None:
            self._send(StopTail(number))

    def leave(self) -> None:
        """Hear that there will be no more of it, and tell everybody who waits."""
        self._has_left = True
        questions, self._questions = self._questions, {}
        for question in questions.values():
            question.heard.set()
        for tail in self._tails.values():
            tail.break_off(f"worker {self.worker} (pid {self.pid}) has gone")

    def stop(self) -> None:
        """End all tails: the process stops."""
        for tail in self._tails.values():
            tail.break_off("headgate's control process stops")
            tail.is_stopping.set()

    # -- the questions ----------------------------------------------------------------------------------------------------

    async def search(self, wanted: Search) -> tuple[list[StreamRow], int]:
        """Give the rows, and how many streams were found. Raises SilentError; a worker that leaves meanwhile has none."""
        rows: list[StreamRow] = []
        for report in await self._ask(next(self._numbers), lambda number: ListStreams(number, wanted)):
            assert isinstance(report, StreamRows)
            rows += report.rows
            if report.total is not None:
                return rows, report.total
        return [], 0

    async def kill(self, stream_id: str) -> Ending | None:
        """End a stream; None = it is not here. Raises SilentError."""
        reports = await self._ask(next(self._numbers), lambda number: KillStream(number, stream_id))
        return next((report.ending for report in reports if isinstance(report, StreamKilled)), None)

    async def tail(self, stream_id: str, *, with_data: bool) -> RemoteTail | TailRefusal:
        """Begin to look at a stream. Raises SilentError."""
        number = next(self._numbers)
        # It is there before the answer is: a batch may come right behind that.
        tail = self._tails[number] = RemoteTail(number, self._send, on_close=self._tails.pop)
        refusal: TailRefusal | None = "unknown"
        try:
            for report in await self._ask(number, lambda number: StartTail(number, stream_id, with_data)):
                assert isinstance(report, TailStarted)
                refusal = report.refusal
            return refusal or tail
        finally:
            if refusal is not None:
                del self._tails[number]

    async def _ask(self, number: int, make: Callable[[int], StreamCommand]) -> list[StreamReport]:
        """Ask and give all that is said to it; less if the worker leaves. Raises SilentError."""
        if len(self._questions) >= MAX_UNANSWERED:
            raise SilentError
        question = self._questions[number] = _Question()
        self._send(make(number))
        try:
            async with asyncio.timeout(ANSWERS_S):
                while number in self._questions:
                    question.heard.clear()
                    async with asyncio.timeout(ANSWER_S):
                        await question.heard.wait()
        except TimeoutError:
            raise SilentError from None
        finally:
            question.is_abandoned = True
        return question.reports

    def _send(self, command: StreamCommand) -> None:
        if not self._has_left:
            self._send_command(command)
