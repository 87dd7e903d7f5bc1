"""A worker without a gateway: each connection is a stream that begins with who serves it and is open until the drain.

``FAKE_WORKER``, or the file that ``FAKE_WORKER_FILE`` names, says how it behaves: ``stubborn`` = does not drain, ``crash`` = dies at once,
``failed`` = reports that it cannot start, ``mute`` = is never loaded, ``held`` = is loaded once the file says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from headgate.observe.counters import STREAMS_OPEN, STREAMS_OPENED, Counters
from headgate.runtime.orders import Orders
from headgate.runtime.start import Start, ignore_stop_signals


def behaviour() -> str | None:
    file = os.environ.get("FAKE_WORKER_FILE")
    return Path(file).read_text() if file else os.environ.get("FAKE_WORKER")


class FakeWorker:
    def __init__(self, start: Start, behaviour: str | None) -> None:
        self._start = start
        self._behaviour = behaviour
        self._counters = Counters(start.counters[0])
        self._orders = Orders(start.channel)
        self._sockets = [socket.socket(fileno=descriptor) for descriptor in start.listen]
        self._servers: list[asyncio.Server] = []
        self._streams: list[asyncio.StreamWriter] = []
        self._links: list[socket.socket] = []

    async def run(self) -> None:
        if self._behaviour == "failed":
            self._orders.report({"type": "failed", "error": "the log cannot be opened: disk is cheese"})
            return
        loading = asyncio.create_task(self._load())
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    link = socket.socket(fileno=descriptors[0])
                    link.send(json.dumps([self._start.worker, os.getpid()]).encode())
                    self._links.append(link)
                case "accept":
                    self._servers = [
                        await asyncio.start_server(self._on_stream, sock=listening) for listening in self._sockets
                    ]
                    self._orders.report({"type": "ready"})
                case "reopen_access_log":
                    for writer in self._streams:
                        writer.write(b"reopened\n")
                case "drain":
                    await self._leave()
                    if self._behaviour != "stubborn":
                        break
        loading.cancel()
        await self._end()

    async def _load(self) -> None:
        while self._behaviour == "mute" or (self._behaviour == "held" and behaviour() == "held"):  # noqa: ASYNC110 - files have no event
            await asyncio.sleep(0.01)
        self._orders.report({"type": "loaded"})

    async def _leave(self) -> None:
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()
        await asyncio.sleep(0)
        self._orders.report({"type": "draining"})

    async def _end(self) -> None:
        for writer in self._streams:
            writer.write(b"drained\n")
            writer.close()
            await writer.wait_closed()
            self._counters.slots[STREAMS_OPEN] -= 1

    def _on_stream(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._counters.slots[STREAMS_OPEN] += 1
        self._counters.slots[STREAMS_OPENED] += 1
        settings = json.loads(self._start.read_settings())
        hello = {"worker": self._start.worker, "pid": os.getpid(), "mask": settings["mask_query_keys"]}
        writer.write(json.dumps(hello).encode() + b"\n")
        self._streams.append(writer)


async def serve(start: Start) -> None:
    await FakeWorker(start, behaviour()).run()


if __name__ == "__main__":
    ignore_stop_signals()
    if behaviour() == "crash":
        sys.exit(7)
    asyncio.run(serve(Start.from_argument(sys.argv[1])))
