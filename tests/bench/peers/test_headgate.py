from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bench.peers.headgate import Headgate
from bench.peers.peer import PeerFailedError, running
from bench.peers.registry import PEERS, against
from tests.client import Client
from tests.origin import Origin

CORE = min(os.sched_getaffinity(0))
WATCHED = {"first_event_s", "event_gap_s", "max_duration_s", "max_bytes"}


def routes(name: str, directory: Path) -> list[dict[str, Any]]:
    PEERS[name].command(directory, 1234, 5678)
    documents: list[dict[str, Any]] = json.loads((directory / "routes.json").read_text())["routes"]
    return documents


def test_streams_have_sse_and_everything_else_keeps_its_type(tmp_path: Path) -> None:
    rest, streams = routes("headgate", tmp_path)
    assert (streams["uri"], streams["plugins"]) == ("/events/*", {"sse": {}})
    assert (rest["uri"], rest["plugins"]) == ("/*", {"sse": {"override_content_type": False}})


def test_it_serves_with_its_own_settings_access_log_and_metrics(tmp_path: Path) -> None:
    command = PEERS["headgate"].command(tmp_path, 1234, 5678)
    assert command is not None
    assert PEERS["headgate"].environ(tmp_path) == {}
    assert json.loads((tmp_path / "headgate.json").read_text()) == {"access_log": str(tmp_path / "access.log")}
    assert command[command.index("--metrics") + 1] == "127.0.0.1:0"
    assert command[command.index("--workers") + 1] == "1"


def test_the_forms_have_their_settings_and_plugins(tmp_path: Path) -> None:
    *_, streams = routes("plain", tmp_path)
    assert streams["plugins"] == {"sse": {}}
    assert PEERS["plain"].environ(tmp_path) == {
        "HEADGATE_STREAMS_KEEPALIVE_S": "0",
        "HEADGATE_STREAMS_MAX_EVENT_BYTES": "0",
    }
    *_, streams = routes("guarded", tmp_path)
    assert set(streams["plugins"]["stream-guard"]) == WATCHED


@pytest.mark.parametrize("count", [100, 10_000])
def test_the_streams_route_is_the_last_of_many_distinct_ones(count: int, tmp_path: Path) -> None:
    documents = routes(f"headgate-{count}-routes", tmp_path)
    assert len(documents) == count
    assert len({one["id"] for one in documents}) == len({one["uri"] for one in documents}) == count
    assert (documents[-1]["uri"], documents[-1]["plugins"]) == ("/events/*", {"sse": {}})
    assert 0.4 < sum(one["uri"].endswith("*") for one in documents) / count < 0.6


def test_the_access_log_is_written_to_the_file(tmp_path: Path) -> None:
    class Kept(Headgate):
        def command(self, directory: Path, port: int, upstream_port: int) -> list[str]:
            del directory
            return super().command(tmp_path, port, upstream_port)

    with Origin() as origin, running(Kept("kept"), origin.port, core=CORE) as gateway:
        origin.events("/events/1", steps=[b"data: a\n\n"]).confirm(0)
        with Client(gateway.port) as client:
            client.get("/events/1")
            client.read_response()
    ended = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()][-1]
    assert (ended["event"], ended["route"], ended["events"]) == ("stream_ended", "streams", 1)


def test_the_event_plugin_sees_every_event_and_leaves_it_alone() -> None:
    with Origin() as origin, running(PEERS["headgate-events"], origin.port, core=CORE) as gateway:
        origin.events("/events/1", steps=[b"data: a\n\nevent: never\ndata: b\n\ndata: c\n\n"]).confirm(0)
        with Client(gateway.port) as client:
            client.get("/events/1")
            assert client.read_head().get(b"x-events-dropped") == b"never"
            assert client.read_body() == b"data: a\n\ndata: c\n\n"


def test_another_checkout_is_run_in_place_of_the_installed_one(tmp_path: Path) -> None:
    package = tmp_path / "src" / "headgate"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.7"\n')
    (package / "__main__.py").write_text("import sys; sys.exit(f'this is the other one, told to {sys.argv[1]}')\n")
    peer = against(tmp_path)
    assert (peer.missing(), peer.version()) == (None, f"0.0.7 in {tmp_path}")
    with pytest.raises(PeerFailedError, match="this is the other one, told to run"), running(peer, 1, core=CORE):
        pass


def test_a_checkout_without_headgate_is_told(tmp_path: Path) -> None:
    assert against(tmp_path).missing() == f"there is no headgate in {tmp_path / 'src'}"
