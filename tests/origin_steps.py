"""A stream that goes on only as far as the test confirms what it has seen.

Promptness by cause instead of by clock: the next event does not exist before the test has the one before it, so a
gateway that holds an event back stops the test for good, and one that does not passes on a machine of any speed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

from tests.origin_wire import Fields, Received, Wire

Framing = Literal["chunked", "length", "close"]
End = Literal["proper", "fin", "rst", "hold"]


class Gate:
    """Opened once by the test, from any thread; waited for by handlers."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self.is_open = False

    def open(self) -> None:
        """Let everybody through, now and later."""
        self.is_open = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait until the gate is open."""
        self._loop = asyncio.get_running_loop()
        if not self.is_open:  # an `open` after this line finds the loop
            await self._event.wait()


class Steps:
    """The handler behind ``Origin.events``: sends step 0, and step n + 1 once ``confirm(n)`` was called.

    ``framing`` is how the body is delimited: ``chunked``, ``length`` (a Content-Length) or ``close`` (until FIN). When
    the last step is confirmed the body ends as ``end`` says: ``proper`` for its framing; ``fin`` or ``rst`` cut the
    connection (a cut, except for ``fin`` with ``close``); ``hold`` waits for the peer to go. Each request sees the
    steps from the start; confirmations are shared. ``sent_at`` has a ``time.monotonic()`` for each step sent.
    """

    def __init__(self, steps: Sequence[bytes], *, framing: Framing, end: End, fields: Sequence[Fields]) -> None:
        self.steps = tuple(steps)
        self.framing = framing
        self.end = end
        self.fields = tuple(fields)
        self.sent_at: list[float] = []
        self._confirmed = tuple(Gate() for _ in steps)

    def confirm(self, step: int) -> None:
        """Say that step ``step`` (from 0) has arrived; opens the way to the next one."""
        self._confirmed[step].open()

    def confirm_all(self) -> None:
        """Let the stream run to its end."""
        for gate in self._confirmed:
            gate.open()

    async def __call__(self, request: Received, wire: Wire) -> None:
        """Answer one request."""
        del request
        await wire.head(200, *self.fields, *self._framing_fields())
        for step, confirmed in zip(self.steps, self._confirmed, strict=True):
            self.sent_at.append(time.monotonic())
            await (wire.chunk(step) if self.framing == "chunked" else wire.send(step))
            await confirmed.wait()
        await self._finish(wire)

    def _framing_fields(self) -> list[Fields]:
        match self.framing:
            case "chunked":
                return [(b"Transfer-Encoding", b"chunked")]
            case "length":
                return [(b"Content-Length", b"%d" % sum(map(len, self.steps)))]
            case "close":
                return [(b"Connection", b"close")]

    async def _finish(self, wire: Wire) -> None:
        match self.end:
            case "proper" if self.framing == "chunked":
                await wire.last_chunk()
            case "proper" if self.framing == "length":
                pass
            case "proper" | "fin":
                wire.fin()
            case "rst":
                wire.rst()
            case "hold":
                await wire.gone()
