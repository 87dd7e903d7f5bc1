"""The way from the command line into the supervisor: the same process, with nothing of the command line left in memory."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import write_whole

SUPERVISOR = "headgate.runtime.supervisor"


def exec_supervisor(settings_json: str, sources: SettingsSources) -> NoReturn:
    """Become the supervisor, in this pid. ``settings_json`` is a valid ``Settings`` as ``model_dump_json`` gives it.

    It travels in an anonymous file, as it may hold Admin API keys. ``sources`` is where it came from, for a reload.
    Does not return; raises OSError if exec fails.
    """
    descriptor = write_whole(settings_json.encode())
    os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, supervisor_command(descriptor, sources))  # noqa: S606 - no shell is wanted: this is our own interpreter


def supervisor_command(settings: int, sources: SettingsSources, *modules: str) -> list[str]:
    """Give the supervisor's command line. ``modules``: what to run as control and as worker, for tests."""
    # -P: the working directory, which anyone may have written to, is no place to import from.
    return [sys.executable, "-P", "-m", SUPERVISOR, str(settings), sources.to_argument(), *modules]
