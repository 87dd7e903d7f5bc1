"""Two connections joined after a 101: bytes both ways, each side's FIN passed on, each side's slowness felt by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Tunnel:
    """What both ends share. ``on_end`` is called once, when both connections are closed."""

    __slots__ = ("_on_end", "_open", "bytes_down", "bytes_up")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._open = 2
        self.bytes_down = 0
        self.bytes_up = 0

    def side_closed(self) -> None:
        """Note that one connection is closed."""
        self._open -= 1
        if not self._open:
            self._on_end()


class _Side(asyncio.Protocol):
    """One connection of a tunnel: what it reads goes to ``other``."""

    __slots__ = ("_is_client", "_tunnel", "other", "own")

    def __init__(self, tunnel: Tunnel, own: asyncio.Transport, other: asyncio.Transport, *, is_client: bool) -> None:
        self._tunnel = tunnel
        self._is_client = is_client
        self.own = own
        self.other = other

    def data_received(self, data: bytes) -> None:
        if self._is_client:
            self._tunnel.bytes_up += len(data)
        else:
            self._tunnel.bytes_down += len(data)
        self.other.write(data)

    def eof_received(self) -> bool:
        if not self.other.is_closing() and self.other.can_write_eof():
            self.other.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        if not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- a tunnel has one way to end
        self.other.close()
        self._tunnel.side_closed()


def open_tunnel(
    client: asyncio.Transport,
    upstream: asyncio.Transport,
    on_end: Callable[[], None],
    *,
    from_client: bytes,
    from_upstream: bytes,
) -> Tunnel:
    """Join two connections; the bytes are what each side has already said in the new protocol."""
    tunnel = Tunnel(on_end)
    client.set_protocol(_Side(tunnel, client, upstream, is_client=True))
    upstream.set_protocol(_Side(tunnel, upstream, client, is_client=False))
    if from_upstream:
        tunnel.bytes_down += len(from_upstream)
        client.write(from_upstream)
    if from_client:
        tunnel.bytes_up += len(from_client)
        upstream.write(from_client)
    client.resume_reading()
    return tunnel
