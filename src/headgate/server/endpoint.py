"""What the kernel knows of a client connection's two ends, and closing one so that it cannot look complete."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from headgate.wire.request import Peer

_LINGER = struct.pack("ii", 0, 0)
_LINGER_NOT = struct.pack("ii", 1, 0)


def peer_of(accepted: socket.socket, remote: tuple[Any, ...]) -> Peer:
    """Give both addresses of a connection that was accepted from ``remote``.

    A transport asked for them makes a socket object and a system call for each.
    """
    local = accepted.getsockname()
    return Peer(str(remote[0]), int(remote[1]), str(local[0]), int(local[1]))


def reset_on_close(transport: asyncio.Transport, *, reset: bool) -> None:
    """Have the connection close with RST, whoever closes it (SO_LINGER 0), or with FIN again.

    While a body is under way that ends by closing, FIN would say that it is complete, even from a process that was killed.
    """
    linger = _LINGER_NOT if reset else _LINGER
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
