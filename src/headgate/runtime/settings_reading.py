"""The supervisor's side of reading the settings again: a short-lived process does it, nobody waits for it.

Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headgate.runtime.reactor import Reactor
from headgate.runtime.settings_sources import SettingsSources

READER = "headgate.runtime.settings_reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """``settings``: a ``Settings`` as decoded JSON, None if there are ``problems``; ``kept``: what differs but takes a restart."""

    settings: dict[str, Any] | None = None
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class SettingsReading:
    """One reading; ``on_done`` is called with its result once. ``served``: descriptor of the settings that are served.

    Raises OSError if the system has no room for one more process.
    """

    def __init__(
        self, reactor: Reactor, sources: SettingsSources, served: int, on_done: Callable[[Reread], None]
    ) -> None:
        self._reactor = reactor
        self._on_done = on_done
        self._output = bytearray()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", READER, sources.to_argument(), str(served)],
            pass_fds=[served],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        reactor.watch(self._pipe, self._on_readable)

    def kill(self) -> None:
        """End it, if it still runs."""
        self._process.kill()

    def reap(self) -> None:
        """Look whether it has ended; to be called whenever a child has."""
        if not self._pipe.closed or (status := self._process.poll()) is None:
            return
        on_done, self._on_done = self._on_done, lambda _: None
        try:
            on_done(Reread(**json.loads(self._output)))
        except ValueError:
            on_done(Reread(problems=[f"the process that reads the settings ended with status {status}"]))

    def _on_readable(self) -> None:
        try:
            piece = os.read(self._pipe.fileno(), 65536)
        except BlockingIOError:
            return
        self._output += piece
        if not piece:
            self._reactor.unwatch(self._pipe)
            self._pipe.close()
            self.reap()
