"""No gateway at all as a peer: what the load itself takes."""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer import Peer


class Direct(Peer):
    """Clients connect to the origin; what a gateway adds to a latency is its own less this peer's."""

    name = "direct"
    worker = ""

    def version(self) -> str:
        """Say that there is nothing."""
        return "no gateway"

    def command(self, directory: Path, port: int, upstream_port: int) -> None:
        """Run nothing."""
        del directory, port, upstream_port
