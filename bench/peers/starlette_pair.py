"""A relay of Starlette and httpx2 as a peer."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.peers.peer import Peer

from bench.peers import installed


class StarlettePair(Peer):
    """:mod:`bench.relays.starlette_pair`, after "StreamingResponse" of Starlette's pages, "Streaming responses" of httpx2's and uvicorn's settings."""

    name = "starlette"
    worker = ""

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_packages("the Starlette pair", "starlette", "httpx2", "uvicorn", "httptools")

    def version(self) -> str:
        """Give the versions that count."""
        return installed.versions("starlette", "httpx2", "uvicorn", "uvloop", "httptools")

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Run the module."""
        log = directory / "access.log"
        return [sys.executable, "-m", "bench.relays.starlette_pair", str(port), str(upstream_port), str(log)]
