"""Bytes to a socket without its transport: a loop's transports write at the end of a turn, after all that was read in it.

Where the package was built with a C compiler the call is C's; else it is Python's, with the same results.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress


def send_in_python(fd: int, data: bytes) -> int:
    """Give how many of the bytes a non-blocking socket took; 0 also where it is broken, which its transport will find out."""
    try:
        return os.write(fd, data)
    except OSError:
        return 0


send_now: Callable[[int, bytes], int] = send_in_python
"""The form that is used."""

with suppress(ImportError):  # there was no compiler where it was installed
    from headgate.server._send_now import send_now as _send_in_c

    send_now = _send_in_c
