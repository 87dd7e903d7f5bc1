"""Large bodies through the gateway: bytes per second of its CPU time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from bench.load.orders import LoadProcess
from bench.measures.measure import Cores, Outcome
from bench.measures.others import Others
from bench.peers.peer import Peer, PeerFailedError, running

MEGABYTE = 1_000_000
CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Transfer:
    """Moves ``megabytes`` (of 10⁶ bytes) in all on four connections at once, each one body with a Content-Length; every byte is compared.

    ``busy_percent`` is below 100 where the load, which has one core for sending, receiving and comparing, is the limit: CPU time is the figure.
    """

    megabytes: int = 512
    direction: Literal["download", "upload"] = "download"

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when nothing came or it has no processes, LoadFailedError when the load fails."""
        with LoadProcess("bench.load.bodies", core=cores.load) as load:
            upstream_port = load.answer()["port"]
            with running(peer, upstream_port, core=cores.gateway) as gateway:
                if not gateway.pids:
                    raise PeerFailedError(f"{peer.name} has no processes whose CPU time could be read")
                order = {"gateway": gateway.port, "pids": gateway.all_pids, "direction": self.direction}
                order |= {"connections": CONNECTIONS}
                load.ask("run", **order, bytes=MEGABYTE)  # what a peer does once in its life is not charged
                others = Others({cores.gateway: gateway.all_pids, cores.load: [load.pid, os.getpid()]})
                told = load.ask("run", **order, bytes=self.megabytes * MEGABYTE)
                others_percent = others.percent()
        if not told["bytes"]:
            raise PeerFailedError(f"{peer.name}: no byte came right; {told['problems'][:3]}")
        figures = {"busy_percent": told["cpu_us"] / 1e4 / told["seconds"], "others_percent": others_percent}
        if told["cpu_us"]:  # a peer that refuses everything can be done with less than the kernel counts
            figures[f"{self.direction}_bytes_per_cpu_s"] = told["bytes"] / told["cpu_us"] * 1e6
        return Outcome(figures, told["problems"])
