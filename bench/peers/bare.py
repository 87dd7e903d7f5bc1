"""The smallest relay in Python as a peer."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from bench.peers.peer import Peer


class Bare(Peer):
    """:mod:`bench.relays.bare`."""

    name = "bare"
    worker = ""

    def version(self) -> str:
        """Give the loop's version."""
        return f"uvloop {metadata.version('uvloop')}"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Run the module."""
        del directory
        return [sys.executable, "-m", "bench.relays.bare", str(port), str(upstream_port)]
