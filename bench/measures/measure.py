"""What every measure of the bench is: one run of one peer, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.peers.peer import Peer


@dataclass(frozen=True, slots=True)
class Cores:
    """The CPU numbers of the gateway under test and of the load."""

    gateway: int
    load: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: ``figures`` by the words of :data:`bench.metrics.METRICS`; it is valid when ``problems`` is empty."""

    figures: Mapping[str, float]
    problems: Sequence[str] = field(default=())


class Measure(Protocol):
    """One way of loading a peer, with its sizes."""

    def run(self, peer: Peer, cores: Cores) -> Outcome:
        """Start the peer, measure, and stop it. Raises PeerFailedError or LoadFailedError where there is nothing to measure."""
