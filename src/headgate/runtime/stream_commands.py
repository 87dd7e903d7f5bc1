"""A worker's side of what control asks about streams: list, kill, tail.

Invariants: commands are carried out in the order in which they come, a list in steps with the loop turning in between; one
task sends all answers and batches, and only that task waits for control; a tail's tap is gone when its reader has
left, its stream has ended, or the link has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import structlog

from headgate.runtime.link import LinkClosedError, WorkerLink
from headgate.runtime.stream_messages import (
    BATCH_BYTES,
    BATCH_ITEMS,
    MAX_TAILS,
    WINDOW_BATCHES,
    KillStream,
    ListStreams,
    ReadTail,
    StartTail,
    StopTail,
    StreamCommand,
    StreamKilled,
    StreamReport,
    StreamRows,
    TailBatch,
    TailStarted,
)
from headgate.server.exchange import Exchange
from headgate.server.stream_table import STEP_ROWS, StreamTable
from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay
from headgate.stream.tail import Tail

_log = structlog.get_logger()

Answer = Iterator[StreamReport | None]
"""An answer in the making; None = let the loop turn."""


class Streams(Protocol):
    """What of a gateway is needed here."""

    streams: dict[str, Exchange]
    clock: Callable[[], float]
    is_stopping: bool


class StreamCommands:
    """The commands on the streams of ``gateway``; ``mask``: names of query arguments not to show, lower case.

    ``on_lost`` is called with the number of events that a tail's reader will not see.
    """

    def __init__(self, gateway: Streams, *, mask: Collection[str], on_lost: Callable[[int], None]) -> None:
        self._gateway = gateway
        self._table = StreamTable(gateway.streams, mask=mask)
        self._on_lost = on_lost

    def open(self, link: WorkerLink) -> StreamSession:
        """Give what carries out the commands that come over ``link``."""
        return StreamSession(self._gateway, self._table, link, on_lost=self._on_lost)


class _OpenTail:
    """A tail, and how many batches may be sent of it. ``on_more`` is called with its number when there is more."""

    __slots__ = ("batches", "number", "tail")

    def __init__(
        self,
        number: int,
        relay: EventStreamRelay,
        command: StartTail,
        *,
        wake: Callable[[int], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self.number = number
        self.batches = WINDOW_BATCHES
        self.tail = Tail(relay, with_data=command.with_data, on_more=lambda: wake(number), on_lost=on_lost)

    @property
    def is_ready(self) -> bool:
        return self.batches > 0 and (self.tail.has_more or self.tail.ending is not None)


class StreamSession:
    """One link's commands, from its opening to :meth:`close`."""

    def __init__(
        self, gateway: Streams, table: StreamTable, link: WorkerLink, *, on_lost: Callable[[int], None]
    ) -> None:
        self._gateway = gateway
        self._table = table
        self._link = link
        self._on_lost = on_lost
        self._answers: deque[Answer] = deque()
        self._tails: dict[int, _OpenTail] = {}
        self._ready: dict[int, None] = {}
        self._more = asyncio.Event()

    def take(self, command: StreamCommand) -> None:
        """Take a command; :meth:`run` carries it out."""
        match command:
            case ReadTail(number):
                if number in self._tails:
                    self._tails[number].batches += 1
                    self._wake(number)
            case StopTail(number):
                self._answers.append(self._stop_tail(number))
            case ListStreams():
                self._answers.append(self._list(command))
            case KillStream():
                self._answers.append(self._kill(command))
            case StartTail():
                self._answers.append(self._start_tail(command))
        self._more.set()

    async def run(self) -> None:
        """Answer, until the link ends or this is cancelled."""
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                while self._answers or self._ready:
                    await self._answer()
                    await self._send_batches()
                    await asyncio.sleep(0)
        except LinkClosedError:
            return
        except Exception:  # noqa: BLE001 - control sees that nothing is answered; the table is followed on
            _log.exception("stream commands failed")
            self.close()

    async def flush(self) -> None:
        """Return when all tails of streams that have ended are told so."""
        while any(one.tail.ending is not None for one in self._tails.values()):  # noqa: ASYNC110 - a worker's last moments
            await asyncio.sleep(0.005)

    def close(self) -> None:
        """Take every tap away."""
        for number in list(self._tails):
            self._drop_tail(number)
        self._answers.clear()

    def _wake(self, number: int) -> None:
        self._ready[number] = None
        self._more.set()

    async def _answer(self) -> None:
        """Send the next part of the oldest answer."""
        if not self._answers:
            return
        try:
            report = next(self._answers[0])
        except StopIteration:
            self._answers.popleft()
            return
        if report is not None:
            await self._link.send(report)

    async def _send_batches(self) -> None:
        """Send one batch of each tail that has something and may."""
        ready, self._ready = self._ready, {}
        for number in ready:
            opened = self._tails.get(number)
            if opened is None or not opened.is_ready:
                continue
            items = opened.tail.take(BATCH_ITEMS, BATCH_BYTES)
            ending = None if opened.tail.has_more else opened.tail.ending
            opened.batches -= 1
            self._ready[number] = None
            await self._link.send(TailBatch(number, items, ending))
            if ending is not None:
                self._drop_tail(number)

    def _drop_tail(self, number: int) -> None:
        opened = self._tails.pop(number, None)
        if opened is not None:
            opened.tail.close()

    # -- the commands -------------------------------------------------------------------------------------------------------

    def _list(self, command: ListStreams) -> Answer:
        search = command.search
        found: list[Exchange] = []
        for some in self._table.search(search):
            found += some
            yield None
        found.sort(key=lambda exchange: (exchange.started, exchange.id))
        shown = found[: search.limit]
        for start in range(0, len(shown), STEP_ROWS):
            rows = self._table.rows(
                shown[start : start + STEP_ROWS],
                self._gateway.clock(),
                is_draining=self._gateway.is_stopping,
            )
            yield StreamRows(command.number, rows)
        yield StreamRows(command.number, [], total=len(found))

    def _kill(self, command: KillStream) -> Answer:
        exchange = self._table.get(command.id)
        if exchange is not None:
            exchange.stop(Ending.KILLED)
        yield StreamKilled(command.number, exchange.ending if exchange is not None else None)

    def _start_tail(self, command: StartTail) -> Answer:
        exchange = self._table.get(command.id)
        if exchange is None:
            yield TailStarted(command.number, "unknown")
        elif not isinstance(exchange.relay, EventStreamRelay):
            yield TailStarted(command.number, "unreadable")
        elif len(self._tails) >= MAX_TAILS:
            yield TailStarted(command.number, "too_many")
        else:
            opened = _OpenTail(command.number, exchange.relay, command, wake=self._wake, on_lost=self._on_lost)
            self._tails[command.number] = opened
            opened.tail.open()
            yield TailStarted(command.number)

    def _stop_tail(self, number: int) -> Answer:
        self._drop_tail(number)
        yield None
