"""One of the upstreams, running in a thread for the length of a test."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from headgate.echo.server import Style, serve


@dataclass(frozen=True, slots=True)
class Upstream:
    """A port on 127.0.0.1 and the lines printed so far."""

    port: int
    lines: queue.SimpleQueue[str]

    def wait_for_line(self, part: str) -> str:
        """Wait until a line with that part is printed, and give it."""
        while part not in (line := self.lines.get(timeout=30)):
            pass
        return line


@contextlib.contextmanager
def running(style: Style, *, interval_s: float = 0.05) -> Iterator[Upstream]:
    sock = socket.create_server(("127.0.0.1", 0))
    upstream = Upstream(sock.getsockname()[1], queue.SimpleQueue())
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.SimpleQueue()

    async def run() -> None:
        task = asyncio.ensure_future(serve(style, "", 0, sock=sock, interval_s=interval_s, log=upstream.lines.put))
        started.put((asyncio.get_running_loop(), task))
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    loop, task = started.get(timeout=30)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(timeout=30)
    assert not thread.is_alive()
