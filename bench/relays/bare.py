"""The smallest relay that could be measured against: asyncio protocols on uvloop, httptools, and nothing else.

``python -m bench.relays.bare PORT UPSTREAM_PORT``. One request per downstream connection, a new upstream connection for
each, every body piece written as a chunk as it comes, back-pressure by the transports, either close closes the other.
No routes, limits, logs, errors or pool: what a gateway costs beyond this is the price of its features.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop


class Upstream(asyncio.Protocol):
    """The connection to the origin: writes its response downstream."""

    __slots__ = ("_downstream", "_fields", "_parser", "transport")

    transport: asyncio.Transport

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream
        self._fields: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request on."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by isinstance
        self.transport.write(self._downstream.request)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field, unless it frames the message."""
        if name.lower() not in (b"transfer-encoding", b"content-length", b"connection"):
            self._fields.append(b"%s: %s\r\n" % (name, value))

    def on_headers_complete(self) -> None:
        """Write the head."""
        line = b"HTTP/1.1 %d OK\r\n" % self._parser.get_status_code()
        self._downstream.transport.write(line + b"".join(self._fields) + b"Transfer-Encoding: chunked\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Write a chunk."""
        self._downstream.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def on_message_complete(self) -> None:
        """Write the last chunk."""
        self._downstream.transport.write(b"0\r\n\r\n")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side."""
        del exc
        self._downstream.transport.close()

    def pause_writing(self) -> None:
        """Nothing is written here after the request."""


class Downstream(asyncio.Protocol):
    """The client's connection: reads one request."""

    __slots__ = (
        "_fields",
        "_loop",
        "_parser",
        "_target",
        "_task",
        "_upstream",
        "_upstream_port",
        "request",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream_port: int) -> None:
        self.request = b""
        self._loop = loop
        self._upstream_port = upstream_port
        self._upstream: Upstream | None = None
        self._task: asyncio.Task[None] | None = None
        self._target = b""
        self._fields: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by isinstance

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_url(self, target: bytes) -> None:
        """Keep the target."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        self._fields.append(b"%s: %s\r\n" % (name, value))

    def on_message_complete(self) -> None:
        """Connect upstream."""
        self.request = b"GET %s HTTP/1.1\r\n%s\r\n" % (self._target, b"".join(self._fields))
        self._task = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        upstream = Upstream(self)
        try:
            await self._loop.create_connection(lambda: upstream, "127.0.0.1", self._upstream_port)
        except OSError:
            self.transport.close()
            return
        self._upstream = upstream
        if self.transport.is_closing():
            upstream.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side, or give up connecting to it."""
        del exc
        if self._upstream is not None:
            self._upstream.transport.abort()
        elif self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Stop reading what the client does not take."""
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        if self._upstream is not None:
            self._upstream.transport.resume_reading()


def main(port: int, upstream_port: int) -> None:
    """Relay until killed."""
    loop = uvloop.new_event_loop()
    make = lambda: Downstream(loop, upstream_port)  # noqa: E731  # the loop's factory takes no arguments
    server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", port, backlog=4096))
    loop.run_until_complete(server.serve_forever())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
