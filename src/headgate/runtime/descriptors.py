"""How many descriptors a process may have open, and whether that is enough. Standard library only."""

from __future__ import annotations

import os
import resource

from headgate.runtime.supervisor_log import log

RESERVED = 48
"""What a worker's listener keeps for files, links and the resolver."""
PER_STREAM = 2
SPARE = 8
"""What starting one child needs for a moment, and a little more."""


def raise_limit(workers: int) -> None:
    """Raise the soft limit of open descriptors to the hard one, and log how many streams that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:  # Linux has no process without a limit; where there is one, what is set stays
        soft = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    streams = max(soft - RESERVED, 0) // PER_STREAM * workers
    log("info", f"descriptors for about {streams} streams", descriptors_per_process=soft, streams=streams)


def try_room(workers: int) -> None:
    """Raise OSError (EMFILE, ENFILE) if this process cannot have a channel to control, and to each worker twice, as in a reload."""
    opened: list[int] = []
    try:
        opened += (os.dup(0) for _ in range(1 + 2 * workers + SPARE))
    finally:
        for descriptor in opened:
            os.close(descriptor)
