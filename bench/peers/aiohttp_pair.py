"""A relay of aiohttp's server and client as a peer."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.peers.peer import Peer

from bench.peers import installed


class AiohttpPair(Peer):
    """:mod:`bench.relays.aiohttp_pair`, after aiohttp's "Streaming Response Content", "Web Server Advanced" and deployment pages."""

    name = "aiohttp"
    worker = ""

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_packages("the aiohttp pair", "aiohttp")

    def version(self) -> str:
        """Give the versions that count."""
        return installed.versions("aiohttp", "uvloop")

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Run the module."""
        log = directory / "access.log"
        return [sys.executable, "-m", "bench.relays.aiohttp_pair", str(port), str(upstream_port), str(log)]
