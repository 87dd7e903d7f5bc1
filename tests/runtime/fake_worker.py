"""A worker without a gateway: each connection is a stream that begins with who serves it and is open until the drain.

``FAKE_WORKER``: ``stubborn`` = does not drain, ``crash`` = dies at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from headgate.observe.counters import STREAMS_OPEN, Counters
from headgate.runtime.orders import Orders
from headgate.runtime.start import Start, ignore_stop_signals


async def serve(start: Start) -> None:
    counters = Counters(start.counters[0])
    streams: list[asyncio.StreamWriter] = []

    def on_stream(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counters.slots[STREAMS_OPEN] += 1
        writer.write(json.dumps({"worker": start.worker, "pid": os.getpid()}).encode() + b"\n")
        streams.append(writer)

    servers = [await asyncio.start_server(on_stream, sock=socket.socket(fileno=fd)) for fd in start.listen]
    orders = Orders(start.channel)
    orders.report({"type": "ready"})
    links = []
    async for message, descriptors in orders:
        if message["type"] == "link":
            link = socket.socket(fileno=descriptors[0])
            link.send(json.dumps([start.worker, os.getpid()]).encode())
            links.append(link)
        elif message["type"] == "reopen_access_log":
            for writer in streams:
                writer.write(b"reopened\n")
        elif message["type"] == "drain" and os.environ.get("FAKE_WORKER") != "stubborn":
            break
    for server in servers:
        server.close()
    for writer in streams:
        writer.write(b"drained\n")
        writer.close()
        await writer.wait_closed()


if __name__ == "__main__":
    ignore_stop_signals()
    if os.environ.get("FAKE_WORKER") == "crash":
        sys.exit(7)
    asyncio.run(serve(Start.from_argument(sys.argv[1])))
