"""One of the upstreams on a port, until SIGTERM, SIGINT or cancellation.

On the way out every connection is closed as it stands: a stream that has no end ends without a last chunk, just as
when the original's process dies, so that whoever reads it can tell a cut from an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import uvicorn

from headgate.echo import clock, echo
from headgate.echo.asgi import Application, Log, print_line

Style = Literal["echo", "clock"]
"""``echo``: jmalloc/echo-server (walk-throughs: port 8080); ``clock``: golang-html5-sse-example (port 8000)."""

_NEVER_S = 365 * 24 * 3600


async def serve(
    style: Style,
    host: str,
    port: int,
    *,
    sock: socket.socket | None = None,
    interval_s: float | None = None,
    log: Log = print_line,
) -> None:
    """Serve until told to stop; open streams are cut, and it returns within half a second.

    ``sock`` is a bound socket to serve on in place of ``host`` and ``port``. ``interval_s`` is the time between two
    events, by default 1 (echo) or 5 (clock) seconds. ``log`` gets the lines that the originals print. SIGTERM and
    SIGINT are handled if this is the main thread. Raises OSError if the address cannot be bound.
    """
    if sock is None:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    log(f"Echo server listening on port {sock.getsockname()[1]}.")
    server = _Server(_configure(_make_app(style, interval_s, log)))
    try:
        await server.serve(sockets=[sock])
    except asyncio.CancelledError:
        await server.shutdown([sock])
        raise


def _make_app(style: Style, interval_s: float | None, log: Log) -> Application:
    if style == "echo":
        return echo.app(interval_s=1.0 if interval_s is None else interval_s, log=log)
    return clock.app(interval_s=5.0 if interval_s is None else interval_s, log=log)


def _configure(app: Application) -> uvicorn.Config:
    """Configure uvicorn to stay unseen: no Server field, no idle limit, no pings, peers' addresses untouched.

    h11 is chosen over httptools: it keeps the spelling of field names and ends a body for HTTP/1.0 by closing.
    """
    return uvicorn.Config(
        app,
        interface="asgi3",
        http="h11",
        h11_max_incomplete_event_size=1 << 20,
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_NEVER_S,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and leave it at that: uvicorn would raise it anew and the process die of it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True
