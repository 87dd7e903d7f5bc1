"""New event streams per second: all asked for as fast as they are answered, none of them ended."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bench.load.orders import LoadProcess
from bench.measures.measure import Cores, Outcome
from bench.measures.others import Others
from bench.peers.peer import Peer, PeerFailedError, running

AT_ONCE = 256
"""Streams that wait for their first event at a time: enough to keep a gateway busy, and below every listen backlog."""
FIRST = 200
"""Streams opened and closed before, so that what a peer does once in its life is not charged to the storm."""


@dataclass(frozen=True, slots=True)
class Storm:
    """Opens ``streams`` event streams. ``size_bytes``: the one event that each of them has.

    A stream is open when its head and its whole first event are with the client. ``busy_percent`` below 95 says that
    the load was the limit: then ``cpu_us_per_stream`` is the figure to compare, and ``streams_per_s`` what the load could do.
    """

    streams: int = 5000
    size_bytes: int = 200

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Measure a peer. Raises PeerFailedError when no stream opens, LoadFailedError when the load fails."""
        with LoadProcess("bench.load.open_streams", self.size_bytes, core=cores.load) as load:
            upstream_port = load.answer()["port"]
            with running(peer, upstream_port, core=cores.gateway) as gateway:
                order = {"gateway": gateway.port, "at_once": AT_ONCE, "pids": gateway.all_pids}
                load.ask("open", **order, streams=min(FIRST, self.streams))
                load.ask("close")
                ours = {cores.gateway: gateway.all_pids, cores.load: [load.pid, os.getpid()]}
                others = Others(ours)
                told = load.ask("open", **order, streams=self.streams)
                others_percent = others.percent()
                ended = load.ask("look")["closed"]
                load.ask("close")  # or a gateway that ends its streams in peace would be long in stopping
        if not told["begun"]:
            raise PeerFailedError(f"{peer.name}: no stream opened; {told['problems'][:3]}")
        problems = list(told["problems"])
        if told["begun"] != self.streams or ended:
            problems.append(f"{told['begun']} of {self.streams} streams opened, {ended} of them did not stay open")
        figures = {"streams_per_s": told["begun"] / told["seconds"], "others_percent": others_percent}
        if gateway.pids:
            figures["cpu_us_per_stream"] = told["cpu_us"] / told["begun"]
            figures["busy_percent"] = told["cpu_us"] / 1e4 / told["seconds"]
        return Outcome(figures, problems)
