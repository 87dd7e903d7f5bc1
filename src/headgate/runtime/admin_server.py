"""HTTP servers of control: uvicorn on sockets that the supervisor opened.

Invariants: signals are the supervisor's business, none is caught here; headers of a proxy in front are not believed; when the server
stops, the supervisor still holds the sockets, and requests wait in them for the next control; what it has accepted it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn

STOP_S = 1
"""How long open requests may take when control stops, in whole seconds as uvicorn counts; the supervisor waits less."""

FIRST_REQUEST_S = 0.1
"""How long the request of a connection that was accepted last may take to be read; uvicorn closes connections without one."""

MAX_HEAD_BYTES = 64 * 1024
"""Longest request head that is read; a longer one gets 400 and is dropped, before any key is looked at."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """Serves the ASGI application ``app`` on ``descriptors`` (listening sockets, at least one)."""

    def __init__(self, app: Any, descriptors: Sequence[int], *, name: str) -> None:
        self.name = name
        config = uvicorn.Config(
            app,
            http="h11",  # the only one of uvicorn's protocols that bounds a head
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=STOP_S,
        )
        self._server = _Server(config)
        self._server.servers = []
        self._sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]

    async def serve(self) -> None:
        """Serve until :meth:`stop` is called and open requests have ended."""
        await self._server.serve(self._sockets)

    async def stop(self) -> None:
        """Stop accepting, let requests that are on their way be read, and then let open requests end; return before they have."""
        for server in self._server.servers:
            server.close()
        await asyncio.sleep(FIRST_REQUEST_S)
        self._server.should_exit = True
