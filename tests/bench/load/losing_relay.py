"""The bare relay, but for one body piece of each stream that it keeps to itself; run as a program, used as a peer."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.peers.bare import Bare
from bench.relays import bare

LOST = 3


class Losing(Bare):
    """Loses the fourth body piece of each stream."""

    name = "losing"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        del directory
        return [sys.executable, "-m", __name__, str(port), str(upstream_port)]


class Upstream(bare.Upstream):
    """Counts the pieces."""

    __slots__ = ("pieces",)

    def on_body(self, body: bytes) -> None:
        self.pieces = getattr(self, "pieces", -1) + 1
        if self.pieces != LOST:
            super().on_body(body)


if __name__ == "__main__":
    bare.Upstream = Upstream  # type: ignore[misc]
    bare.main(int(sys.argv[1]), int(sys.argv[2]))
