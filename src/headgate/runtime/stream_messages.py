"""What control and a worker say to each other about open streams, over the link.

    control                                          worker
       ──▶ ListStreams(number, search)
       ◀── StreamRows(number, rows) …, total in the last
       ──▶ KillStream(number, id)
       ◀── StreamKilled(number, ending)
       ──▶ StartTail(number, id)
       ◀── TailStarted(number, refusal)
       ◀── TailBatch(number, items, ending)          at most WINDOW_BATCHES that are not answered by
       ──▶ ReadTail(number)                          one batch was read by whoever tails
       ──▶ StopTail(number)

``number`` is control's, and each once on a link. Invariant: an answer never waits for a reader of the Admin API: what he
does not read stays in the worker, in the tail's own bounded queue.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.server.stream_table import Search, StreamRow
from headgate.stream.ending import Ending
from headgate.stream.tail import TailItem

WINDOW_BATCHES = 2
"""Batches of one tail that may be on their way or with control."""
BATCH_ITEMS = 64
BATCH_BYTES = 64 * 1024
"""A batch is ended by the item that reaches this size; an item holds at most as much."""
MAX_TAILS = 64
"""Tails that a worker has at once."""

TailRefusal = Literal["unknown", "unreadable", "too_many"]
"""Why there is no tail: no such stream; its bytes are compressed or no events; :data:`MAX_TAILS` are open."""


class ListStreams(msgspec.Struct, tag=True, frozen=True):
    """Give the rows of the streams that ``search`` finds, the oldest first."""

    number: int
    search: Search


class KillStream(msgspec.Struct, tag=True, frozen=True):
    """End a stream at once."""

    number: int
    id: str


class StartTail(msgspec.Struct, tag=True, frozen=True):
    """Show what passes on a stream from now on, the events' data only ``with_data``."""

    number: int
    id: str
    with_data: bool


class ReadTail(msgspec.Struct, tag=True, frozen=True):
    """One more batch of the tail may be sent."""

    number: int


class StopTail(msgspec.Struct, tag=True, frozen=True):
    """Nobody reads the tail any more."""

    number: int


class StreamRows(msgspec.Struct, tag=True, frozen=True):
    """Some of the rows; ``total`` is how many streams were found, in the last of these messages and None in the others."""

    number: int
    rows: list[StreamRow]
    total: int | None = None


class StreamKilled(msgspec.Struct, tag=True, frozen=True):
    """The stream's ending; None = there is no such stream."""

    number: int
    ending: Ending | None


class TailStarted(msgspec.Struct, tag=True, frozen=True):
    """The tail is there, or why it is not."""

    number: int
    refusal: TailRefusal | None = None


class TailBatch(msgspec.Struct, tag=True, frozen=True):
    """What passed. ``ending``: the stream has ended so, and this batch is the tail's last."""

    number: int
    items: list[TailItem]
    ending: Ending | None = None


StreamCommand = ListStreams | KillStream | StartTail | ReadTail | StopTail
StreamReport = StreamRows | StreamKilled | TailStarted | TailBatch
