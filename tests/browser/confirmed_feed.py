"""A feed that resumes, whose every event is made only when the page has confirmed the one before it.

So the page proves promptness by cause, and what it has confirmed is the whole truth about lost and doubled events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

from tests.origin import EVENT_STREAM, End, Origin, Received, Wire

CHUNKED = (b"Transfer-Encoding", b"chunked")


class ConfirmedFeed:
    """Serves ``path`` with the events 1 to ``last``, and takes confirmations at ``confirm_path``.

    Event n is ``id: n`` and ``data: event n``. A request with Last-Event-ID goes on behind that event. ``opening`` is
    sent first on every stream. ``ends`` says how the stream ends on which event n is confirmed; others stay open. With
    ``is_eager`` no event waits for a confirmation; ``pause_s`` is between two of them.
    The feed outlives an origin: one that takes another's place goes on with it.
    """

    def __init__(
        self,
        path: str,
        *,
        last: int,
        opening: bytes = b"",
        ends: Mapping[int, End] | None = None,
        is_eager: bool = False,
        pause_s: float = 0.0,
    ) -> None:
        self.path = path
        self.confirm_path = f"{path}/confirm"
        self.requests: list[Received] = []
        self.confirmed: list[int] = []
        self._last = last
        self._opening = opening
        self._ends = dict(ends or {})
        self._is_eager = is_eager
        self._pause_s = pause_s
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def resumed_behind(self) -> list[int | None]:
        """The Last-Event-ID of each request, None where there was none."""
        ids = [request.get(b"last-event-id") for request in self.requests]
        return [None if one is None else int(one) for one in ids]

    def serve_on(self, origin: Origin) -> None:
        """Serve the events there."""
        origin.on(self.path, self._stream)

    def confirm_on(self, origin: Origin) -> None:
        """Take the confirmations there."""
        origin.on(self.confirm_path, self._confirm)

    def go_on_to(self, last: int) -> None:
        """Make the events up to ``last``; from any thread."""
        self._last = last
        self._wake()

    async def _stream(self, request: Received, wire: Wire) -> None:
        self.requests.append(request)
        await wire.head(200, EVENT_STREAM, CHUNKED)
        number = int(request.get(b"last-event-id") or 0)
        await wire.chunk(self._opening or b":\n\n")
        while number not in self._ends:
            number += 1
            await self._until(self._is_due, number)
            await wire.chunk(b"id: %d\ndata: event %d\n\n" % (number, number))
            if not self._is_eager:
                await self._until(self._is_confirmed, number)
            await asyncio.sleep(self._pause_s)
        await _finish(wire, self._ends.pop(number))

    async def _confirm(self, request: Received, wire: Wire) -> None:
        seen = json.loads(await request.body())
        if seen["type"] == "message":
            assert seen["data"] == f"event {seen['id']}", seen
            self.confirmed.append(int(seen["id"]))
        await wire.respond(204)
        self._wake()
        wire.announce()

    def _is_due(self, number: int) -> bool:
        return number <= self._last

    def _is_confirmed(self, number: int) -> bool:
        return number in self.confirmed

    async def _until(self, condition: Callable[[int], bool], number: int) -> None:
        waiting = asyncio.get_running_loop(), asyncio.Event()
        self._waiting.add(waiting)
        try:
            while not condition(number):
                await waiting[1].wait()
                waiting[1].clear()
        finally:
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for loop, event in tuple(self._waiting):
            loop.call_soon_threadsafe(event.set)


async def _finish(wire: Wire, end: End) -> None:
    match end:
        case "proper":
            await wire.last_chunk()
        case "fin":
            wire.fin()
        case "rst":
            wire.rst()
        case "hold":
            await wire.gone()
