"""Small requests on kept connections: how many a second, what each costs, how long each takes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bench.load.orders import LoadProcess
from bench.measures.measure import Cores, Outcome
from bench.measures.others import Others
from bench.peers.peer import Peer, PeerFailedError, running


@dataclass(frozen=True, slots=True)
class Requests:
    """``connections`` clients that each ask again when the answer, of 100 bytes, is whole; ``seconds`` measured after ``warmup_s``.

    ``busy_percent`` below 95 says that the load was the limit: then ``cpu_us_per_request`` is the figure to compare, and ``requests_per_s``
    what the load could do. Latencies are those of a closed loop: the more requests a second, the shorter they are.
    """

    connections: int = 64
    seconds: float = 5.0
    warmup_s: float = 1.0

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when nothing is answered, LoadFailedError when the load fails."""
        with LoadProcess("bench.load.small_requests", core=cores.load) as load:
            upstream_port = load.answer()["port"]
            with running(peer, upstream_port, core=cores.gateway) as gateway:
                size = {"connections": self.connections, "seconds": self.seconds, "warmup_s": self.warmup_s}
                others = Others({cores.gateway: gateway.all_pids, cores.load: [load.pid, os.getpid()]})
                told = load.ask("run", gateway=gateway.port, pids=gateway.all_pids, **size)
                others_percent = others.percent()
        if not told["requests"]:
            raise PeerFailedError(f"{peer.name}: no request was answered; {told['problems'][:3]}")
        figures = {
            "requests_per_s": told["requests"] / told["seconds"],
            "latency_p50_us": told["latency_us"]["p50"],
            "latency_p99_us": told["latency_us"]["p99"],
            "others_percent": others_percent,
        }
        if gateway.pids:
            figures["cpu_us_per_request"] = told["cpu_us"] / told["requests"]
            figures["busy_percent"] = told["cpu_us"] / 1e4 / told["seconds"]
        return Outcome(figures, told["problems"])
