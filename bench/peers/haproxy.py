"""HAProxy as a peer."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.peers.peer import BACKLOG, FILES, Peer

from bench.peers import installed

_HAPROXY_CFG = """\
global
    nbthread 1
    # Half as many connections as descriptors is what HAProxy then takes for maxconn.
    fd-hard-limit {files}
    # HAProxy writes no log file: it sends to syslog or to a descriptor. Its standard output is a file here, which gets
    # one line with one write as each exchange ends, as NGINX's access log does.
    log stdout format raw local0 info

defaults
    mode http
    log global
    option httplog
    option http-no-delay
    option abortonclose
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 60s

frontend bench
    bind 127.0.0.1:{port} backlog {backlog}
    default_backend origin

backend origin
    server origin 127.0.0.1:{upstream_port}
"""


class HAProxy(Peer):
    """HAProxy as its Configuration Manual (2.6, sections 3 and 4) sets it up for event streams.

    ``option http-no-delay`` favours the delay of small pieces over full packets; bodies are not buffered otherwise.
    ``timeout client`` and ``timeout server`` count silence, ``timeout tunnel`` that after an upgrade: all an hour.
    ``option abortonclose`` tells the origin of a client that leaves before the next event would, and ``http-reuse always``
    shares idle connections to the origin among clients, as NGINX's ``keepalive`` does.
    """

    name = "haproxy"
    worker = ""

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_program("HAProxy", "haproxy", package="haproxy")

    def version(self) -> str:
        """Give what ``haproxy -v`` says."""
        told = subprocess.run([_haproxy(), "-v"], capture_output=True, text=True, check=True).stdout
        return told.split()[2]

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One backend that takes every path; ``-db`` keeps it one process in the foreground."""
        cfg = directory / "haproxy.cfg"
        cfg.write_text(_HAPROXY_CFG.format(port=port, upstream_port=upstream_port, files=FILES, backlog=BACKLOG))
        return [_haproxy(), "-db", "-f", str(cfg)]


def _haproxy() -> str:
    return installed.program("haproxy") or "haproxy"
