"""Finding every process that a test has started, however far down and whoever its parent is by now.

A mark in the environment is inherited by all of them; ``/proc/<pid>/environ`` shows it, and is empty for a zombie.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path


class Mark:
    """``environ`` is to be added to the environment of what is started."""

    def __init__(self) -> None:
        self._entry = f"MARK_OF_THE_TEST={uuid.uuid4().hex}"

    @property
    def environ(self) -> dict[str, str]:
        """The mark as a variable."""
        return dict([self._entry.split("=", 1)])

    def processes(self) -> dict[int, str]:
        """Give the command lines of the marked processes by their pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self._entry.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue  # it has ended meanwhile, or is another user's
        return found

    def wait_none_left(self, timeout_s: float = 20.0) -> None:
        """Wait until none is left."""
        deadline = time.monotonic() + timeout_s
        while left := self.processes():
            assert time.monotonic() < deadline, f"left running: {left}"
            time.sleep(0.02)
