"""When each event is due: every stream at its rate, the streams' turns spread evenly over the period."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Sequence
from typing import Protocol


class Sender(Protocol):
    """A stream that sends its next event when told."""

    def send_event(self, now_ns: int) -> None:
        """Send one event with this stamp."""


class Pace:
    """Sends ``rate`` events per second on each of ``sources`` from ``began_ns`` (CLOCK_MONOTONIC) on.

    A turn that comes late is made up for at once; how late each one was is in ``lags_ns``. The order of the streams
    within the period is mixed, always alike, as that of independent sources would be.
    """

    def __init__(self, sources: Sequence[Sender], rate: float, began_ns: int) -> None:
        self.lags_ns = array("q")
        self._sources = list(sources)
        random.Random(len(sources)).shuffle(self._sources)
        self._step_ns = 1e9 / (rate * len(sources))
        self._began_ns = began_ns
        self._turn = 0

    def send_due(self, at_most: int) -> int:
        """Send what is due, ``at_most`` so many events; give the ns until the next is due, 0 when one is due now."""
        sources = self._sources
        for _ in range(at_most):
            now_ns = time.monotonic_ns()
            lag_ns = now_ns - self._began_ns - int(self._turn * self._step_ns)
            if lag_ns < 0:
                return -lag_ns
            sources[self._turn % len(sources)].send_event(now_ns)
            self.lags_ns.append(lag_ns)
            self._turn += 1
        return 0
