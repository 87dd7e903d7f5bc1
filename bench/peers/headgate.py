"""headgate itself as a peer, in the forms that are compared with each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.peers.peer import Peer, free_port

import headgate

CLOCKS = {"first_event_s": 60, "event_gap_s": 60, "max_duration_s": 3600, "max_bytes": 1 << 40}
"""What the plugin ``stream-guard`` watches in the peer ``guarded``: every clock and limit, none of which is reached."""
OFF = {"HEADGATE_STREAMS_KEEPALIVE_S": "0", "HEADGATE_STREAMS_MAX_EVENT_BYTES": "0"}


class Headgate(Peer):
    """The gateway, from the environment that runs the bench, with the settings that it has by default.

    ``plugins`` are the route's, ``settings`` variables of the environment, ``source`` a checkout whose ``src`` is run in
    place of the one that is installed.
    """

    worker = "headgate.runtime.worker"

    def __init__(
        self,
        name: str,
        *,
        plugins: Mapping[str, Mapping[str, object]] | None = None,
        settings: Mapping[str, str] | None = None,
        source: Path | None = None,
    ) -> None:
        self.name = name
        self._plugins = dict(plugins or {})
        self._settings = dict(settings or {})
        self._source = None if source is None else source.resolve() / "src"

    def environ(self) -> Mapping[str, str]:
        """Give the settings, and the path of the other checkout."""
        return self._settings if self._source is None else {**self._settings, "PYTHONPATH": str(self._source)}

    def missing(self) -> str | None:
        """Say so if what would be run is not the checkout that was asked for."""
        if self._source is None or Path(self._imported("__file__")).is_relative_to(self._source):
            return None
        return f"there is no headgate in {self._source}"

    def version(self) -> str:
        """Give the package's version, and where another checkout is."""
        if self._source is None:
            return headgate.__version__
        return f"{self._imported('__version__')} in {self._source.parent}"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One route that takes every path."""
        upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{upstream_port}": 1}}
        route = {"id": "bench", "uri": "/*", "upstream": upstream, "plugins": self._plugins}
        routes = directory / "routes.json"
        routes.write_text(json.dumps({"routes": [route]}))
        program = [sys.executable, "-P", "-m", "headgate", "run", "--workers", "1"]
        addresses = ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}", "--metrics", "off"]
        return [*program, *addresses, "--routes", str(routes), "--data-dir", str(directory / "data")]

    def _imported(self, attribute: str) -> str:
        command = [sys.executable, "-P", "-c", f"import headgate; print(headgate.{attribute})"]
        environ = {**os.environ, **self.environ()}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout.strip()
