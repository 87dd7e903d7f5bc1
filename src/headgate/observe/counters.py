"""A worker's numbers: slots of 64 bits in memory that it shares with the supervisor and control.

Invariants: a slot has one writer, the worker whose memory it is; the supervisor writes only after that worker is dead
(:meth:`Counters.bury`). The memory outlives the worker, so a kill -9 loses no count and the next worker of the slot counts on.
Counting is ``counters.slots[REQUESTS] += 1``: no lock, no message. Standard library only, as the supervisor uses it.

The memory: :data:`SLOTS` by their numbers, the :data:`HISTOGRAMS`, the rows by route, and a mark of this order, so that code
of another version finds out instead of counting in the wrong place.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from headgate.observe import route_rows
from headgate.observe.histogram import MICROSECONDS, Histogram
from headgate.observe.route_rows import Labels, RouteRows, RowNumbers
from headgate.stream.ending import Ending
from headgate.stream.event_gaps import EventGaps

SLOT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """What one number means. ``name`` is the metric's, without the prefix ``headgate_`` and the suffix ``_total``.

    The slot holds ``per_unit`` for each one that the metric shows.
    """

    name: str
    help: str
    type: Literal["counter", "gauge"]
    labels: tuple[tuple[str, str], ...]
    per_unit: int = 1


_table: list[Slot] = []


def _counter(name: str, text: str, *, per_unit: int = 1, **labels: str) -> int:
    _table.append(Slot(name, text, "counter", tuple(labels.items()), per_unit))
    return len(_table) - 1


def _gauge(name: str, text: str) -> int:
    _table.append(Slot(name, text, "gauge", ()))
    return len(_table) - 1


def _by_ending(name: str, text: str) -> dict[Ending, int]:
    return {ending: _counter(name, text, ending=ending.value) for ending in Ending}


CONNECTIONS_ACCEPTED: Final = _counter("connections_accepted", "Client connections accepted.")
CONNECTIONS_OPEN: Final = _gauge("connections_open", "Client connections open now.")
ACCEPT_PAUSES: Final = _counter("accept_pauses", "Times that accepting paused because descriptors ran out.")
REQUESTS: Final = _counter("requests", "Requests whose head was read.")
RESPONSES: Final = {
    n: _counter("responses", "Responses begun, by class of status.", status=f"{n}xx") for n in range(1, 6)
}
"""Slot by the first digit of the status: ``RESPONSES[status // 100]``."""
EXCHANGES_ENDED: Final = _by_ending("exchanges_ended", "Exchanges ended, by the reason of the end.")
STREAMS_OPENED: Final = _counter("streams_opened", "Streams begun.")
STREAMS_OPEN: Final = _gauge("streams_open", "Streams open now.")
STREAMS_ENDED: Final = _by_ending("streams_ended", "Streams ended, by the reason of the end.")
EVENTS: Final = _counter("events", "Events relayed to clients.")
BYTES_TO_CLIENTS: Final = _counter("downstream_sent_bytes", "Bytes of responses handed to client connections.")
UPSTREAM_CONNECTIONS_OPENED: Final = _counter("upstream_connections_opened", "Connections made to targets.")
UPSTREAM_CONNECTIONS_REUSED: Final = _counter("upstream_connections_reused", "Requests sent on a pooled connection.")
UPSTREAM_CONNECTIONS_OPEN: Final = _gauge("upstream_connections_open", "Connections to targets open now.")
UPSTREAM_REQUEST_BYTES: Final = _counter("upstream_request_bytes", "Bytes of request bodies sent to targets.")
ACCESS_LOG_DROPPED: Final = _counter(
    "access_log_dropped", "Access log records dropped because the log was full or failed."
)
STREAMS_DRAINING: Final = _gauge("streams_draining", "Streams open now in workers that are stopping.")
KEEPALIVES: Final = _counter("keepalives", "Keep-alives written into event streams.")
STREAMS_UNTOUCHED: Final = {
    reason: _counter(
        "streams_untouched", "Streams into which nothing of headgate's may be written, by why.", reason=reason
    )
    for reason in ("encoded", "sized", "head", "status", "type")
}
CLIENT_BLOCKED: Final = _counter(
    "stream_client_blocked_seconds",
    "Time in which streams waited for clients that took no bytes.",
    per_unit=MICROSECONDS,
)
PEEKS: Final = {
    outcome: _counter(
        "peeks", "Event streams looked into before their head was sent, by what came of it.", outcome=outcome
    )
    for outcome in ("passed", "next_upstream", "answered", "timeout", "too_large")
}
REFUSALS_AS_EVENTS: Final = _counter("refusals_as_events", "Refusals told as an event in a stream.")
TAIL_EVENTS_LOST: Final = _counter("tail_events_lost", "Events that live tails were too slow for.")
LABEL_SETS_FOLDED: Final = _counter(
    "label_sets_folded", "Label sets that a worker had no row for: they are counted under an empty route."
)

SLOTS: Final[tuple[Slot, ...]] = tuple(_table)
"""Every slot's meaning, by its number."""

_histograms: list[Histogram] = []


def _histogram(name: str, text: str, *bounds: float) -> Histogram:
    first = _histograms[-1].end if _histograms else len(SLOTS)
    _histograms.append(Histogram(name, text, bounds, first))
    return _histograms[-1]


_TO_A_MINUTE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TO_A_DAY = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 43200.0, 86400.0)

