"""What the gateway's processes hold over time: memory, descriptors, CPU; and how fast it grows.

Memory is from ``/proc/<pid>/smaps_rollup``: RSS counts pages that are shared in full, PSS by share, so that the PSS of all processes
can be added up. Growth is of the RSS: a process's PSS falls when somebody else starts the same interpreter. A process that is gone when it is looked at is left out of that sample.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import cpu

MODULES = {"headgate.runtime.control": "control", "headgate.runtime.worker": "worker"}
YOUNG_S = 10.0
ROLES = ("supervisor", "control", "worker")


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time, ``at_s`` seconds after the beginning."""

    at_s: float
    role: str
    pid: int
    rss_kib: int
    pss_kib: int
    descriptors: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What the processes of a role held on average at the first and last sample of the window, and the slope between, in % per minute.

    ``processes`` were seen; the slope is of the straight line through the averages (least squares), of the mean.
    """

    processes: int
    first_kib: float
    last_kib: float
    percent_per_minute: float


class Processes:
    """The processes below and including the supervisor ``pid``. ``samples`` are all that were taken."""

    def __init__(self, pid: int) -> None:
        self.samples: list[Sample] = []
        self._pid = pid
        self._began = time.monotonic()

    def sample(self) -> list[Sample]:
        """Look at all of them; keep the samples and give them."""
        at_s = time.monotonic() - self._began
        found = []
        for pid, role in self._roles().items():
            try:
                found.append(_look(at_s, role, pid))
            except (FileNotFoundError, ProcessLookupError):
                continue
        self.samples += found
        return found

    def _roles(self) -> dict[int, str]:
        roles = {self._pid: "supervisor"}
        for child in cpu.children(self._pid):
            command = cpu.command_line(child)
            role = next((role for module, role in MODULES.items() if module in command), None)
            if role is not None:
                roles[child] = role
        return roles

    def cpu_s(self) -> dict[str, float]:
        """Give the seconds of CPU that each role's processes have used, up to their last sample each."""
        last = {(sample.role, sample.pid): sample.cpu_s for sample in self.samples}
        return {role: sum(used for (its, _), used in last.items() if its == role) for role in ROLES}

    def growth(self, role: str, since_s: float, until_s: float) -> Growth | None:
        """Give how the role's memory (RSS) grew between two times after the beginning; None with fewer than three samples.

        A process does not count in its first ``YOUNG_S``, in which it takes over the streams.
        """
        seen: dict[int, float] = {}
        for one in self.samples:
            seen.setdefault(one.pid, one.at_s)
        grown = [one for one in self.samples if one.at_s - seen[one.pid] >= YOUNG_S and since_s <= one.at_s <= until_s]
        samples = [one for one in grown if one.role == role]
        points = [
            (at_s, statistics.mean(sample.rss_kib for sample in samples if sample.at_s == at_s))
            for at_s in sorted({sample.at_s for sample in samples})
        ]
        if len(points) < 3:
            return None
        held = [kib for _, kib in points]
        percent = slope(points) * 60 / statistics.mean(held) * 100
        return Growth(len({sample.pid for sample in samples}), held[0], held[-1], percent)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Give the slope of the line through points (x, y) with the least squares; y per x."""
    mean_x, mean_y = (statistics.mean(values) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _look(at_s: float, role: str, pid: int) -> Sample:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines[1:]}
    if not kib:
        raise ProcessLookupError(pid)  # it is ending
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 -- names only, a third of iterdir's time
    return Sample(at_s, role, pid, kib["Rss"], kib["Pss"], descriptors, cpu.on_cpu_ns([pid]) / 1e9)
