"""Everything that headgate listens on, held by the supervisor for its life.

Invariants: each worker slot has sockets of its own, which pass from one worker to the next, also while both run; the supervisor lets
go of them first when headgate stops, so that the workers' closing is the end of them. Standard library only.
"""

from __future__ import annotations

import socket
from typing import Any

from headgate.runtime.listening import ListenError, open_shared, open_single
from headgate.runtime.supervisor_log import log


class Sockets:
    """``listen[slot]`` for each worker, ``admin``, ``metrics``. ``settings``: decoded JSON. Raises ListenError."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.listen: list[list[socket.socket]] = [[] for _ in range(settings["workers"])]
        for address in settings["listen"]:
            for slot, opened in enumerate(open_shared(address, len(self.listen), setting="listen")):
                self.listen[slot] += opened
        self.admin = open_single(settings["admin"], setting="admin")
        self.metrics = _open_metrics(settings["metrics"], explicit=settings["metrics_explicit"])

    def close_listen(self) -> None:
        """Let go of the workers' sockets; workers close theirs."""
        for slot in self.listen:
            for opened in slot:
                opened.close()


def _open_metrics(address: str, *, explicit: bool) -> list[socket.socket]:
    if address == "off":
        return []
    try:
        return open_single(address, setting="metrics")
    except ListenError as error:
        if explicit or not error.in_use:
            raise
        log("warning", f"{error}; metrics are served on the Admin API's address only")
        return []
