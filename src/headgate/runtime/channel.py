"""The supervisor's line to a child: small JSON messages, with descriptors beside them, over a SOCK_SEQPACKET socket pair.

Invariants: a message arrives whole or not at all; neither end ever blocks; the end of one side is read as end of file by the other,
which is how children notice that the supervisor is gone. Standard library only.

Down to control: ``begin``, ``link`` (one descriptor, ``worker``, ``pid``), ``serve``, ``readiness`` (``status``), ``stop``.
Down to workers: ``link`` (one descriptor), ``accept``, ``reopen_access_log``, ``drain`` (``window_s``, ``idle_s``, ``close``).
Up: ``loaded`` (waits for ``begin`` or ``accept``), ``ready``, ``draining`` (accepts no more), ``failed`` (``error``), ``silent``
(``worker``, ``pid``).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]
"""``type`` names it; the rest are its fields."""

MAX_MESSAGE_BYTES = 16384
MAX_DESCRIPTORS = 4
MAX_TEXT_CHARACTERS = 2000
"""Longest text in a message; JSON may make six bytes of a character."""


class Channel:
    """One end. ``descriptor`` may be given by number (in a child) or made with :meth:`pair` (in the supervisor)."""

    def __init__(self, end: socket.socket | int) -> None:
        self._socket = socket.socket(fileno=end) if isinstance(end, int) else end
        self._socket.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Give the supervisor's end and the socket to pass to the child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def fileno(self) -> int:
        """Give the descriptor, to wait for messages on."""
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send without waiting. Raises BlockingIOError if the other side does not read, another OSError if it is gone."""
        fields = {
            key: value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value for key, value in message.items()
        }
        socket.send_fds(self._socket, [json.dumps(fields).encode()], list(descriptors), socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[Message, list[int]] | None:
        """Give the next message with its descriptors, which are then the caller's; None at the end. Raises BlockingIOError if there is none yet."""
        try:
            data, descriptors = self._take()
        except ConnectionResetError:
            # The other side died with messages unread. Linux says so once, before it gives what that side had said.
            data, descriptors = self._take()
        if not data:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return json.loads(data), descriptors

    def _take(self) -> tuple[bytes, list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self._socket, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
        return data, descriptors

    def close(self) -> None:
        """Close this end; the other reads the end of file."""
        self._socket.close()
