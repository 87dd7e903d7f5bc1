"""NGINX as a peer."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.peers.peer import BACKLOG, FILES, Peer

from bench.peers import installed

_NGINX_CONF = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 32768; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000;
    send_timeout 1h;
    upstream origin {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog={backlog};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
        client_max_body_size 0;
        location /events/ {{
            proxy_pass http://origin;
            proxy_buffering off;
        }}
        location / {{
            proxy_pass http://origin;
        }}
    }}
}}
"""


class Nginx(Peer):
    """NGINX as its documentation sets it up for event streams (ngx_http_proxy_module, ngx_http_upstream_module).

    Streams have ``proxy_buffering off``. Everything else is buffered in memory, as by default but for the temporary files:
    a large download costs NGINX two thirds more CPU time without its buffers. Uploads go on as they come
    (``proxy_request_buffering off``). HTTP/1.1 with an empty ``Connection`` is what ``keepalive`` needs. Connections are not
    closed after 1,000 requests, which would be counted as work of the case.
    """

    name = "nginx"
    worker = "nginx: worker process"

    def missing(self) -> str | None:
        """Say how to install it."""
        return installed.missing_program("NGINX", "nginx", package="nginx-light")

    def version(self) -> str:
        """Give what ``nginx -v`` says."""
        told = subprocess.run([_nginx(), "-v"], capture_output=True, text=True, check=True).stderr
        return told.strip().rpartition("/")[2]

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        """One location for streams, one for every other path."""
        conf = directory / "nginx.conf"
        values = {"directory": directory, "port": port, "upstream_port": upstream_port}
        conf.write_text(_NGINX_CONF.format(files=FILES, backlog=BACKLOG, **values))
        return [_nginx(), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(conf)]


def _nginx() -> str:
    return installed.program("nginx") or "nginx"
