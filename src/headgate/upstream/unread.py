"""What a broken connection still holds of the target's last words.

A target that refuses an upload may answer and close without reading the rest. The next write then fails, and the loop
ends the connection without another read, though the answer lies in the socket: Linux keeps what came before an RST.
"""

from __future__ import annotations

import asyncio
import os

MAX_UNREAD_BYTES = 64 * 1024
"""How much is taken; what is longer ends as cut off, which it may be anyway."""


def take_unread(transport: asyncio.Transport) -> bytes:
    """Give what the socket of a failed transport holds; for ``connection_lost``, while the descriptor is still open.

    Gives nothing for TLS: bytes beneath a failed session prove nothing.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return b""
    descriptor = transport.get_extra_info("socket").fileno()
    held = b""
    try:
        while len(held) < MAX_UNREAD_BYTES and (data := os.read(descriptor, MAX_UNREAD_BYTES - len(held))):
            held += data
    except OSError:  # nothing more is there, or the reset is next: the connection has been found broken already
        pass
    return held
