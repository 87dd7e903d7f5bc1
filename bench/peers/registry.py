"""The peers by the words of the command line."""

from __future__ import annotations

from pathlib import Path

from bench.peers.bare import Bare
from bench.peers.headgate import CLOCKS, OFF, Headgate
from bench.peers.nginx import Nginx
from bench.peers.peer import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Headgate("headgate"),
        Headgate("guarded", plugins={"stream-guard": CLOCKS}),
        Headgate("plain", settings=OFF),
        Nginx(),
        Bare(),
    )
}


def against(path: Path) -> Peer:
    """Give the peer for another checkout of headgate, as it is by default."""
    return Headgate("against", source=path)
