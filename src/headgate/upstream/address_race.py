"""Which address of a name is connected to: the first that answers, each started a little after the one before.

Kept to RFC 8305 §5: the next address starts 250 ms after the one before, or at once when one has failed; as soon as
one is connected the others are given up, and what they still open is closed. asyncio has this in its own loop only,
uvloop not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

START_DELAY_S = 0.25
"""RFC 8305's recommended Connection Attempt Delay."""

Connection = TypeVar("Connection")


async def first_connected(
    addresses: Sequence[str],
    connect: Callable[[str], Coroutine[Any, Any, Connection]],
    close: Callable[[Connection], None],
) -> Connection:
    """Give the first connection that ``connect`` makes to one of ``addresses``, of which there is at least one.

    ``close`` is for connections made too late. Raises the OSError that came last when every address has failed; whatever
    else ``connect`` raises ends the race.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    running: set[asyncio.Task[Connection]] = set()
    try:
        return await _race(addresses, connect, running)
    finally:
        for task in running:
            task.add_done_callback(lambda loser: _discard(loser, close))
            task.cancel()


async def _race(
    addresses: Sequence[str],
    connect: Callable[[str], Coroutine[Any, Any, Connection]],
    running: set[asyncio.Task[Connection]],
) -> Connection:
    """Run the race; what is left in ``running`` has lost."""
    waiting = list(addresses)
    failed: OSError | None = None
    while waiting or running:
        if waiting:
            address = waiting.pop(0)
            running.add(asyncio.create_task(connect(address), name=f"connect to {address}"))
        delay_s = START_DELAY_S if waiting else None
        done, _ = await asyncio.wait(running, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            running.discard(task)
            try:
                return task.result()
            except OSError as error:
                failed = error
    assert failed is not None
    raise failed


def _discard(loser: asyncio.Task[Connection], close: Callable[[Connection], None]) -> None:
    if not loser.cancelled() and loser.exception() is None:
        close(loser.result())
