"""headgate itself as a peer, in the forms that are compared with each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.peers.event_plugin import install
from bench.peers.peer import Peer

import headgate
from headgate.wire.whole_chunks import IS_COMPILED

Plugins = Mapping[str, Mapping[str, object]]

_READY = re.compile(r'"event": ?"ready"')

CLOCKS = {"first_event_s": 60, "event_gap_s": 60, "max_duration_s": 3600, "max_bytes": 1 << 40}
"""What the plugin ``stream-guard`` watches in the peer ``guarded``: every clock and limit, none of which is reached."""
OFF = {"HEADGATE_STREAMS_KEEPALIVE_S": "0", "HEADGATE_STREAMS_MAX_EVENT_BYTES": "0"}
EVENT_FILTER: Plugins = {"event-filter": {"drop": ["never"]}}
"""The plugin of the peer ``headgate-events``, which looks at the type of every event and leaves each alone.

Any ``on_event`` plugin has its route relayed event by event. Of the built-in ones only ``stream-log`` is one, and what it
costs is the record that it writes of each event; this one is the example of the documentation.
"""


class Headgate(Peer):
    """The gateway, from the environment that runs the bench, with the settings that it has by default.

    One worker, its access log in a file, metrics served, keep-alives as by default. Streams (``/events/*``) have the
    plugin ``sse``; so has everything else, without its ``Content-Type``, which would make a stream of any large body.

    ``plugins`` are the stream's route's beside ``sse``, ``settings`` variables of the environment, ``routes`` how many
    there are, the streams' the last of them; ``source`` is a checkout whose ``src`` is run in place of the one that is installed.
    """

    worker = "headgate.runtime.worker"

    def __init__(
        self,
        name: str,
        *,
        plugins: Plugins | None = None,
        settings: Mapping[str, str] | None = None,
        routes: int = 2,
        source: Path | None = None,
    ) -> None:
        self.name = name
        self._plugins = dict(plugins or {})
        self._settings = dict(settings or {})
        self._routes = routes
        self._source = None if source is None else source.resolve() / "src"

    def environ(self, directory: Path) -> Mapping[str, str]:
        """Give the settings, and where the other checkout and the plugin from outside are imported from."""
        paths = [str(path) for path in (self._source, self._site(directory)) if path is not None]
        return {**self._settings, "PYTHONPATH": os.pathsep.join(paths)} if paths else self._settings

    def missing(self) -> str | None:
        """Say so if what would be run is not the checkout that was asked for."""
        if self._source is None or Path(self._imported("__file__")).is_relative_to(self._source):
            return None
        return f"there is no headgate in {self._source}"

    def version(self) -> str:
        """Give the package's version, and where another checkout is."""
        if self._source is None:
            return f"{headgate.__version__}, {'compiled' if IS_COMPILED else 'as written'}"
        return f"{self._imported('__version__')} in {self._source.parent}"

    def is_ready(self, output: str) -> bool:
        """Wait for the record that says so: the sockets are there before there are workers."""
        return _READY.search(output) is not None

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """Two routes or more; the Admin API and the metrics take any port that is free."""
        upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{upstream_port}": 1}}
        documents = [{**route, "upstream": upstream} for route in self._documents()]
        (directory / "routes.json").write_text(json.dumps({"routes": documents}))
        (directory / "headgate.json").write_text(json.dumps({"access_log": str(directory / "access.log")}))
        site = self._site(directory)
        if site is not None:
            site.mkdir()
            install(site)
        program = [sys.executable, "-P", "-m", "headgate", "run", "--workers", "1"]
        addresses = ["--listen", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
        files = ["--config", "headgate.json", "--routes", "routes.json", "--data-dir", "data"]
        paths = [word if word.startswith("--") else str(directory / word) for word in files]
        return [*program, *addresses, *paths]

    def _documents(self) -> list[dict[str, object]]:
        rest: dict[str, object] = {"id": "rest", "uri": "/*", "plugins": {"sse": {"override_content_type": False}}}
        streams: dict[str, object] = {"id": "streams", "uri": "/events/*", "plugins": {"sse": {}, **self._plugins}}
        # Exact paths and prefixes in turn, half of them beside the streams' own.
        shapes = ("/events/{}/of/another", "/events/{}/of/others/*", "/services/{}", "/services/{}/*")
        others = range(self._routes - 2)
        named: list[dict[str, object]] = [
            {"id": f"other-{n}", "uri": shapes[n % 4].format(f"service-{n}")} for n in others
        ]
        return [*named, rest, streams]

    def _site(self, directory: Path) -> Path | None:
        return directory / "site" if "event-filter" in self._plugins else None

    def _imported(self, attribute: str) -> str:
        command = [sys.executable, "-P", "-c", f"import headgate; print(headgate.{attribute})"]
        environ = {**os.environ, "PYTHONPATH": str(self._source)}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout.strip()
