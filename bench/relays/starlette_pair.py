"""A gateway as it is written with Starlette and httpx2: a ``StreamingResponse`` of what an ``AsyncClient`` gets, on uvicorn.

``python -m bench.relays.starlette_pair PORT UPSTREAM_PORT ACCESS_LOG``. With uvloop and httptools; method, target, status and
fields go on but for the hop-by-hop ones, bodies in both directions as they come. A client that leaves behind the head ends
its upstream; one that leaves before, as soon as the head has come.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from bench.peers.peer import BACKLOG
from bench.relays.hop_by_hop import HOP_BY_HOP
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_HOP_BY_HOP = frozenset(name.encode() for name in HOP_BY_HOP)
Fields = list[tuple[bytes, bytes]]


class Relay:
    """The application of every path; requests go to ``127.0.0.1:upstream_port``."""

    def __init__(self, upstream_port: int) -> None:
        self._port = upstream_port
        # No client of the network's: neither its proxies nor its certificates are looked for.
        self._client = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=60),
            timeout=httpx2.Timeout(None, connect=5),
            trust_env=False,
            verify=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the origin and stream its answer (ASGI)."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def close(self) -> None:
        """Close the connections to the origin."""
        await self._client.aclose()

    async def _answer(self, request: Request) -> Response:
        try:
            upstream = await self._client.send(self._request(request), stream=True)
        except httpx2.TransportError as error:
            return PlainTextResponse(f"{error!r}\n", status_code=502)
        response = StreamingResponse(
            upstream.aiter_raw(), status_code=upstream.status_code, background=BackgroundTask(upstream.aclose)
        )
        response.raw_headers = _end_to_end(upstream.headers.raw)
        return response

    def _request(self, request: Request) -> httpx2.Request:
        query = request.scope["query_string"]
        target = request.scope["raw_path"] + (b"?" + query if query else b"")
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        return httpx2.Request(
            request.method,
            httpx2.URL(scheme="http", host="127.0.0.1", port=self._port, raw_path=target),
            headers=_end_to_end(request.headers.raw),
            content=request.stream() if has_body else None,
        )


def _end_to_end(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    return [(name.lower(), value) for name, value in fields if name.lower() not in _HOP_BY_HOP]


def _log_config(access_log: str) -> dict[str, object]:
    """Give uvicorn's own logging with its access log in a file."""
    config = uvicorn.config.LOGGING_CONFIG
    to_file = {"class": "logging.FileHandler", "formatter": "access", "filename": access_log}
    return {**config, "handlers": {**config["handlers"], "access": to_file}}


def main(port: int, upstream_port: int, access_log: str) -> None:
    """Relay until killed."""
    relay = Relay(upstream_port)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await relay.close()

    uvicorn.run(
        Starlette(routes=[Route("/{path:path}", relay)], lifespan=lifespan),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        backlog=BACKLOG,
        log_config=_log_config(access_log),
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
