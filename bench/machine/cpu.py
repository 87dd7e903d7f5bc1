"""CPU time of other processes, from Linux's /proc.

``schedstat`` counts nanoseconds on the CPU; ``stat`` counts utime + stime in clock ticks (10 ms) and stands beside it
as a cross-check. Work that the kernel does for a process inside its system calls is in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def on_cpu_ns(pids: Iterable[int]) -> int:
    """Give the nanoseconds that all threads of these processes have run."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def ticks_s(pids: Iterable[int]) -> float:
    """Give utime + stime of these processes in seconds."""
    return sum(_utime_and_stime(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _utime_and_stime(pid: int) -> int:
    # The process name may hold blanks and brackets: fields are counted from the last bracket (proc(5): 14 and 15).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def busy_s(core: int) -> float:
    """Give the seconds that a core has been busy for anyone, the hypervisor's other guests included (steal)."""
    line = next(one for one in Path("/proc/stat").read_text().splitlines() if one.startswith(f"cpu{core} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Give the pids of a process's children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def command_line(pid: int) -> str:
    """Give a process's command line, its arguments joined by blanks; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def model_name() -> str:
    """Give the CPU's name as the kernel knows it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
