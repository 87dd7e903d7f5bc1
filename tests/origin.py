"""The programmable HTTP/1.1 origin behind the gateway in every system test.

It runs in a thread of its own with its own loop, speaks over real sockets on 127.0.0.1, and does to a connection
exactly what a handler says. The paths of APISIX's fixture upstream (:mod:`tests.apisix_fixture`) are there from the
start; a test adds its own::

    async def cut(request: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Length", b"100"))
        await wire.send(b"only this")
        wire.rst()

    with Origin() as origin:
        origin.on("/cut", cut)
        stream = origin.events("/events", framing="chunked", steps=[b"data: a\n\n", b"data: b\n\n"])
        ...  # a gateway with an upstream node at origin.address
        stream.confirm(0)  # the client has the first event: the second one may be made

A handler that raises fails the test when the block ends; one whose peer has left just ends.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from tests import apisix_fixture
from tests.origin_steps import End, Framing, Gate, Steps
from tests.origin_wire import Closed, Fields, Handler, PeerGoneError, Received, Wire

__all__ = ["Closed", "End", "Framing", "Gate", "Handler", "Origin", "PeerGoneError", "Received", "Steps", "Wire"]

EVENT_STREAM: Fields = (b"Content-Type", b"text/event-stream")


class Origin:
    """An upstream server for the length of a ``with`` block.

    ``port`` 0 takes a free one; give one to come back where another origin was. ``tls`` makes it speak HTTPS. ``requests`` and ``connections`` list
    everything in order of arrival. All waiting methods take ``timeout_s`` (default 30) and raise AssertionError.
    """

    def __init__(self, *, port: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self.requests: list[Received] = []
        self.connections: list[Wire] = []
        self.errors: list[BaseException] = []
        self._handlers: dict[str, Handler] = dict(apisix_fixture.PATHS)
        self._changed = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._stop = Gate()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Bind, listen and serve."""
        listener = socket.create_server((self.host, self.port), backlog=4096)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener)), name="origin", daemon=True)
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and the listener; raise what a handler raised, unless the test fails already."""
        try:
            self.stop()
        except BaseException:
            if kind is None:
                raise

    def stop(self) -> None:
        """Close every connection and the listener, before the block ends or at its end; raise a handler's error once."""
        if self._thread is not None:
            self._stop.open()
            self._thread.join()
            self._thread = None
            if self.errors:
                raise self.errors[0]

    # What the test sets up.

    @property
    def address(self) -> str:
        """``host:port``, as the key of an upstream's ``nodes``."""
        return f"{self.host}:{self.port}"

    def on(self, path: str, handler: Handler) -> None:
        """Answer a path with ``handler``; a trailing ``*`` takes every path that starts so, the longest first."""
        self._handlers[path] = handler

    def events(
        self,
        path: str,
        *,
        steps: Sequence[bytes],
        framing: Framing = "chunked",
        end: End = "proper",
        fields: Sequence[Fields] = (EVENT_STREAM,),
    ) -> Steps:
        """Answer a path with a stream whose next step is sent only when the one before is confirmed (:class:`Steps`)."""
        stream = Steps(steps, framing=framing, end=end, fields=fields)
        self.on(path, stream)
        return stream

    # What the test sees.

    @property
    def connections_opened(self) -> int:
        """How many connections were accepted."""
        return len(self.connections)

    @property
    def requests_by_connection(self) -> list[int]:
        """How many requests came on each connection, in the order of the connections."""
        return [wire.requests for wire in self.connections]

    def request(self, index: int = 0, *, timeout_s: float = 30.0) -> Received:
        """Wait for the request number ``index`` (from 0) and give it."""
        self.wait_for(lambda: len(self.requests) > index, f"request {index}", timeout_s=timeout_s)
        return self.requests[index]

    def closed(self, connection: int = 0, *, timeout_s: float = 30.0) -> Closed:
        """Wait until the peer has closed a connection (numbered from 0), and say how and when."""

        def seen() -> bool:
            return len(self.connections) > connection and self.connections[connection].closed_by_peer is not None

        self.wait_for(seen, f"the close of connection {connection}", timeout_s=timeout_s)
        closed = self.connections[connection].closed_by_peer
        assert closed is not None
        return closed

    def wait_for(self, condition: Callable[[], bool], what: str = "the condition", *, timeout_s: float = 30.0) -> None:
        """Wait until ``condition()`` holds; it is asked after everything that happens on a connection."""
        with self._changed:
            seen = self._changed.wait_for(condition, timeout_s)
        assert seen, f"{what} did not come within {timeout_s} s; {self._state()}"

    def _state(self) -> str:
        lines = [f"{one.method.decode()} {one.target!r} on {one.connection}" for one in self.requests]
        ends = [wire.closed_by_peer and wire.closed_by_peer.how for wire in self.connections]
        return f"requests: {lines}, connections closed by the peer: {ends}, errors: {self.errors}"

    # The server.

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, sock=listener, ssl=self._tls)
        self._started.set()
        await self._stop.wait()
        server.close()
        for wire in self.connections:
            wire.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports report connection_lost in the loop's next turn

    def _accept(self) -> Wire:
        wire = Wire(len(self.connections), self._changed)
        self.connections.append(wire)
        task = asyncio.get_running_loop().create_task(self._converse(wire))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return wire

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)

    async def _converse(self, wire: Wire) -> None:
        try:
            while (request := await wire.read_request()) is not None:
                self.requests.append(request)
                wire.announce()
                await self._handler(request)(request, wire)
                if wire.closed or wire.transport.is_closing():
                    return None
                await request.body()
                if not request.keep_alive:
                    return wire.fin()
        except PeerGoneError:
            pass  # the peer may leave at any time; tests look at `closed`
        finally:
            wire.transport.close()

    def _handler(self, request: Received) -> Handler:
        path = request.path.decode("latin-1")
        exact = self._handlers.get(path)
        if exact is not None:
            return exact
        prefixes = [one for one in self._handlers if one.endswith("*") and path.startswith(one[:-1])]
        return self._handlers[max(prefixes, key=len)] if prefixes else _nothing_here


async def _nothing_here(request: Received, wire: Wire) -> None:
    await wire.respond(404, b"the origin has no handler for %s\n" % request.path)
