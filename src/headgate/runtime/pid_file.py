"""``headgate.pid`` in the data directory: who runs there, and the lock that keeps a second headgate out.

Invariants: the lock (flock) is the supervisor's for its life and of nobody else, so it is gone with the process however that dies; the
number in the file means something only while the lock is held. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

NAME = "headgate.pid"
SUPERVISOR_MODULE = b"headgate.runtime.supervisor"
TRIES = 20
RETRY_S = 0.05
"""Who asks whether somebody runs holds the lock for an instant; so does who starts before it has written its number."""


class DataDirectoryTakenError(Exception):
    """Another headgate runs on the data directory; the text is one line for a person."""


class NotFoundError(Exception):
    """No headgate that could be spoken to runs on the data directory; the text is one line for a person."""


def take(data_dir: Path) -> int:
    """Take the lock and write this process's number; give the descriptor that holds it (not inheritable).

    Raises DataDirectoryTakenError, OSError if the file cannot be written.
    """
    descriptor = os.open(data_dir / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    for left in reversed(range(TRIES)):
        if _lock(descriptor, fcntl.LOCK_EX):
            break
        if not left:
            holder = _read(descriptor) or "unknown"
            os.close(descriptor)
            raise DataDirectoryTakenError(
                f"data directory {data_dir} is in use by another headgate (process {holder}): "
                "stop that one, or choose another with --data-dir"
            )
        time.sleep(RETRY_S)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def find(data_dir: Path) -> int:
    """Give the process id of the headgate that runs on ``data_dir``. Raises NotFoundError."""
    try:
        descriptor = os.open(data_dir / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"no headgate runs on data directory {data_dir}") from None
    except OSError as error:
        raise NotFoundError(f"{data_dir / NAME} cannot be read: {error.strerror}") from None
    try:
        for _ in range(TRIES):
            if _lock(descriptor, fcntl.LOCK_SH):
                raise NotFoundError(f"no headgate runs on data directory {data_dir}")
            number = _read(descriptor)
            if number is not None and _is_supervisor(number):
                return number
            time.sleep(RETRY_S)
    finally:
        os.close(descriptor)
    raise NotFoundError(f"a headgate runs on data directory {data_dir}, but not where this command can see it")


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).strip()
    return int(text) if text.isdigit() else None


def _is_supervisor(number: int) -> bool:
    """Whether the process is one: a number from another machine's or container's view may be anybody's here."""
    try:
        return SUPERVISOR_MODULE in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
