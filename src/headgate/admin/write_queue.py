"""The one way by which the configuration changes while headgate runs.

Invariants: writes are judged one after the other, each against the state that those before it leave, and answered in
that order. Writes that arrive while a batch is under way share the next one: one store transaction and one round to the
workers for all of them. A write is answered when it is stored and every worker has it; a write that is refused, or whose
batch the store does not take, has changed nothing. At most ``limit`` writes wait; further ones answer 503.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from headgate.admin.answers import Outcome, Refusal, error
from headgate.admin.resources import Resources
from headgate.config.change import Change
from headgate.config.store import Store, StoreError, Write
from headgate.config.validation import InvalidConfiguration

Evaluate = Callable[[Resources], Outcome]
"""Judges one write against the state it is given, changing nothing; raises Refusal or InvalidConfiguration (400)."""

CompileCheck = Callable[[Sequence[Change]], None]
"""Raises InvalidConfiguration if the running configuration with these changes could not be compiled."""

Publish = Callable[[Sequence[Change]], Awaitable[None]]
"""Brings changes to every worker; returns when all have them."""


class Committer(Protocol):
    """What the write operations need of a queue."""

    async def commit(self, evaluate: Evaluate) -> Outcome:
        """Judge a write and, if it stores something, make it live. Gives its answer."""


_Waiting = tuple[Evaluate, asyncio.Future[Outcome]]
_Result = Outcome | Exception


class WriteQueue:
    """The Committer over a store.

    ``resources`` is the state as loaded from ``store``; it is brought up to date when a batch is stored, before
    ``publish`` is called. The store is used in a thread of its own; closing it is left to the caller.
    """

    def __init__(
        self,
        resources: Resources,
        store: Store,
        *,
        compile_check: CompileCheck,
        publish: Publish,
        limit: int = 1024,
    ) -> None:
        self.resources = resources
        self._store = store
        self._compile_check = compile_check
        self._publish = publish
        self._limit = limit
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")

    async def commit(self, evaluate: Evaluate) -> Outcome:
        """Judge a write and, if it stores something, make it live. Gives its answer; 503 when closed or full."""
        if self._closed:
            return error(503, "headgate is stopping")
        if len(self._waiting) >= self._limit:
            return error(503, f"{self._limit} writes are waiting already: try again later")
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((evaluate, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="admin-write-queue")
        return await answer

    async def expire(self) -> None:
        """Delete what has expired by now, as one write. To be called when ``resources.next_expiry()`` has come."""
        await self.commit(lambda state: Outcome(200, writes=state.expired(state.clock())))

    async def close(self) -> None:
        """Finish the writes that wait, refuse new ones, end the thread."""
        self._closed = True
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                results = await self._write([evaluate for evaluate, _ in batch])
            except Exception as fault:  # noqa: BLE001 - whoever waits for the answer raises it
                results = [fault] * len(batch)
            for (_, answer), result in zip(batch, results, strict=True):
                _settle(answer, result)

    async def _write(self, batch: Sequence[Evaluate]) -> list[_Result]:
        draft, results = self._judge(batch)
        writes = _writes(results)
        if not writes:
            return results
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._store.commit, writes, draft.counter)
        except StoreError as fault:
            refusal = error(503, str(fault))
            return [refusal if isinstance(result, Outcome) and result.writes else result for result in results]
        self.resources.adopt(draft)
        await self._publish([write.change() for write in writes])
        return results

    def _judge(self, batch: Sequence[Evaluate]) -> tuple[Resources, list[_Result]]:
        """Judge a batch with one compile check; only if that fails, with one for each write."""
        draft = self.resources.draft()
        results = [_attempt(evaluate, draft) for evaluate in batch]
        try:
            self._check(results)
        except InvalidConfiguration:
            return self._judge_each(batch)
        return draft, results

    def _judge_each(self, batch: Sequence[Evaluate]) -> tuple[Resources, list[_Result]]:
        state = self.resources.draft()
        results: list[_Result] = []
        for evaluate in batch:
            draft = state.draft()
            results.append(_attempt(evaluate, draft))
            try:
                self._check(results)
                state = draft
            except InvalidConfiguration as fault:
                results[-1] = error(400, fault.text)
        return state, results

    def _check(self, results: Sequence[_Result]) -> None:
        changes = [write.change() for write in _writes(results)]
        if changes:
            self._compile_check(changes)


def _attempt(evaluate: Evaluate, draft: Resources) -> _Result:
    """Judge one write and, if it is taken, do it on the draft."""
    try:
        outcome = evaluate(draft)
    except Refusal as refusal:
        return refusal.outcome
    except InvalidConfiguration as fault:
        return error(400, fault.text)
    except Exception as fault:  # noqa: BLE001 - goes to the one who asked; the rest of the batch is not to blame
        return fault
    draft.apply(outcome.writes)
    return outcome


def _writes(results: Sequence[_Result]) -> list[Write]:
    return [write for result in results if isinstance(result, Outcome) for write in result.writes]


def _settle(answer: asyncio.Future[Outcome], result: _Result) -> None:
    if answer.done():
        return  # whoever waited was cancelled; the write stands
    if isinstance(result, Outcome):
        answer.set_result(result)
    else:
        answer.set_exception(result)
