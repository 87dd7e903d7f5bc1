"""The supervisor's own log lines: JSON on stderr in the form that control and workers use, or text where a person watches.

Invariant: a reader of stderr or stdout that stops reading never stops the supervisor; lines that do not fit are dropped.
Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import sys
from datetime import UTC, datetime

_LINE_BYTES = select.PIPE_BUF


def log(level: str, event: str, **fields: object) -> None:
    """Write one line to stderr. ``event`` is a sentence for a person."""
    descriptor = sys.stderr.fileno()
    if os.isatty(descriptor):
        details = "".join(f" {key}={value}" for key, value in fields.items())
        prefix = "" if level == "info" else f"{level}: "
        _write(descriptor, f"headgate: {prefix}{event}{details}\n")
    else:
        write_record(descriptor, {"event": event, "level": level, "process": "supervisor", **fields})


def write_record(descriptor: int, record: dict[str, object]) -> None:
    """Write ``record``, with a ``timestamp``, as one line of JSON."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    _write(descriptor, json.dumps({**record, "timestamp": now}, default=str) + "\n")


def _write(descriptor: int, line: str) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # A pipe polls as writable when PIPE_BUF bytes fit, so a line of at most that size does not block.
    if poll.poll(0):
        try:
            os.write(descriptor, line.encode()[:_LINE_BYTES])
        except OSError:
            return  # nobody reads any more: there is no one to tell
