"""Caddy as a peer."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.peers.peer import Peer

from bench.peers import installed

_CADDYFILE = """\
{{
	admin off
	auto_https off
	grace_period 1s
}}

http://:{port} {{
	bind 127.0.0.1
	log {{
		output file {directory}/access.log {{
			roll_disabled
		}}
	}}
	reverse_proxy 127.0.0.1:{upstream_port} {{
		flush_interval -1
		transport http {{
			compression off
			keepalive_idle_conns_per_host 64
		}}
	}}
}}
"""


class Caddy(Peer):
    """Caddy as its documentation sets it up for event streams (Caddyfile directives ``reverse_proxy`` and ``log``).

    ``flush_interval -1`` writes each piece on at once. It also has the upstream finish when its client has left, as the same
    page says: such a stream goes on until its origin ends it. ``compression off`` adds no ``Accept-Encoding``. There is no
    timeout on bodies by default, and the listen backlog is the system's largest. GOMAXPROCS is 1: one thread runs Go code at a time.
    """

    name = "caddy"
    worker = ""

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_program("Caddy", "caddy", package="caddy")

    def version(self) -> str:
        """Give what ``caddy version`` says."""
        return subprocess.run([_caddy(), "version"], capture_output=True, text=True, check=True).stdout.split()[0]

    def environ(self, directory: Path) -> Mapping[str, str]:
        """One thread; nothing is written into the home directory."""
        return {"GOMAXPROCS": "1", "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One site that takes every path."""
        caddyfile = directory / "Caddyfile"
        caddyfile.write_text(_CADDYFILE.format(directory=directory, port=port, upstream_port=upstream_port))
        return [_caddy(), "run", "--config", str(caddyfile), "--adapter", "caddyfile"]


def _caddy() -> str:
    return installed.program("caddy") or "caddy"
