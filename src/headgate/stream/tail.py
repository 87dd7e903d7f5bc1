"""A live look at one stream: what passes on it, for somebody who may not keep up.

The stream is never slowed down by it. What is read waits in a queue of at most :data:`MAX_ITEMS` items and
:data:`MAX_BYTES`; while that is full, pieces are not even looked at, and the reader is told how many events it has not
seen. Event numbers are the relay's own count, so they show a gap too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from headgate.stream.block_reader import Block, BlockReader
from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay

MAX_ITEMS = 256
MAX_BYTES = 1024 * 1024
DATA_BYTES = 64 * 1024
"""How much of an event's data is shown."""
_ITEM_BYTES = 128
"""What an item counts for besides the bytes of its event."""


class TailEvent(msgspec.Struct, tag="event", array_like=True, frozen=True):
    """An event. ``number`` counts the stream's events from 1; ``at`` is in seconds since 1970.

    ``since_previous_s``: seconds since the event before, None for the first; ``data`` None: not asked for.
    """

    number: int
    at: float
    since_previous_s: float | None
    event_id: bytes | None
    event_type: bytes
    size: int
    data: bytes | None
    data_cut: bool


class TailComment(msgspec.Struct, tag="comment", array_like=True, frozen=True):
    """A block that no client dispatches: a comment, or a bare id or reconnection time."""

    at: float
    size: int


class TailGap(msgspec.Struct, tag="gap", array_like=True, frozen=True):
    """So many events were not taken down here, because the reader did not keep up."""

    lost: int


TailItem = TailEvent | TailComment | TailGap


class Tail:
    """A tap on ``relay``, from :meth:`open` to :meth:`close`.

    ``on_more`` is called when there is something to take, ``on_lost`` with the number of events that a gap stands for.
    ``ending`` is the stream's, once it has ended.
    """

    __slots__ = (
        "_boundary_at_skip",
        "_is_joining",
        "_is_skipping",
        "_items",
        "_on_lost",
        "_on_more",
        "_previous_at",
        "_reader",
        "_relay",
        "_shown",
        "_size",
        "_with_data",
        "ending",
    )

    def __init__(
        self,
        relay: EventStreamRelay,
        *,
        with_data: bool,
        on_more: Callable[[], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self._relay = relay
        self._with_data = with_data
        self._on_more = on_more
        self._on_lost = on_lost
        self._items: deque[TailItem] = deque()
        self._size = 0
        self._is_joining = not relay.at_boundary
        self._is_skipping = False
        self._boundary_at_skip = False
        self._reader = self._make_reader(at_start=not relay.bytes_sent, is_skipping=self._is_joining)
        self._shown = relay.events
        self._previous_at = relay.last_event_at
        self.ending: Ending | None = None

    def _make_reader(self, *, at_start: bool, is_skipping: bool) -> BlockReader:
        return BlockReader(DATA_BYTES if self._with_data else 0, at_start=at_start, is_skipping=is_skipping)

    def open(self) -> None:
        """Begin with the next piece."""
        self._relay.add_tap(self)

    def close(self) -> None:
        """Look on no longer."""
        self._relay.remove_tap(self)

    # -- the relay's side -------------------------------------------------------------------------------------------------

    def piece_passed(self, piece: bytes) -> None:
        """Take down what is in a piece, as far as there is room."""
        if self._is_full:
            self._is_skipping = True
            self._boundary_at_skip = self._relay.at_boundary
            self._previous_at = self._relay.last_event_at
            return
        if self._is_skipping:
            self._is_skipping = False
            self._reader = self._make_reader(at_start=False, is_skipping=not self._boundary_at_skip)
        blocks = self._reader.feed(piece)
        if self._is_joining and not self._reader.is_skipping:
            self._is_joining = False  # the event into which it came was not lost on the way
            self._shown = self._relay.events - _count_events(blocks)
        if blocks:
            self._take_down(blocks)
            self._on_more()

    def stream_ended(self, ending: Ending) -> None:
        """Hear that there is no more."""
        self.ending = ending
        self._on_more()

    @property
    def _is_full(self) -> bool:
        return len(self._items) >= MAX_ITEMS or self._size >= MAX_BYTES

    def _take_down(self, blocks: Sequence[Block]) -> None:
        at = time.time()
        number = self._relay.events - _count_events(blocks)
        for block in blocks:
            if self._is_full:
                break
            if not block.is_event:
                self._add(TailComment(at, block.size))
                continue
            number += 1
            self._note_lost(number - 1)
            self._shown = number
            self._add(self._event(block, number, at))
            self._previous_at = self._relay.last_event_at
        self._previous_at = self._relay.last_event_at

    def _event(self, block: Block, number: int, at: float) -> TailEvent:
        now, previous = self._relay.last_event_at, self._previous_at
        return TailEvent(
            number=number,
            at=at,
            since_previous_s=now - previous if previous else None,
            event_id=block.id,
            event_type=block.type,
            size=block.size,
            data=block.data if self._with_data else None,
            data_cut=self._with_data and block.is_cut,
        )

    def _note_lost(self, until: int) -> None:
        """Say that the events up to number ``until`` that were not shown are lost, if there are such."""
        lost = until - self._shown
        if lost > 0:
            self._shown = until
            self._add(TailGap(lost))
            self._on_lost(lost)

    def _add(self, item: TailItem) -> None:
        self._items.append(item)
        self._size += _weight(item)

    # -- the reader's side --------------------------------------------------------------------------------------------------

    @property
    def has_more(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items) or (self._shown < self._relay.events and not self._is_joining)

    def take(self, items: int, size: int) -> list[TailItem]:
        """Give what waits, the oldest first: at most ``items``, and no more once they hold ``size`` bytes of data."""
        taken: list[TailItem] = []
        room = size
        while self.has_more and len(taken) < items and room > 0:
            if not self._items:
                self._note_lost(self._relay.events)  # nobody knows when the next event comes
            item = self._items.popleft()
            taken.append(item)
            weight = _weight(item)
            room -= weight
            self._size -= weight
        return taken


def _count_events(blocks: Sequence[Block]) -> int:
    return sum(block.is_event for block in blocks)


def _weight(item: TailItem) -> int:
    return _ITEM_BYTES + (len(item.data) if isinstance(item, TailEvent) and item.data is not None else 0)
