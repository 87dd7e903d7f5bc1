"""How long an idle gateway takes: an event's way through it, and the news that a client has left.

One connection at a time, blocking sockets for origin and client in one process, a pause before each try so that the
gateway sleeps in its poll. Times are CLOCK_MONOTONIC, from just before the one call to just after the other returned.
"""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import dataclass

from bench.measures.leaving import HEAD, PATIENCE_S, PAUSE_S, Leaver, Phase, chunk, drop_waiting, read_to
from bench.measures.measure import Cores, Outcome
from bench.peers.peer import Peer, PeerFailedError, running


@dataclass(frozen=True, slots=True)
class IdleWay:
    """Medians over ``tries`` of each: an event of ``size_bytes``, and a client's leaving in each :class:`bench.measures.leaving.Phase`.

    A way of leaving is tried for three seconds at most: some gateways take as long as connecting may take. A phase in which the
    news does not come is a problem, and has no figure. Where there is no gateway only the event is timed.
    """

    tries: int = 50
    size_bytes: int = 200

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when no event gets through within 10 s."""
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            running(peer, listener.getsockname()[1], core=cores.gateway) as gateway,
        ):
            listener.settimeout(PATIENCE_S)
            drop_waiting(listener)
            leaver = Leaver(listener, gateway.port, gateway.pids, self.size_bytes)
            try:
                event_us = statistics.median(self._time_events(leaver)) / 1e3
            except OSError as error:
                raise PeerFailedError(f"{peer.name}: no event got through: {error!r}") from error
            gone_us, problems = self._time_leaving(leaver) if gateway.pids else ({}, [])
        return Outcome({"idle_event_us": event_us, **gone_us}, problems)

    def _time_events(self, leaver: Leaver) -> list[int]:
        client, upstream = leaver.open()
        taken = []
        with client, upstream:
            upstream.sendall(HEAD + chunk(0, self.size_bytes))
            read_to(client, b"x\n\n\r\n")
            for number in range(1, self.tries + 1):
                event = chunk(number, self.size_bytes)
                time.sleep(PAUSE_S)
                began_ns = time.monotonic_ns()
                upstream.sendall(event)
                read_to(client, b"x\n\n\r\n")
                taken.append(time.monotonic_ns() - began_ns)
        return taken

    def _time_leaving(self, leaver: Leaver) -> tuple[dict[str, float], list[str]]:
        figures, problems = {}, []
        for phase in reversed(
            Phase
        ):  # connecting is the last: a gateway that goes on doing so would be in the way of the others
            try:
                figures[phase.metric] = leaver.median_us(phase, self.tries)
            except OSError as error:  # a TimeoutError is one
                problems.append(f"the upstream was not told that its client has left, {phase}: {error}")
        return figures, problems