STREAM_OPEN: Final = _histogram(
    "stream_open_seconds", "From a stream's request head to its response head.", *_TO_A_MINUTE
)
STREAM_FIRST_EVENT: Final = _histogram(
    "stream_first_event_seconds", "From a stream's request head to its first event.", *_TO_A_MINUTE, 120.0, 300.0
)
STREAM_EVENT_GAP: Final = _histogram(
    "stream_event_gap_seconds", "From one event of a stream to the next.", *EventGaps.BOUNDS
)
STREAM_LIFETIME: Final = _histogram("stream_lifetime_seconds", "From a stream's request head to its end.", *_TO_A_DAY)

HISTOGRAMS: Final[tuple[Histogram, ...]] = tuple(_histograms)

NUMBERS: Final = HISTOGRAMS[-1].end
"""How many slots there are before the rows by route."""

_ROWS_START = NUMBERS
_MARK_SLOT = _ROWS_START + route_rows.SLOTS_NEEDED
_MEMORY_BYTES = (_MARK_SLOT + 1) * SLOT_BYTES
_MARK = zlib.crc32(repr((SLOTS, HISTOGRAMS, route_rows.LAYOUT)).encode()) + 1


class OtherLayout(RuntimeError):
    """The memory was made by another version of headgate, which counts in other places."""


def create_memory() -> int:
    """Make zeroed anonymous memory for one worker; give its descriptor (not inheritable)."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("headgate-counters")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _MEMORY_BYTES)
    os.pwrite(descriptor, _MARK.to_bytes(SLOT_BYTES, sys.byteorder), _MARK_SLOT * SLOT_BYTES)
    return descriptor


class Counters:
    """The slots of one worker, mapped from ``descriptor``, which stays open and the caller's. Raises OtherLayout."""

    __slots__ = ("_map", "slots")

    def __init__(self, descriptor: int) -> None:
        mark = os.pread(descriptor, SLOT_BYTES, _MARK_SLOT * SLOT_BYTES)
        if os.fstat(descriptor).st_size != _MEMORY_BYTES or int.from_bytes(mark, sys.byteorder) != _MARK:
            raise OtherLayout(
                "the running headgate counts in another order than this version: stop it and start this one"
            )
        self._map = mmap.mmap(descriptor, _MEMORY_BYTES)
        self.slots: memoryview = memoryview(self._map).cast("Q")

    @classmethod
    def private(cls) -> Counters:
        """Give counters that nobody shares, for a gateway that runs without a supervisor."""
        descriptor = create_memory()
        try:
            return cls(descriptor)
        finally:
            os.close(descriptor)

    def open_rows(self) -> RouteRows:
        """Give the rows by route, to be written by the one worker whose memory this is."""
        return RouteRows(self.slots, _ROWS_START, folded=LABEL_SETS_FOLDED)

    def read_rows(self) -> Iterator[tuple[Labels, RowNumbers]]:
        """Give the rows by route as they are now."""
        return route_rows.read_rows(self.slots, _ROWS_START)

    def bury(self) -> int:
        """Settle the accounts of a dead worker: what was open is open no more. Give the number of streams that it took along.

        Its open streams count as ended with ``gateway_error``, as streams and as exchanges.
        """
        lost: int = self.slots[STREAMS_OPEN]
        self.slots[STREAMS_ENDED[Ending.GATEWAY_ERROR]] += lost
        self.slots[EXCHANGES_ENDED[Ending.GATEWAY_ERROR]] += lost
        for number, slot in enumerate(SLOTS):
            if slot.type == "gauge":
                self.slots[number] = 0
        return lost

    def close(self) -> None:
        """Unmap the memory; the slots cannot be used any more."""
        self.slots.release()
        self._map.close()
