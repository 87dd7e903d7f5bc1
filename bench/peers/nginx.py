"""NGINX as a peer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.peers.peer import FILES, Peer

NGINX_PATHS = (
    os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
)  # root's, too: Debian puts it there

_NGINX_CONF = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 16384; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream origin {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


class Nginx(Peer):
    """NGINX as its documentation sets it up for event streams (ngx_http_proxy_module, ngx_http_upstream_module)."""

    name = "nginx"
    worker = "nginx: worker process"

    def missing(self) -> str | None:
        """Say how to install it."""
        return None if _nginx() else "NGINX is not installed: sudo apt-get install --no-install-recommends nginx-light"

    def version(self) -> str:
        """Give what ``nginx -v`` says."""
        told = subprocess.run([_nginx() or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
        return told.strip().rpartition("/")[2]

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One location that takes every path."""
        conf = directory / "nginx.conf"
        conf.write_text(_NGINX_CONF.format(directory=directory, port=port, upstream_port=upstream_port, files=FILES))
        return [_nginx() or "nginx", "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(conf)]


def _nginx() -> str | None:
    return shutil.which("nginx", path=NGINX_PATHS)
