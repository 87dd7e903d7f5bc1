"""Lines to one descriptor, written by a thread of their own: whoever hands a line over never waits.

Invariants: at most ``limit_bytes`` wait, further lines are dropped and counted; one write holds whole lines only and, but for a
regular file, at most :data:`WRITE_BYTES` (PIPE_BUF), so lines of several processes on one pipe do not interleave (POSIX write(2)).

The first line after a silence is written at once, and what comes then :data:`GATHER_S` later at most, together: a thread that is
woken for each line takes the interpreter from the loop each time (13 futex calls per request, strace).
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

WRITE_BYTES = select.PIPE_BUF
"""The longest line, and what one write holds at most unless it goes to a regular file."""
FILE_WRITE_BYTES = 256 * 1024
"""What one write to a regular file holds at most: nobody else's bytes come between those of one write to it."""
GATHER_S = 0.02
"""How long a line may wait for others, in seconds."""
QUEUE_BYTES = 4 * 1024 * 1024
CUT_MARK = "…"

_encode = msgspec.json.Encoder(enc_hook=str).encode
_Command = Literal["reopen", "close"]


def encode_line(record: dict[str, object]) -> bytes:
    """Give ``record`` as one line of JSON of at most :data:`WRITE_BYTES`, newline included.

    A line that would be longer has its longest string cut, and marked with ``…`` at its end, until it fits; raises ValueError
    where there is no string to cut.
    """
    line = _to_json(record)
    while (excess := len(line) + 1 - WRITE_BYTES) > 0:
        key, text = max(
            ((key, value) for key, value in record.items() if isinstance(value, str)),
            key=lambda item: len(item[1]),
            default=("", ""),
        )
        if len(text) <= len(CUT_MARK):
            raise ValueError("record too long for a line, and no text in it to cut")
        # A character takes up to 6 bytes of JSON, so this may cut too little at first, never more than needed.
        keep = len(text) - max(excess // 6, 1) - len(CUT_MARK)
        record = record | {key: text[: max(keep, 0)] + CUT_MARK}
        line = _to_json(record)
    return line + b"\n"


def encode_struct(record: msgspec.Struct) -> bytes:
    """Give ``record`` as :func:`encode_line` gives a dict of its fields."""
    try:
        line = _encode(record)
    except ValueError:  # a lone surrogate
        line = b""
    if 0 < len(line) < WRITE_BYTES:
        return line + b"\n"
    fields = msgspec.structs.asdict(record)
    return encode_line({name: value for name, value in fields.items() if value is not msgspec.UNSET})


def _to_json(record: dict[str, object]) -> bytes:
    try:
        return _encode(record)
    except (TypeError, ValueError):  # a lone surrogate, a key that is no string: the standard library writes these
        return json.dumps(record, default=str).encode()


class LineWriter:
    """A thread that writes lines to ``target``: a descriptor, which stays the caller's, or a file, made if absent and appended to.

    ``on_drop`` is called with a number of lines lost, from either thread, one call at a time. Raises OSError if the file cannot be opened.
    """

    def __init__(
        self,
        target: int | Path,
        *,
        on_drop: Callable[[int], None],
        limit_bytes: int = QUEUE_BYTES,
        name: str = "line-writer",
    ) -> None:
        self._path = target if isinstance(target, Path) else None
        self._descriptor = _open(target) if isinstance(target, Path) else target
        self._on_drop = on_drop
        self._limit_bytes = limit_bytes
        self._write_bytes = _most_at_once(self._descriptor)
        self._queue: deque[bytes | _Command] = deque()
        self._is_awake = False  # whether the thread looks into the queue again without being told
        self._told = threading.Event()
        self._put_bytes = 0  # written by the caller's thread only
        self._taken_bytes = 0  # written by the writer's thread only
        self._drop_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes handed over and not yet written."""
        return self._put_bytes - self._taken_bytes

    def write(self, line: bytes) -> None:
        """Hand ``line`` over (from one thread only), or drop it if the queue is full. Never waits."""
        put_bytes = self._put_bytes + len(line)
        if put_bytes - self._taken_bytes > self._limit_bytes:
            self.drop(1)
            return
        self._put_bytes = put_bytes
        self._queue.append(line)
        if not self._is_awake:
            self._is_awake = True
            self._told.set()

    def drop(self, lines: int) -> None:
        """Count ``lines`` as lost."""
        with self._drop_lock:
            self._on_drop(lines)

    def reopen(self) -> None:
        """Open the file anew once all lines handed over so far are written (after a rotation). Nothing for a descriptor."""
        self._tell("reopen")

    def close(self, timeout_s: float) -> bool:
        """Write what waits, for ``timeout_s`` at most; tell whether all was written. Nothing may be handed over afterwards."""
        self._tell("close")
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _tell(self, command: _Command) -> None:
        self._queue.append(command)
        self._told.set()

    def _run(self) -> None:
        while True:
            if self._queue:
                if self._write_waiting() == "close":
                    self._close_file()
                    return
                self._told.wait(GATHER_S)
                self._told.clear()
                continue
            # Whoever hands a line over puts it into the queue before looking at this, so that one of both sees the other.
            self._is_awake = False
            if not self._queue:
                self._told.wait()
                self._told.clear()

    def _write_waiting(self) -> _Command | None:
        """Write and do what is in the queue; give "close" if that was its last."""
        batch: list[bytes] = []
        size = 0
        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, bytes) and size + len(item) <= self._write_bytes:
                batch.append(item)
                size += len(item)
                continue
            if batch:
                self._write_batch(batch, size)
                batch, size = [], 0
            if item == "close":
                return item
            if item == "reopen":
                self._reopen_file()
            elif isinstance(item, bytes):
                batch, size = [item], len(item)
        if batch:
            self._write_batch(batch, size)
        return None

    def _write_batch(self, batch: list[bytes], size: int) -> None:
        try:
            _write_all(self._descriptor, b"".join(batch))
        except OSError:  # disk full, reader gone: counted, and the next batch tries again
            self.drop(len(batch))
        finally:
            self._taken_bytes += size

    def _reopen_file(self) -> None:
        if self._path is None:
            return
        try:
            descriptor = _open(self._path)
        except OSError as error:
            message = encode_line({"event": f"access log not reopened: {error}", "level": "error"})
            _write_all(sys.stderr.fileno(), message)
            return
        self._close_file()
        self._descriptor = descriptor
        self._write_bytes = _most_at_once(descriptor)

    def _close_file(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)


def _most_at_once(descriptor: int) -> int:
    return FILE_WRITE_BYTES if stat.S_ISREG(os.fstat(descriptor).st_mode) else WRITE_BYTES


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process made the shared pipe non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
