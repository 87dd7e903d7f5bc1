from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench.measures.measure import Cores
from bench.measures.start import Start
from bench.metrics import METRICS
from bench.peers.bare import Bare
from bench.peers.peer import PeerFailedError
from bench.peers.registry import PEERS

CORES = Cores(gateway=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))


class Broken(Bare):
    """A peer whose program fails at once."""

    name = "broken"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        return ["/bin/sh", "-c", f"echo {directory.name}: no {port} {upstream_port}; exit 7"]


def test_the_start_of_headgate_is_measured_in_all_its_parts() -> None:
    figures = Start(workers=2, imports=1).run(PEERS["headgate"], CORES).figures
    assert set(figures) == {"start_s", "worker_start_s", "import_s", "idle_memory_bytes"} <= set(METRICS)
    assert all(0.01 < figures[name] < 30 for name in ("start_s", "worker_start_s", "import_s"))
    assert 10e6 < figures["idle_memory_bytes"] < 1e9


def test_of_other_peers_the_command_is_measured() -> None:
    figures = Start().run(PEERS["bare"], CORES).figures
    assert set(figures) == {"start_s", "idle_memory_bytes"}
    assert 0 < figures["start_s"] < 30
    assert 1e6 < figures["idle_memory_bytes"] < 1e9


def test_a_peer_that_does_not_start_is_told_with_its_words() -> None:
    with pytest.raises(PeerFailedError, match=r"broken does not answer: headgate-bench-\w+: no \d+ \d+"):
        Start().run(Broken(), CORES)


def test_where_there_is_no_gateway_nothing_starts() -> None:
    with pytest.raises(PeerFailedError, match="direct is nothing that could be started"):
        Start().run(PEERS["direct"], CORES)
