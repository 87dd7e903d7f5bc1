"""Noticing peers that have vanished without a word: a cable pulled, a phone out of reach, a machine without power."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass
from functools import lru_cache

_PROBES = 3
_MOST_S = 32767
"""The most that Linux takes for a keep-alive time."""
_MOST_MS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TcpLiveness:
    """When a peer counts as gone; seconds, 0 = as the system has it.

    ``user_timeout_s``: how long sent bytes may stay unacknowledged (RFC 5482); ``keepalive_s``: silence after which the
    kernel asks, to give up after three unanswered questions a third of that time apart (RFC 9293 §3.8.4).
    """

    user_timeout_s: float = 0.0
    keepalive_s: float = 0.0

    def watch(self, connection: socket.socket) -> None:
        """Set a socket's options. Connections accepted on a listening socket have its options."""
        for level, option, value in _keepalive_options(self.keepalive_s):
            connection.setsockopt(level, option, value)
        self.set_user_timeout(connection, self.user_timeout_s)

    def set_user_timeout(self, connection: socket.socket, timeout_s: float) -> None:
        """Set how long sent bytes may stay unacknowledged; 0 = the system's.

        The kernel counts a peer that takes nothing as one that acknowledges nothing, so for those that are given more
        time this has to be set off.
        """
        if self.user_timeout_s and hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = min(math.ceil(timeout_s * 1000), _MOST_MS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


@lru_cache(maxsize=8)
def _keepalive_options(keepalive_s: float) -> tuple[tuple[int, int, int], ...]:
    """Give level, option and value of what is to be set, as far as the system has it."""
    if not keepalive_s:
        return ()
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", min(math.ceil(keepalive_s), _MOST_S)),
        ("TCP_KEEPINTVL", min(math.ceil(keepalive_s / _PROBES), _MOST_S)),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):  # not on every system
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return tuple(options)
