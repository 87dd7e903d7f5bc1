"""A worker's numbers: named slots of 64 bits in memory that it shares with the supervisor and control.

Invariants: a slot has one writer, the worker whose memory it is; the supervisor writes only after that worker is dead
(:meth:`Counters.bury`). The memory outlives the worker, so a kill -9 loses no count and the next worker of the slot counts on.
Counting is ``counters.slots[REQUESTS] += 1``: no lock, no message. Standard library only, as the supervisor uses it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Final, Literal

from headgate.stream.ending import Ending

SLOT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """What one number means. ``name`` is the metric's, without the prefix ``headgate_`` and the suffix ``_total``."""

    name: str
    help: str
    type: Literal["counter", "gauge"]
    labels: tuple[tuple[str, str], ...]


_table: list[Slot] = []


def _counter(name: str, text: str, **labels: str) -> int:
    _table.append(Slot(name, text, "counter", tuple(labels.items())))
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
STREAMS_OPENED: Final = _counter("streams_opened", "Event streams begun.")
STREAMS_OPEN: Final = _gauge("streams_open", "Event streams open now.")
STREAMS_ENDED: Final = _by_ending("streams_ended", "Event streams ended, by the reason of the end.")
EVENTS: Final = _counter("events", "Events relayed to clients.")
BYTES_TO_CLIENTS: Final = _counter("downstream_sent_bytes", "Bytes of responses handed to client connections.")
UPSTREAM_CONNECTIONS_OPENED: Final = _counter("upstream_connections_opened", "Connections made to targets.")
UPSTREAM_CONNECTIONS_REUSED: Final = _counter("upstream_connections_reused", "Requests sent on a pooled connection.")
UPSTREAM_CONNECTIONS_OPEN: Final = _gauge("upstream_connections_open", "Connections to targets open now.")
UPSTREAM_REQUEST_BYTES: Final = _counter("upstream_request_bytes", "Bytes of request bodies sent to targets.")
ACCESS_LOG_DROPPED: Final = _counter(
    "access_log_dropped", "Access log records dropped because the log was full or failed."
)

SLOTS: Final[tuple[Slot, ...]] = tuple(_table)
"""Every slot's meaning, by its number."""


def create_memory() -> int:
    """Make zeroed anonymous memory for one worker; give its descriptor (not inheritable)."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("headgate-counters")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, len(SLOTS) * SLOT_BYTES)
    return descriptor


class Counters:
    """The slots of one worker, mapped from ``descriptor``, which stays open and the caller's."""

    __slots__ = ("_map", "slots")

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, len(SLOTS) * SLOT_BYTES)
        self.slots: memoryview = memoryview(self._map).cast("Q")

    @classmethod
    def private(cls) -> Counters:
        """Give counters that nobody shares, for a gateway that runs without a supervisor."""
        descriptor = create_memory()
        try:
            return cls(descriptor)
        finally:
            os.close(descriptor)

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
