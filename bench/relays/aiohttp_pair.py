"""A gateway as it is written with aiohttp: a handler of its server that streams what its client session gets.

``python -m bench.relays.aiohttp_pair PORT UPSTREAM_PORT ACCESS_LOG``. On uvloop; method, target, status and fields go on but
for the hop-by-hop ones, bodies in both directions as they come. A client that leaves ends its handler, and so its upstream.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping

import uvloop
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from bench.peers.peer import BACKLOG
from bench.relays.hop_by_hop import HOP_BY_HOP
from multidict import CIMultiDict
from yarl import URL

READ_BYTES = 65536


class Relay:
    """The handler of every request; ``origin`` is where they go."""

    def __init__(self, session: ClientSession, origin: str) -> None:
        self._session = session
        self._origin = origin

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Ask the origin and stream its answer."""
        try:
            upstream = await self._ask(request)
        except ClientError as error:
            raise web.HTTPBadGateway(text=f"{error}\n") from error
        async with upstream:
            response = web.StreamResponse(
                status=upstream.status, reason=upstream.reason, headers=_end_to_end(upstream.headers)
            )
            await response.prepare(request)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def _ask(self, request: web.Request) -> ClientResponse:
        return await self._session.request(
            request.method,
            URL(self._origin + request.raw_path, encoded=True),
            headers=_end_to_end(request.headers),
            data=request.content.iter_any() if request.can_read_body else None,
            allow_redirects=False,
        )


def _end_to_end(fields: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in fields.items() if name.lower() not in HOP_BY_HOP)


async def _serve(port: int, upstream_port: int) -> None:
    session = ClientSession(
        auto_decompress=False,
        connector=TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=DummyCookieJar(),
        read_bufsize=READ_BYTES,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        timeout=ClientTimeout(total=None, sock_connect=5),
    )
    async with session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Relay(session, f"http://127.0.0.1:{upstream_port}"))
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=BACKLOG).start()
        await asyncio.Event().wait()


def main(port: int, upstream_port: int, access_log: str) -> None:
    """Relay until killed."""
    logging.basicConfig(filename=access_log, level=logging.INFO)
    uvloop.run(_serve(port, upstream_port))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
