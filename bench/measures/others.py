"""What other processes took of the cores of a run: on a quiet machine, less than 5 % of one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from bench.machine import cpu


class Others:
    """Watches from its creation on; ``ours`` are the processes of the run by the core that each is pinned to."""

    def __init__(self, ours: Mapping[int, Sequence[int]]) -> None:
        self._ours = ours
        self._began_s = time.monotonic()
        self._before = self._taken_s()

    def percent(self) -> float:
        """Give the share of a core, of all the worst, that others took so far. A window of half a second is known to some 4 %."""
        taken = self._taken_s()
        worst_s = max(taken[core] - before_s for core, before_s in self._before.items())
        return max(worst_s, 0.0) / (time.monotonic() - self._began_s) * 100

    def _taken_s(self) -> dict[int, float]:
        return {core: cpu.busy_s(core) - cpu.on_cpu_ns(pids) / 1e9 for core, pids in self._ours.items()}
