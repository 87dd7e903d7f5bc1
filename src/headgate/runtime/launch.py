"""The way from the command line into the supervisor: the same process, with nothing of the command line left in memory."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import NoReturn

SUPERVISOR = "headgate.runtime.supervisor"


def exec_supervisor(settings_json: str) -> NoReturn:
    """Become the supervisor, in this pid. ``settings_json`` is a valid ``Settings`` as ``model_dump_json`` gives it.

    It travels in an anonymous file, as it may hold Admin API keys. Does not return; raises OSError if exec fails.
    """
    descriptor = _anonymous_file(settings_json.encode())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, supervisor_command(descriptor))  # noqa: S606 - no shell is wanted: this is our own interpreter


def supervisor_command(settings: int, *modules: str) -> list[str]:
    """Give the supervisor's command line. ``modules``: what to run as control and as worker, for tests."""
    # -P: the working directory, which anyone may have written to, is no place to import from.
    return [sys.executable, "-P", "-m", SUPERVISOR, str(settings), *modules]


def _anonymous_file(content: bytes) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    return descriptor
