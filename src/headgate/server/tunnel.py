"""Two connections joined after a 101: bytes both ways, each side's FIN passed on, each side's slowness felt by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FLUSH_S = 60.0
"""How long one side may take for its last bytes once the other side is gone."""


class Tunnel:
    """What both ends share. ``on_end`` is called once, when both connections are closed."""

    __slots__ = ("_eofs", "_on_end", "_open", "_transports", "bytes_down", "bytes_up")

    def __init__(self, client: asyncio.Transport, upstream: asyncio.Transport, on_end: Callable[[], None]) -> None:
        self._transports = (client, upstream)
        self._on_end = on_end
        self._open = 2
        self._eofs = 0
        self.bytes_down = 0
        self.bytes_up = 0

    def open(self, *, from_client: bytes, from_upstream: bytes) -> None:
        """Join the connections, which are being read; the bytes are what each side has already said."""
        client, upstream = self._transports
        client.set_protocol(_Side(self, upstream, is_client=True))
        upstream.set_protocol(_Side(self, client, is_client=False))
        if from_upstream:
            self.bytes_down += len(from_upstream)
            client.write(from_upstream)
        if from_client:
            self.bytes_up += len(from_client)
            upstream.write(from_client)

    def abort(self) -> None:
        """Close both connections at once."""
        for transport in self._transports:
            transport.abort()

    def side_finished(self) -> None:
        """Note a FIN; after both, nothing more can come, and both connections are closed once they are flushed."""
        self._eofs += 1
        if self._eofs == 2:
            for transport in self._transports:
                transport.close()

    def side_closed(self) -> None:
        """Note that one connection is closed."""
        self._open -= 1
        if not self._open:
            self._on_end()


class _Side(asyncio.Protocol):
    """One connection of a tunnel: what it reads goes to ``other``."""

    __slots__ = ("_is_client", "_other", "_tunnel")

    def __init__(self, tunnel: Tunnel, other: asyncio.Transport, *, is_client: bool) -> None:
        self._tunnel = tunnel
        self._is_client = is_client
        self._other = other

    def data_received(self, data: bytes) -> None:
        if self._is_client:
            self._tunnel.bytes_up += len(data)
        else:
            self._tunnel.bytes_down += len(data)
        self._other.write(data)

    def eof_received(self) -> bool:
        if self._other.is_closing():
            return False
        self._other.write_eof()
        self._tunnel.side_finished()
        return True

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- a tunnel has one way to end
        if not self._other.is_closing():
            if self._other.get_write_buffer_size():
                asyncio.get_running_loop().call_later(FLUSH_S, self._other.abort)
            self._other.close()
        self._tunnel.side_closed()
