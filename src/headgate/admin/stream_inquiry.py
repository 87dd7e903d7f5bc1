"""What the Admin API asks the workers about open streams, and what it gets to know.

Invariant: every question is answered in bounded time; a worker that says nothing is named instead of waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from headgate.stream.ending import Ending
from headgate.stream.tail import TailItem

Row = dict[str, object]
"""A stream as it is shown: JSON values by field."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process: its slot's number, and its process id."""

    worker: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which streams are asked for: those that have all that is not None. ``client`` is an address."""

    route: str | None = None
    client: str | None = None
    consumer: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The oldest of the streams found, and how many there are in all, without those of ``missing_workers``."""

    rows: Sequence[Row]
    total: int
    missing_workers: Sequence[Worker]


@dataclass(frozen=True, slots=True)
class Passed:
    """What passed on a stream. ``ending``: it has ended so, and there is no more."""

    items: Sequence[TailItem]
    ending: Ending | None


class NoSuchStream(Exception):
    """No worker that answered has the stream; one of ``missing_workers`` may."""

    def __init__(self, missing_workers: Sequence[Worker]) -> None:
        super().__init__("no such stream")
        self.missing_workers = missing_workers


class TailRefused(Exception):
    """The stream is there and cannot be looked at. ``is_busy``: for now."""

    def __init__(self, text: str, *, is_busy: bool) -> None:
        super().__init__(text)
        self.is_busy = is_busy


class TailBroken(Exception):
    """There is nobody left to say what passes; the text says why."""


class LiveTail(Protocol):
    """What passes on one stream, for one reader.

    ``is_stopping`` is set when the process stops: a reader that does not read is not to be waited for.
    """

    is_stopping: asyncio.Event

    async def read(self) -> Passed:
        """Give what has passed since the last time, waiting for something; raises TailBroken. It may be cancelled."""

    def close(self) -> None:
        """Look on no longer."""


class Streams(Protocol):
    """The streams of all workers."""

    async def search(self, wanted: Wanted, limit: int | None) -> Listing:
        """Give the streams that are wanted, the oldest first, at most ``limit``."""

    async def get(self, stream_id: str) -> Row:
        """Give one stream; raises NoSuchStream."""

    async def kill(self, stream_id: str) -> Ending:
        """End a stream at once, give its ending; raises NoSuchStream."""

    async def tail(self, stream_id: str, *, with_data: bool) -> LiveTail:
        """Look on from now on; raises NoSuchStream and TailRefused."""


def iso_time(seconds: float) -> str:
    """Write seconds since 1970 as ISO 8601, UTC, milliseconds, as the access log does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
