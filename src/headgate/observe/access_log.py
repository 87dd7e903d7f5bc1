"""The access log: one line of JSON for each exchange, written when it ends.

Invariant: ``write`` never waits for the reader of the log; what does not fit is dropped and counted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from headgate.observe.counters import ACCESS_LOG_DROPPED, Counters
from headgate.observe.line_writer import QUEUE_BYTES, LineWriter, encode_line, encode_struct


class Record(msgspec.Struct):
    """A record whose fields are known: a third of what a dict costs. ``timestamp`` is the log's to set."""

    timestamp: str = ""


class AccessLog:
    """Records to ``target``: ``stdout``, ``off`` or a file's path. Raises OSError if the file cannot be opened.

    Lost records are counted in ``counters`` (slot ``ACCESS_LOG_DROPPED``). Methods are for one thread, the loop's.
    """

    __slots__ = ("_counters", "_second", "_second_text", "_writer")

    def __init__(self, target: str, *, counters: Counters, limit_bytes: int = QUEUE_BYTES) -> None:
        self._counters = counters
        self._second = -1
        self._second_text = ""
        self._writer: LineWriter | None = None
        if target != "off":
            place = sys.stdout.fileno() if target == "stdout" else Path(target)
            self._writer = LineWriter(place, on_drop=self._count, limit_bytes=limit_bytes, name="access-log")

    @property
    def enabled(self) -> bool:
        """False with ``off``: the caller need not build a record."""
        return self._writer is not None

    def write(self, record: dict[str, object] | Record) -> None:
        """Hand over ``record`` for writing. A line longer than PIPE_BUF has its longest text cut, marked with ``…``."""
        if self._writer is None:
            return
        try:
            if isinstance(record, Record):
                record.timestamp = self._now()
                line = encode_struct(record)
            else:
                line = encode_line({"timestamp": self._now(), **record})
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

    def _now(self) -> str:
        """Give the time as ISO 8601 in UTC, to the millisecond; the text of a second is made once."""
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{nanoseconds // 1_000_000:03d}Z"
