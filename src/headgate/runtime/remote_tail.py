"""Control's end of a live tail: what a worker has sent ahead, for one reader of the Admin API.

Invariant: the worker may send another batch only when one has been read, so no more than ``WINDOW_BATCHES`` wait here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from headgate.admin.stream_inquiry import Passed, TailBroken
from headgate.runtime.stream_messages import ReadTail, StopTail, StreamCommand, TailBatch


class RemoteTail:
    """The :class:`~headgate.admin.stream_inquiry.LiveTail` number ``number`` of one worker.

    ``send`` takes what the worker is to be told; ``on_close`` is called with the number, once.
    """

    def __init__(
        self, number: int, send: Callable[[StreamCommand], None], *, on_close: Callable[[int], object]
    ) -> None:
        self.number = number
        self._send = send
        self._on_close = on_close
        self._batches: deque[TailBatch] = deque()
        self._more = asyncio.Event()
        self._has_read = False
        self._broken: str | None = None
        self._is_over = False
        self.is_stopping = asyncio.Event()

    def add(self, batch: TailBatch) -> None:
        """Take what the worker sent."""
        self._batches.append(batch)
        self._more.set()

    def break_off(self, why: str) -> None:
        """Hear that nothing more comes."""
        self._broken = why
        self._more.set()

    async def read(self) -> Passed:
        """Give what has passed since the last time, waiting for something; raises TailBroken. It may be cancelled."""
        if self._has_read:
            self._has_read = False
            self._send(ReadTail(self.number))
        while not self._batches:
            if self._broken is not None:
                raise TailBroken(self._broken)
            self._more.clear()
            await self._more.wait()
        batch = self._batches.popleft()
        self._has_read = True
        self._is_over = batch.ending is not None
        return Passed(batch.items, batch.ending)

    def close(self) -> None:
        """Look on no longer."""
        self._on_close(self.number)
        if not self._is_over:
            self._send(StopTail(self.number))
