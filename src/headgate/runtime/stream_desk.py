"""The streams of all workers as the Admin API sees them: every worker is asked, and what they answer put together.

Invariant: a worker that does not answer is left out and named, and holds nobody else's answer back for longer than
:data:`~headgate.runtime.worker_desk.ANSWER_S`; a stream that another worker has is answered for at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from headgate.admin.stream_inquiry import (
    Listing,
    LiveTail,
    NoSuchStream,
    Row,
    TailRefused,
    Wanted,
    Worker,
    iso_time,
)
from headgate.runtime.remote_tail import RemoteTail
from headgate.runtime.stream_messages import MAX_TAILS, StreamCommand
from headgate.runtime.worker_desk import SilentError, WorkerDesk
from headgate.server.stream_table import Search, StreamRow
from headgate.stream.ending import Ending

Found = TypeVar("Found")


class StreamDesk:
    """The :class:`~headgate.admin.stream_inquiry.Streams` of the workers that have joined."""

    def __init__(self) -> None:
        self._desks: list[WorkerDesk] = []

    def join(self, worker: int, pid: int, started: float, *, send: Callable[[StreamCommand], None]) -> WorkerDesk:
        """Add a worker; what it says is to be given to its desk."""
        desk = WorkerDesk(worker, pid, started, send)
        self._desks.append(desk)
        return desk

    def leave(self, desk: WorkerDesk) -> None:
        """Take a worker out."""
        self._desks.remove(desk)
        desk.leave()

    def close(self) -> None:
        """End all tails: the process stops."""
        for desk in self._desks:
            desk.stop()

    # -- Streams ----------------------------------------------------------------------------------------------------------

    async def search(self, wanted: Wanted, limit: int | None) -> Listing:
        """Give the streams that are wanted, the oldest first, at most ``limit``."""
        those = Search(None, wanted.route, wanted.client, wanted.consumer, limit)
        heard = await self._ask(lambda desk: desk.search(those))
        rows = [(row, desk) for desk, (found, _) in heard.answers for row in found]
        rows.sort(key=lambda pair: (pair[0].opened_at, pair[0].id))
        return Listing(self._shown(rows[:limit]), sum(total for _, (_, total) in heard.answers), heard.missing)

    async def get(self, stream_id: str) -> Row:
        """Give one stream; raises NoSuchStream."""
        that = Search(id=stream_id)
        desk, (rows, _) = await self._find(lambda desk: desk.search(that), lambda answer: bool(answer[0]))
        return self._shown([(rows[0], desk)])[0]

    async def kill(self, stream_id: str) -> Ending:
        """End a stream at once, give its ending; raises NoSuchStream."""
        _, ending = await self._find(lambda desk: desk.kill(stream_id), lambda ending: ending is not None)
        assert ending is not None
        return ending

    async def tail(self, stream_id: str, *, with_data: bool) -> LiveTail:
        """Look on from now on; raises NoSuchStream and TailRefused."""
        desk, tail = await self._find(
            lambda desk: desk.tail(stream_id, with_data=with_data), lambda answer: answer != "unknown"
        )
        if isinstance(tail, RemoteTail):
            return tail
        if tail == "too_many":
            raise TailRefused(f"{MAX_TAILS} tails are open on worker {desk.worker} already", is_busy=True)
        raise TailRefused("the stream's events cannot be read: it is compressed, or not of events", is_busy=False)

    # -- asking -----------------------------------------------------------------------------------------------------------

    async def _find(
        self, ask: Callable[[WorkerDesk], Coroutine[Any, Any, Found]], is_found: Callable[[Found], bool]
    ) -> tuple[WorkerDesk, Found]:
        """Give the first answer in which something is found. Raises NoSuchStream."""
        heard = await self._ask(ask, is_enough=is_found)
        for desk, answer in heard.answers:
            if is_found(answer):
                return desk, answer
        raise NoSuchStream(heard.missing)

    async def _ask(
        self,
        ask: Callable[[WorkerDesk], Coroutine[Any, Any, Found]],
        *,
        is_enough: Callable[[Found], bool] = lambda _: False,
    ) -> _Heard[Found]:
        """Ask every worker; wait for all of them, or until one answer is enough."""
        heard: _Heard[Found] = _Heard([], [])
        asking = {asyncio.create_task(ask(desk), name=f"ask-{desk.worker}"): desk for desk in self._desks}
        try:
            waiting = set(asking)
            while waiting and not any(is_enough(answer) for _, answer in heard.answers):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    heard.add(asking[task], task)
        finally:
            for task in asking:
                task.cancel()
        return heard

    def _shown(self, rows: Iterable[tuple[StreamRow, WorkerDesk]]) -> list[Row]:
        newest = {desk.worker: desk for desk in sorted(self._desks, key=lambda desk: desk.started)}
        return [
            {
                **msgspec.structs.asdict(row),
                "opened_at": iso_time(row.opened_at),
                "worker": desk.worker,
                "pid": desk.pid,
                "generation": "new" if newest.get(desk.worker, desk) is desk else "old",
            }
            for row, desk in rows
        ]


@dataclass(frozen=True, slots=True)
class _Heard(Generic[Found]):
    """What the workers said that answered, and which did not."""

    answers: list[tuple[WorkerDesk, Found]]
    missing: list[Worker]

    def add(self, desk: WorkerDesk, task: asyncio.Task[Found]) -> None:
        try:
            self.answers.append((desk, task.result()))
        except SilentError:
            self.missing.append(Worker(desk.worker, desk.pid))
