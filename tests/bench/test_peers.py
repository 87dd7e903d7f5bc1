from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bench.peers.bare import Bare
from bench.peers.nginx import Nginx
from bench.peers.peer import PeerFailedError, running
from bench.peers.registry import PEERS, against
from tests.client import Client, get
from tests.origin import Origin

CORE = min(os.sched_getaffinity(0))


class Broken(Bare):
    """A peer whose program fails at once."""

    name = "broken"

    def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
        return ["/bin/sh", "-c", f"echo {directory.name}: no {port} {upstream_port}; exit 7"]


def test_a_peer_that_does_not_start_is_told_with_its_words() -> None:
    with (
        pytest.raises(PeerFailedError, match=r"broken ended with 7: headgate-bench-\w+: no \d+ 1"),
        running(Broken(), 1, core=CORE),
    ):
        pass


def test_each_headgate_serves_with_its_settings(tmp_path: Path) -> None:
    PEERS["plain"].command(tmp_path, 1234, 5678)
    [route] = json.loads((tmp_path / "routes.json").read_text())["routes"]
    assert route["plugins"] == {}
    assert PEERS["plain"].environ() == {"HEADGATE_STREAMS_KEEPALIVE_S": "0", "HEADGATE_STREAMS_MAX_EVENT_BYTES": "0"}
    PEERS["guarded"].command(tmp_path, 1234, 5678)
    [route] = json.loads((tmp_path / "routes.json").read_text())["routes"]
    assert set(route["plugins"]["stream-guard"]) == {"first_event_s", "event_gap_s", "max_duration_s", "max_bytes"}


@pytest.mark.parametrize("name", ["headgate", "guarded", "plain"])
def test_each_headgate_relays(name: str) -> None:
    with Origin() as origin, running(PEERS[name], origin.port, core=CORE) as gateway:
        origin.events("/events", steps=[b"data: a\n\n"])
        with Client(gateway.port) as client:
            client.get("/events")
            assert client.read_head().status == 200
            assert client.read_event().data == b"data: a\n\n"
        assert len(gateway.pids) == 1


def test_another_checkout_is_run_in_place_of_the_installed_one(tmp_path: Path) -> None:
    package = tmp_path / "src" / "headgate"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.7"\n')
    (package / "__main__.py").write_text("import sys; sys.exit(f'this is the other one, told to {sys.argv[1]}')\n")
    peer = against(tmp_path)
    assert (peer.missing(), peer.version()) == (None, f"0.0.7 in {tmp_path}")
    with pytest.raises(PeerFailedError, match="this is the other one, told to run"), running(peer, 1, core=CORE):
        pass


def test_nginx_that_is_not_there_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.peers.nginx.NGINX_PATHS", "/nonexistent")
    assert Nginx().missing() == "NGINX is not installed: sudo apt-get install --no-install-recommends nginx-light"


def test_nginx_is_set_up_for_event_streams(tmp_path: Path) -> None:
    command = Nginx().command(tmp_path, 1234, 5678)
    conf = Path(command[-1]).read_text()
    for line in (
        "listen 127.0.0.1:1234 backlog=4096;",
        "server 127.0.0.1:5678;",
        "keepalive 64;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_buffering off;",
        "worker_processes 1;",
    ):
        assert line in conf
    assert conf.count("{") == conf.count("}")


def test_the_bare_relay_holds_no_event_back_and_ends_as_its_origin_does() -> None:
    with Origin() as origin, running(Bare(), origin.port, core=CORE) as relay:
        stream = origin.events("/events", steps=[b"data: a\n\n", b"data: b\n\n"])
        with Client(relay.port) as client:
            client.get("/events")
            assert client.read_head().get(b"content-type") == b"text/event-stream"
            for number, step in enumerate(stream.steps):
                assert client.read_event().data == step
                stream.confirm(number)
            assert client.read_body() == b""
        assert get(relay.port, "/hello").body == b"hello world\n"
        assert len(relay.pids) == 1


def test_the_bare_relay_tells_its_origin_that_the_client_has_gone() -> None:
    with Origin() as origin, running(Bare(), origin.port, core=CORE) as relay:
        origin.events("/events", steps=[b"data: a\n\n"])
        with Client(relay.port) as client:
            client.get("/events")
            client.read_head()
            client.read_event()
        assert origin.closed(0).how in ("fin", "rst")
