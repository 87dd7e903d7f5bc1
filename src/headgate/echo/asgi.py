"""The few moves of an ASGI application that both upstreams share: read a body, wait for the client, answer.

Types are those of the ASGI specification 3.0, spelled out only as far as they are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from headgate.wire.headers import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Log = Callable[[str], object]

print_line: Log = partial(print, flush=True)
"""The default log: standard output, a line at a time, as the originals do."""


async def read_body(receive: Receive) -> bytes:
    """Read the request's body to its end, or to where the client left."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def leaves_within(receive: Receive, seconds: float) -> bool:
    """Wait for the client to leave, at most so long; say whether it has left. Body bytes are dropped."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def start_response(send: Send, status: int, headers: Headers) -> None:
    """Send the head; without a Content-Length the body will be chunked (HTTP/1.0: ended by closing)."""
    fields = [(name, value) for _, name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def send_piece(send: Send, piece: bytes) -> None:
    """Send a piece of a body that goes on; returns at once unless the client does not read."""
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send a whole response. Up to 2 KiB go with a Content-Length, more in chunks, as Go's net/http does it."""
    if len(body) <= 2048:
        headers.set(b"Content-Length", b"%d" % len(body))
    await start_response(send, status, headers)
    await send({"type": "http.response.body", "body": body})
