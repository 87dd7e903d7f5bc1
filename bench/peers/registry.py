"""The peers by the words of the command line."""

from __future__ import annotations

from pathlib import Path

from bench.peers.aiohttp_pair import AiohttpPair
from bench.peers.bare import Bare
from bench.peers.caddy import Caddy
from bench.peers.direct import Direct
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.headgate import CLOCKS, EVENT_FILTER, OFF, Headgate
from bench.peers.nginx import Nginx
from bench.peers.peer import Peer
from bench.peers.starlette_pair import StarlettePair

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Headgate("headgate"),
        Headgate("guarded", plugins={"stream-guard": CLOCKS}),
        Headgate("plain", settings=OFF),
        Headgate("headgate-100-routes", routes=100),
        Headgate("headgate-10000-routes", routes=10_000),
        Headgate("headgate-events", plugins=EVENT_FILTER),
        Nginx(),
        HAProxy(),
        Caddy(),
        Envoy(),
        AiohttpPair(),
        StarlettePair(),
        Bare(),
        Direct(),
    )
}


def against(path: Path) -> Peer:
    """Give the peer for another checkout of headgate, as it is by default."""
    return Headgate("against", source=path)
