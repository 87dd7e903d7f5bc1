"""As many events as the gateway relays on its one core."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.measures.measure import Cores, Outcome
from bench.measures.paced import connected, finish, may_spin, measure_window
from bench.peers.peer import Peer

EVENTS_ON_THEIR_WAY = 1
"""Of each stream at a time."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """``streams`` on each of which the origin sends the next event when the client has taken the last.

    A closed loop with one event of each stream on its way. Offered without end, more than a gateway can take has no limit
    to be found: one that lags finds several events of a stream at each read and relays them as one, and follows nearly
    any rate with larger blocks, so that what would be measured is how fast it copies. Here every event is a read and a write of its own for
    every peer, as many are waiting for the gateway as there are streams, and none is outrun.

    The load has one core too, and costs nearly as much per event: a ``send`` and a ``recv``, as the gateway. Where
    ``busy_percent`` is under 95 the load was the limit (``load_busy_percent`` is then near 100), and the gateway could relay more than ``events_per_s``;
    what it needs for each event then is ``cpu_us_per_event``.

    The window of ``seconds`` begins ``warmup_s`` after the first events.
    """

    streams: int
    size_bytes: int
    seconds: float
    warmup_s: float = 1.0

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Saturate a peer once. Raises PeerFailedError, or LoadFailedError when the load process fails."""
        with connected(peer, cores, streams=self.streams, size_bytes=self.size_bytes) as (load, gateway):
            load.ask("follow", window=EVENTS_ON_THEIR_WAY, spin=may_spin(cores))
            time.sleep(self.warmup_s)
            figures, window = measure_window(load, gateway, cores, self.seconds)
            problems = finish(load)
        if not window["events"]:
            problems.append("no event passed in the measured window")
        return Outcome(figures, problems)
