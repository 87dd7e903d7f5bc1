"""A relay that spoils some of its connections in a way that is asked for; run as a program, used as a peer."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from bench.peers.bare import Bare

LIES: dict[str, Callable[[bytes], bytes]] = {
    "status": lambda piece: piece.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 203 OK"),
    "refusal": lambda _: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    "damage": lambda piece: piece[:-40] + b"?" + piece[-39:],
    "cut": lambda piece: piece[:-5],
    "end": lambda piece: piece,
    "goodbye": lambda piece: piece.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
    "deaf": lambda piece: piece,
}
"""What is made of what comes from the origin. Behind it ``cut``, ``end`` and ``goodbye`` close; ``deaf`` never tells the origin that a client has left."""


class Lying(Bare):
    """Lies on every second connection, or on ``every``-th."""

    name = "lying"

    def __init__(self, lie: str, *, every: int = 2) -> None:
        self._lie = lie
        self._every = every

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        del directory
        return [sys.executable, "-m", __name__, str(port), str(upstream_port), self._lie, str(self._every)]


async def relay(port: int, upstream_port: int, lie: str, every: int) -> None:
    numbers = count()
    kept = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(65536)
        spoil = bool(request) and next(numbers) % every == 0
        try:
            if not request:  # somebody looked whether this program listens
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
            kept.append(up_writer)
            up_writer.write(request)
            down = asyncio.create_task(pump(up_reader, writer, lie if spoil else None))
            await asyncio.wait(
                {down, asyncio.create_task(pump(reader, up_writer, None))}, return_when="FIRST_COMPLETED"
            )
            if not (spoil and lie == "deaf"):
                up_writer.transport.abort()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=512) as server:
        await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lie: str | None) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(LIES[lie](piece) if lie else piece)
            await writer.drain()
            if lie in {"cut", "end", "goodbye"}:
                return


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
