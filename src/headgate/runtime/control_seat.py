"""Who is control: one process at a time, as it has the store; and the links between it and the workers.

Invariants: a control begins only once the one before it is gone; it is told the readiness and linked to every worker that runs before it
serves. Standard library only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from headgate.runtime.child import Child
from headgate.runtime.reactor import Reactor
from headgate.runtime.supervisor_log import log

REPLACED_S = 3.0
"""What control gets to finish requests before it is killed when another follows; more requests wait in its sockets."""
LINK_RETRY_S = 1.0


class ControlSeat:
    """``holder`` is control, or will be when the one before it has left.

    ``workers`` gives those that run; ``readiness`` what ``GET /headgate/ready`` is to say.
    """

    def __init__(
        self,
        reactor: Reactor,
        holder: Child,
        *,
        workers: Callable[[], Iterable[Child]],
        readiness: Callable[[], str],
    ) -> None:
        self.holder = holder
        self._reactor = reactor
        self._workers = workers
        self._readiness = readiness
        self._leaving: Child | None = None
        self._has_begun = False

    @property
    def children(self) -> list[Child]:
        """Both, if there are two."""
        return [self.holder] if self._leaving is None else [self.holder, self._leaving]

    def hand_over(self, successor: Child) -> None:
        """Stop control and have ``successor`` begin once it is gone."""
        old, self.holder = self.holder, successor
        self._has_begun = False
        if old.pid is not None:
            self._leaving = old
            old.send({"type": "stop"})
            self._reactor.after(REPLACED_S, old.kill)
        self.begin()

    def has_left(self, child: Child) -> bool:
        """Hear of a death; say whether it was that of a control that was to leave."""
        if child is not self._leaving:
            return False
        self._leaving = None
        self.begin()
        return True

    def begin(self) -> None:
        """Have control begin, if it runs and there is none before it."""
        if self.holder.pid is None or self._leaving is not None:
            return
        self._has_begun = True
        self.holder.send({"type": "begin"})
        self.tell_readiness()
        for worker in self._workers():
            self.link(worker)
        self.holder.send({"type": "serve"})

    def tell_readiness(self) -> None:
        """Say how things are."""
        self.holder.send({"type": "readiness", "status": self._readiness()})

    def link(self, worker: Child) -> None:
        """Give control and ``worker`` the ends of a new connection, if both run."""
        if self.holder.pid is None or worker.pid is None or not self._has_begun:
            return
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            log("error", f"{worker.name} cannot be linked to control yet: {error.strerror}")
            self._reactor.after(LINK_RETRY_S, lambda: self.link(worker))
            return
        with ours, theirs:
            self.holder.send({"type": "link", "worker": worker.worker, "pid": worker.pid}, [ours.fileno()])
            worker.send({"type": "link"}, [theirs.fileno()])
