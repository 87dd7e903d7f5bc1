"""The access log: one line of JSON for each exchange, written when it ends.

Invariant: ``write`` never waits for the reader of the log; what does not fit is dropped and counted.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from headgate.observe.counters import ACCESS_LOG_DROPPED, Counters
from headgate.observe.line_writer import QUEUE_BYTES, LineWriter, encode_line


class AccessLog:
    """Records to ``target``: ``stdout``, ``off`` or a file's path. Raises OSError if the file cannot be opened.

    Lost records are counted in ``counters`` (slot ``ACCESS_LOG_DROPPED``). Methods are for one thread, the loop's.
    """

    __slots__ = ("_counters", "_writer")

    def __init__(self, target: str, *, counters: Counters, limit_bytes: int = QUEUE_BYTES) -> None:
        self._counters = counters
        self._writer: LineWriter | None = None
        if target != "off":
            place = sys.stdout.fileno() if target == "stdout" else Path(target)
            self._writer = LineWriter(place, on_drop=self._count, limit_bytes=limit_bytes, name="access-log")

    @property
    def enabled(self) -> bool:
        """False with ``off``: the caller need not build a record."""
        return self._writer is not None

    def write(self, record: dict[str, object]) -> None:
        """Hand over ``record`` for writing. A line longer than PIPE_BUF has its longest text cut, marked with ``…``."""
        if self._writer is None:
            return
        try:
            line = encode_line({"timestamp": _now(), **record})
        except ValueError:
            self._writer.drop(1)
            return
        self._writer.write(line)

    def reopen(self) -> None:
        """Open the file anew after the lines so far (SIGUSR1, as NGINX does for rotated logs)."""
        if self._writer is not None:
            self._writer.reopen()

    def close(self, timeout_s: float = 1.0) -> bool:
        """Write what waits, for ``timeout_s`` at most; tell whether all was written."""
        return self._writer is None or self._writer.close(timeout_s)

    def _count(self, lines: int) -> None:
        self._counters.slots[ACCESS_LOG_DROPPED] += lines


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
