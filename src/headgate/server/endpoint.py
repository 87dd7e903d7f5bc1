"""What the kernel knows of a client connection's two ends, and closing one so that it cannot look complete."""

from __future__ import annotations

import asyncio
import socket
import struct

from headgate.wire.request import Peer

_LINGER_NOT = struct.pack("ii", 1, 0)


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Give both addresses; an empty one where the client has left already."""
    remote = transport.get_extra_info("peername") or ("", 0)
    local = transport.get_extra_info("sockname") or ("", 0)
    return Peer(str(remote[0]), int(remote[1]), str(local[0]), int(local[1]))


def reset(transport: asyncio.Transport) -> None:
    """Close with RST (SO_LINGER 0): on a body that ends by closing, FIN would say that it is complete."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
