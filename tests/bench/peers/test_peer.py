from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench.peers.bare import Bare
from bench.peers.direct import Direct
from bench.peers.peer import PeerFailedError, running
from bench.peers.registry import PEERS

CORE = min(os.sched_getaffinity(0))


class Broken(Bare):
    """A peer whose program fails at once."""

    name = "broken"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        return ["/bin/sh", "-c", f"echo {directory.name}: no {port} {upstream_port}; exit 7"]


class Late(Bare):
    """A peer that accepts from the start, and says nothing that makes it ready."""

    def __init__(self) -> None:
        self.asked = 0

    def is_ready(self, output: str) -> bool:
        assert output == ""
        self.asked += 1
        return self.asked == 3


def test_a_peer_that_does_not_start_is_told_with_its_words() -> None:
    with (
        pytest.raises(PeerFailedError, match=r"broken ended with 7: headgate-bench-\w+: no \d+ 1"),
        running(Broken(), 1, core=CORE),
    ):
        pass


def test_a_peer_is_waited_for_until_it_is_ready() -> None:
    peer = Late()
    with running(peer, 1, core=CORE):
        assert peer.asked == 3


def test_nothing_is_run_where_there_is_no_gateway() -> None:
    with running(Direct(), 4711, core=CORE) as gateway:
        assert (gateway.port, gateway.pids, gateway.all_pids) == (4711, [], [])


def test_the_names_on_the_command_line_are_these() -> None:
    assert list(PEERS) == [
        "headgate",
        "guarded",
        "plain",
        "headgate-100-routes",
        "headgate-10000-routes",
        "headgate-events",
        "nginx",
        "haproxy",
        "caddy",
        "envoy",
        "aiohttp",
        "starlette",
        "bare",
        "direct",
    ]
