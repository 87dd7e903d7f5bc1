"""A control without a configuration: its admin port tells who it is and which workers its links reach.

``FAKE_CONTROL``: ``failed`` = reports that it cannot start. A client that sends ``silent SLOT PID`` has that worker reported as silent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from headgate.observe.counters import STREAMS_ENDED, STREAMS_OPEN, STREAMS_OPENED, Counters
from headgate.runtime.orders import Orders
from headgate.runtime.start import Start, ignore_stop_signals
from headgate.stream.ending import Ending


class FakeControl:
    def __init__(self, start: Start) -> None:
        self._start = start
        self._counters = [Counters(descriptor) for descriptor in start.counters]
        self._orders = Orders(start.channel)
        self._linked: dict[str, int] = {}
        self._readiness: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        self._orders.report({"type": "loaded"})
        async for message, _ in self._orders:
            if message["type"] == "begin":
                break
            if message["type"] == "stop":
                return
        for descriptor in self._start.admin:
            await asyncio.start_server(self._on_client, sock=socket.socket(fileno=descriptor))
        self._orders.report({"type": "ready"})
        async for message, descriptors in self._orders:
            if message["type"] == "link":
                reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptors[0]))
                self._tasks.append(asyncio.create_task(self._watch(reader, writer)))
            elif message["type"] == "readiness":
                self._readiness.append(message["status"])
            elif message["type"] == "stop":
                return

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(100)
        if not hello:  # the worker ended before it was linked
            writer.close()
            return
        slot, pid = json.loads(hello)
        self._linked[str(slot)] = pid
        await reader.read()
        if self._linked[str(slot)] == pid:
            del self._linked[str(slot)]
        writer.close()

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order = (await reader.readline()).decode().split()
        if order and order[0] == "silent":
            self._orders.report({"type": "silent", "worker": int(order[1]), "pid": int(order[2])})
        writer.write(json.dumps(self._state()).encode())
        writer.close()

    def _state(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "linked": self._linked,
            "lost": self._count(STREAMS_ENDED[Ending.GATEWAY_ERROR]),
            "open": self._count(STREAMS_OPEN),
            "opened": self._count(STREAMS_OPENED),
            "readiness": self._readiness,
            "mask": json.loads(self._start.read_settings())["mask_query_keys"],
            "metrics": len(self._start.metrics),
        }

    def _count(self, slot: int) -> list[int]:
        """Give the sum of each worker slot's two memories."""
        numbers = [counters.slots[slot] for counters in self._counters]
        return [sum(pair) for pair in zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :], strict=True)]


async def serve(start: Start) -> None:
    if os.environ.get("FAKE_CONTROL") == "failed":
        Orders(start.channel).report({"type": "failed", "error": "the store cannot be read: disk is cheese"})
        return
    await FakeControl(start).run()


if __name__ == "__main__":
    ignore_stop_signals()
    asyncio.run(serve(Start.from_argument(sys.argv[1])))
