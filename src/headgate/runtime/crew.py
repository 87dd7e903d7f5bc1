"""The workers that were started together: one in each slot, with the same settings.

Invariants: a worker accepts nothing before its crew is opened; a slot's counters have one writer, so a crew counts in memories that no
worker of another crew that still runs has. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headgate.observe.counters import Counters
from headgate.runtime.channel import Message
from headgate.runtime.child import Child, Progress
from headgate.runtime.sockets import Sockets
from headgate.runtime.start import Start


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """``values``: a ``Settings`` as decoded JSON; ``descriptor``: where children read it."""

    values: dict[str, Any]
    descriptor: int

    def drain(self, name: str) -> float:
        """Give a setting of the section ``drain``, in seconds."""
        return float(self.values["drain"][name])

    def close(self) -> None:
        """Forget the file; nobody is started with it any more."""
        os.close(self.descriptor)


class Crew:
    """``workers[slot]``. ``module`` is what they run, ``memories[slot]`` where they count (descriptors)."""

    def __init__(self, *, module: str, settings: LoadedSettings, memories: Sequence[int], sockets: Sockets) -> None:
        self.settings = settings
        self.memories = memories
        self._sockets = sockets
        self._is_open = False
        self.workers = [self._make(module, slot) for slot in range(len(sockets.listen))]

    @property
    def are_loaded(self) -> bool:
        """Whether every worker has the whole table."""
        return all(worker.is_loaded for worker in self.workers)

    @property
    def are_ready(self) -> bool:
        """Whether every worker accepts."""
        return all(worker.is_ready for worker in self.workers)

    @property
    def have_left(self) -> bool:
        """Whether no worker accepts any more."""
        return not any(worker.pid and worker.progress is not Progress.LEAVING for worker in self.workers)

    @property
    def are_gone(self) -> bool:
        """Whether no worker runs."""
        return not any(worker.pid for worker in self.workers)

    def open(self) -> None:
        """Have every worker accept, as soon as it has the whole table."""
        self._is_open = True
        for worker in self.workers:
            self.admit(worker)

    def admit(self, worker: Child) -> None:
        """Have one worker accept, if it has the whole table and the crew is open."""
        if self._is_open and worker.progress is Progress.LOADED:
            worker.send({"type": "accept"})

    def retire(self, *, window_s: float, idle_s: float, close: bool) -> None:
        """Have every worker accept no more, end its streams over ``window_s`` and then itself.

        ``idle_s``: how long idle client connections are kept. ``close``: whether the sockets are at their end too.
        """
        self._is_open = False
        self.send({"type": "drain", "window_s": window_s, "idle_s": idle_s, "close": close})

    def send(self, message: Message) -> None:
        """Send to every worker that runs."""
        for worker in self.workers:
            worker.send(message)

    def kill(self) -> None:
        """Kill every worker that runs."""
        for worker in self.workers:
            worker.kill()

    def settle(self, worker: Child) -> int:
        """Settle the accounts of a worker that has died; give how many streams it took along."""
        assert worker.worker is not None
        counters = Counters(self.memories[worker.worker])
        lost = counters.bury()
        counters.close()
        return lost

    def _make(self, module: str, slot: int) -> Child:
        def start(channel: int) -> Start:
            return Start(
                channel=channel,
                settings=self.settings.descriptor,
                counters=[self.memories[slot]],
                worker=slot,
                listen=[opened.fileno() for opened in self._sockets.listen[slot]],
            )

        return Child(module=module, worker=slot, start=start)
