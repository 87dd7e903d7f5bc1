"""What the supervisor hands to a child when it starts it: numbers of inherited descriptors, as one JSON argument.

Nothing secret stands in it, as every user of the machine can read arguments; the settings come by descriptor.
Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import asdict, dataclass, field

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RELOAD_SIGNALS = (signal.SIGHUP, signal.SIGUSR2)
"""Two, as SIGHUP stays ignored in a process that was started with it ignored (nohup)."""
REOPEN_SIGNAL = signal.SIGUSR1


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Descriptors by purpose. ``worker`` is the slot's number, None for control; ``counters`` those of all workers, or the worker's own."""

    channel: int
    settings: int
    counters: list[int]
    worker: int | None = None
    listen: list[int] = field(default_factory=list)
    admin: list[int] = field(default_factory=list)
    metrics: list[int] = field(default_factory=list)

    def to_argument(self) -> str:
        """Give the argument that :meth:`from_argument` reads."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_argument(cls, argument: str) -> Start:
        """Read the argument of a child."""
        return cls(**json.loads(argument))

    def descriptors(self) -> list[int]:
        """Give every descriptor that the child must inherit."""
        return [self.channel, self.settings, *self.counters, *self.listen, *self.admin, *self.metrics]

    def slot(self) -> int:
        """Give the worker slot's number, in a worker."""
        assert self.worker is not None
        return self.worker

    def read_settings(self) -> bytes:
        """Give the settings' JSON."""
        return read_whole(self.settings)


def read_whole(descriptor: int) -> bytes:
    """Read an anonymous file from its start; its offset, which all processes share, stays untouched."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def write_whole(content: bytes) -> int:
    """Make an anonymous file that holds ``content``; give its descriptor (not inheritable)."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return os.dup(file.fileno())


def ignore_stop_signals() -> None:
    """In a child: leave orders to stop, and all others, to the supervisor, whoever else signals the whole group."""
    for number in (*STOP_SIGNALS, *RELOAD_SIGNALS, REOPEN_SIGNAL):
        signal.signal(number, signal.SIG_IGN)
