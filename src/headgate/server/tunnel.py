"""Two connections joined after a 101: bytes both ways, each side's FIN passed on, each side's slowness felt by the other.

The first thing that goes wrong names the ending; nothing did = ``complete``. A tunnel is one entry of the timer wheel,
which is why a read costs no more than a stamp.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate.stream.ending import Ending
from headgate.timer_wheel import UNSCHEDULED, TimerWheel

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway
    from headgate.server.http1_connection import Http1Connection
    from headgate.upstream.http1_client import Http1Client


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """Seconds. ``silence_s``: neither side says anything; 0 = no limit. ``stall_s``: a side takes none of what waits for it.

    A stall is seen after up to twice ``stall_s``. ``stall_s`` is also the longest silence of an upstream that cannot
    be told that its client has finished: TLS connections have no half-close here.
    """

    silence_s: float
    stall_s: float


class Tunnel:
    """What both ends share. ``on_end`` is called once, with the ending, when both connections are closed."""

    __slots__ = (
        "_client",
        "_ending",
        "_limits",
        "_on_end",
        "_open",
        "_upstream",
        "_wheel",
        "clock",
        "moved_at",
        "wheel_slot",
    )

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        on_end: Callable[[Ending], None],
        *,
        limits: TunnelLimits,
        wheel: TimerWheel,
        clock: Callable[[], float],
    ) -> None:
        self._client = _Side(self, client, upstream, broken=Ending.CLIENT_GONE, stalled=Ending.CLIENT_STALLED)
        self._upstream = _Side(self, upstream, client, broken=Ending.UPSTREAM_RESET, stalled=Ending.UPSTREAM_STALL)
        self._on_end = on_end
        self._limits = limits
        self._wheel = wheel
        self._open = 2
        self._ending: Ending | None = None
        self.clock = clock
        self.moved_at = clock()
        self.wheel_slot = UNSCHEDULED

    @property
    def bytes_up(self) -> int:
        """How much the client has said."""
        return self._client.bytes_read

    @property
    def bytes_down(self) -> int:
        """How much the upstream has said."""
        return self._upstream.bytes_read

    def open(self, *, from_client: bytes, from_upstream: bytes) -> None:
        """Join the connections, which are being read; the bytes are what each side has already said."""
        early_bytes = ((self._upstream, from_upstream), (self._client, from_client))
        for side, _ in early_bytes:
            side.transport.set_protocol(side)
        for side, early in early_bytes:
            if early:
                side.data_received(early)
        self._wheel.schedule(self, self.moved_at + min(self._limits.silence_s or math.inf, self._limits.stall_s))

    def abort(self) -> None:
        """Close both connections at once."""
        self._client.transport.abort()
        self._upstream.transport.abort()

    def note(self, ending: Ending) -> None:
        """Note what went wrong, unless something has before."""
        if self._ending is None:
            self._ending = ending

    def side_finished(self) -> None:
        """Note a FIN; after both, nothing more can come, and both connections are closed once they are flushed."""
        if self._client.has_finished and self._upstream.has_finished:
            self._client.transport.close()
            self._upstream.transport.close()

    def side_closed(self) -> None:
        """Note that one connection is closed."""
        self._open -= 1
        if not self._open:
            self._wheel.cancel(self)
            self._on_end(self._ending or Ending.COMPLETE)

    def check_deadline(self, now: float) -> float | None:
        """Cut a tunnel that was silent for too long, or one of whose sides takes nothing."""
        if not self._open:
            return None
        due, ending = min(self._find_stall(now), self._find_silence())
        if now < due:
            return min(due, now + self._limits.stall_s)
        self.note(ending)
        self.abort()
        return None

    def _find_stall(self, now: float) -> tuple[float, Ending]:
        """Give which side is the first that may have taken nothing for too long, and when."""
        found = math.inf, Ending.COMPLETE
        for side, other in ((self._client, self._upstream), (self._upstream, self._client)):
            if side.unsent_bytes:
                self.moved_at = now  # a silence begins when everything is delivered
                due = side.check_delivery(other.bytes_read, now) + self._limits.stall_s
                found = min(found, (due, side.stalled))
        return found

    def _find_silence(self) -> tuple[float, Ending]:
        """Give when the tunnel has been silent for too long, and what that is then called."""
        if self._client.has_finished and not self._upstream.transport.can_write_eof():
            return self.moved_at + self._limits.stall_s, Ending.CLIENT_GONE
        return self.moved_at + (self._limits.silence_s or math.inf), Ending.UPSTREAM_STALL


def make_tunnel(
    gateway: Gateway,
    connection: Http1Connection,
    upstream: Http1Client,
    *,
    silence_s: float,
    on_end: Callable[[Ending], None],
) -> Tunnel:
    """Make the tunnel of a client's connection and an upstream's; ``silence_s`` as in :class:`TunnelLimits`."""
    assert upstream.transport is not None
    limits = TunnelLimits(silence_s, gateway.settings.http.send_timeout_s)
    for transport in (connection.transport, upstream.transport):  # a side that takes nothing has the tunnel's own limit
        gateway.liveness.set_user_timeout(transport.get_extra_info("socket"), 0.0)
    return Tunnel(
        connection.transport, upstream.transport, on_end, limits=limits, wheel=gateway.wheel, clock=gateway.clock
    )


class _Side(asyncio.Protocol):
    """One connection of a tunnel: what it reads goes to ``other``; ``broken`` and ``stalled`` are its bad endings."""

    __slots__ = (
        "_broken",
        "_delivered_at",
        "_delivered_bytes",
        "_other",
        "_tunnel",
        "bytes_read",
        "has_finished",
        "stalled",
        "transport",
    )

    def __init__(
        self,
        tunnel: Tunnel,
        transport: asyncio.Transport,
        other: asyncio.Transport,
        *,
        broken: Ending,
        stalled: Ending,
    ) -> None:
        self._tunnel = tunnel
        self._other = other
        self._broken = broken
        self._delivered_at = 0.0
        self._delivered_bytes = -1
        self.transport = transport
        self.stalled = stalled
        self.bytes_read = 0
        self.has_finished = False

    @property
    def unsent_bytes(self) -> int:
        """How much waits to be taken by this side."""
        return self.transport.get_write_buffer_size()

    def check_delivery(self, total_bytes: int, now: float) -> float:
        """Give when this side was last seen to have taken something of the ``total_bytes`` that were for it."""
        delivered_bytes = total_bytes - self.unsent_bytes
        if delivered_bytes != self._delivered_bytes:
            self._delivered_bytes = delivered_bytes
            self._delivered_at = now
        return self._delivered_at

    def data_received(self, data: bytes) -> None:
        tunnel = self._tunnel
        tunnel.moved_at = tunnel.clock()
        self.bytes_read += len(data)
        self._other.write(data)

    def eof_received(self) -> bool:
        if self._other.is_closing():
            return False
        self.has_finished = True
        self._tunnel.moved_at = self._tunnel.clock()
        if self._other.can_write_eof():
            self._other.write_eof()
        self._tunnel.side_finished()
        return self.transport.can_write_eof()  # one that has no half-close closes itself

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._tunnel.note(self._broken)
        self._other.close()
        self._tunnel.side_closed()
