"""A child's end of the channel on its loop: orders come in one by one, reports go out.

Invariant: the supervisor's death is seen as the end of the orders.
"""

from __future__ import annotations

import asyncio
import select

import structlog

from headgate.config.problem import ConfigurationError
from headgate.config.store import StoreError
from headgate.runtime.channel import Channel, Message

_log = structlog.get_logger()
_EXPLAINED = (StoreError, ConfigurationError, OSError)
"""Failures whose own text tells a person what to do; others are defects and show where they arose."""


class Orders:
    """Asynchronous iteration over ``(message, descriptors)``; it ends when the supervisor is gone. For one task."""

    def __init__(self, descriptor: int) -> None:
        self._channel = Channel(descriptor)
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Orders:
        """Give itself."""
        return self

    async def __anext__(self) -> tuple[Message, list[int]]:
        """Give the next order; its descriptors are then the caller's."""
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                await self._readable()
                continue
            if received is None:
                raise StopAsyncIteration
            return received

    def are_waiting(self) -> bool:
        """Whether the next order is there already, or the end of all orders."""
        return bool(select.select([self._channel], [], [], 0)[0])

    def report(self, message: Message) -> None:
        """Tell the supervisor. If it is gone there is nobody to tell; the orders' end says so."""
        try:
            self._channel.send(message)
        except OSError:
            return

    def report_failure(self, error: BaseException) -> None:
        """Tell the supervisor, in one line, why this process ends; log where, if it is a defect."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        text = " ".join(str(error).split())
        if not isinstance(error, _EXPLAINED):
            _log.error("failed", exc_info=error)
            text = f"{type(error).__name__}: {text}"
        self.report({"type": "failed", "error": text})

    async def _readable(self) -> None:
        readable = asyncio.Event()
        self._loop.add_reader(self._channel.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(self._channel.fileno())
