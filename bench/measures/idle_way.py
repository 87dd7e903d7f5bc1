"""How long an idle gateway takes: an event's way through it, and the news that a client has left.

One connection at a time, blocking sockets for origin and client in one process, a pause before each try so that the
gateway sleeps in its poll. Times are CLOCK_MONOTONIC, from just before the one call to just after the other returned.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench.measures.leaving import HEAD, PATIENCE_S, PAUSE_S, Leaver, chunk, drop_waiting, read_to
from bench.peers.peer import Peer, running


@dataclass(frozen=True, slots=True)
class IdleFigures:
    """Medians over the tries, in microseconds; ``client_gone_us`` by the words of :class:`bench.measures.leaving.Phase`."""

    event_us: float
    client_gone_us: Mapping[str, float]


def run_idle(peer: Peer, *, core: int, tries: int = 50, size_bytes: int = 200) -> IdleFigures:
    """Measure a peer. Raises PeerFailedError, or TimeoutError when something does not come within 10 s."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running(peer, listener.getsockname()[1], core=core) as gateway,
    ):
        listener.settimeout(PATIENCE_S)
        drop_waiting(listener)
        leaver = Leaver(listener, gateway.port, gateway.pids, size_bytes)
        events = _time_events(leaver, tries, size_bytes)
        return IdleFigures(statistics.median(events) / 1e3, leaver.medians_us(tries))


def _time_events(leaver: Leaver, tries: int, size_bytes: int) -> list[int]:
    client, upstream = leaver.open()
    taken = []
    with client, upstream:
        upstream.sendall(HEAD + chunk(0, size_bytes))
        read_to(client, b"x\n\n\r\n")
        for number in range(1, tries + 1):
            event = chunk(number, size_bytes)
            time.sleep(PAUSE_S)
            began_ns = time.monotonic_ns()
            upstream.sendall(event)
            read_to(client, b"x\n\n\r\n")
            taken.append(time.monotonic_ns() - began_ns)
    return taken
