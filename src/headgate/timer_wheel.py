"""One timer for all deadlines of a worker.

Connections and streams have deadlines by the thousand and move them with every read. Here moving one costs nothing:
an entry stays in the slot it was put in, and when that slot comes due it is asked for its true deadline and put back.
Slots are ``tick_s`` wide, so a deadline is kept within one tick, never early. The loop holds one timer handle, armed
for the first slot that has entries; a wheel without entries costs nothing.

An entry stands in at most one slot, ``wheel_slot``, so that the wheel holds no entry that was cancelled or has left.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Entry(Protocol):
    """Something with a deadline. ``wheel_slot`` belongs to the wheel; it starts as :data:`UNSCHEDULED`."""

    wheel_slot: int

    def check_deadline(self, now: float) -> float | None:
        """Act if the deadline has passed; give the time of the next look, or None to leave the wheel."""


UNSCHEDULED = -1


class TimerWheel:
    """Deadlines in the loop's own time (``loop.time()``, seconds)."""

    __slots__ = ("_due", "_handle", "_handle_slot", "_loop", "_slots", "tick_s")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tick_s: float = 0.05) -> None:
        self.tick_s = tick_s
        self._loop = loop
        self._slots: dict[int, set[Entry]] = {}
        self._due: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._handle_slot = UNSCHEDULED

    def schedule(self, entry: Entry, when: float) -> None:
        """Have ``entry`` looked at no later than one tick after ``when``.

        An entry that is already due earlier stays where it is: it will be asked then, and say what it wants.
        """
        slot = math.ceil(when / self.tick_s)
        if UNSCHEDULED < entry.wheel_slot <= slot:
            return
        if entry.wheel_slot != UNSCHEDULED:
            self.cancel(entry)
        entry.wheel_slot = slot
        entries = self._slots.get(slot)
        if entries is None:
            self._slots[slot] = {entry}
            heapq.heappush(self._due, slot)
            if self._handle is None or slot < self._handle_slot:
                self._arm(slot)
        else:
            entries.add(entry)

    def cancel(self, entry: Entry) -> None:
        """Forget ``entry``, if it is there: what has closed is not kept alive until its deadline."""
        if entry.wheel_slot == UNSCHEDULED:
            return
        entries = self._slots.get(entry.wheel_slot)
        if entries is not None:
            entries.discard(entry)
        entry.wheel_slot = UNSCHEDULED

    def _arm(self, slot: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle_slot = slot
        self._handle = self._loop.call_at(slot * self.tick_s, self._turn)

    def _turn(self) -> None:
        self._handle = None
        now = self._loop.time()
        # A timer may fire a little early; only slots that are wholly past are due.
        current = math.floor(now / self.tick_s + 1e-6)
        while self._due and self._due[0] <= current:
            slot = heapq.heappop(self._due)
            for entry in self._slots.pop(slot):
                if entry.wheel_slot == slot:  # else one before it has moved or cancelled it
                    self._ask(entry, now)
        if self._due:  # what was put back while turning may have armed a later slot
            self._arm(self._due[0])

    def _ask(self, entry: Entry, now: float) -> None:
        entry.wheel_slot = UNSCHEDULED
        try:
            again = entry.check_deadline(now)
        except Exception as error:  # noqa: BLE001 -- a defect of one entry is reported and must not stop the others' clocks
            self._loop.call_exception_handler({"message": "a deadline could not be checked", "exception": error})
            return
        if again is not None:
            self.schedule(entry, max(again, now + self.tick_s))

    def __len__(self) -> int:
        """Give the number of entries held."""
        return sum(map(len, self._slots.values()))
