"""Control among real workers: what a write's answer means, and what happens when something dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.runtime.running import Running, children, eventually, wait_gone
from tests.runtime.upstream import Upstream

from headgate.runtime.supervisor import CONTROL

ROUTES = "/apisix/admin/routes"
METRICS = "/apisix/prometheus/metrics"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    # Each request on a connection of its own, so that all workers get some.
    with httpx2.Client(verify=False, trust_env=False, timeout=20, headers={"Connection": "close"}) as client:
        yield client


class Urls:
    def __init__(self, ready: dict[str, Any]) -> None:
        self.proxy = f"http://{ready['listen'][0]}"
        self.admin = f"http://{ready['admin'][0]}"
        self.metrics = f"http://{ready['metrics'][0]}"


def statuses(client: httpx2.Client, url: str, requests: int = 8) -> set[int]:
    return {client.get(url).status_code for _ in range(requests)}


def test_what_a_write_answers_is_live_in_every_worker(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    with Running(tmp_path / "data", modules=(), metrics="127.0.0.1:0") as running:
        urls = Urls(running.wait_ready())
        for number in range(5):
            answer = client.put(f"{urls.admin}{ROUTES}/{number}", json=upstream.route(f"/{number}"))
            assert answer.status_code == 201
            assert statuses(client, f"{urls.proxy}/{number}") == {200}
        for number in range(5):
            assert client.delete(f"{urls.admin}{ROUTES}/{number}").status_code == 200
            assert statuses(client, f"{urls.proxy}/{number}") == {404}
        for base in (urls.metrics, urls.admin):
            text = client.get(base + METRICS).text
            assert "apisix_http_requests_total 80.0" in text
            assert 'headgate_responses_total{status="2xx"} 40.0' in text


def test_killed_control_comes_back_with_everything_while_workers_serve(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    with Running(tmp_path / "data", modules=()) as running:
        urls = Urls(running.wait_ready())
        client.put(f"{urls.admin}{ROUTES}/1", json=upstream.route("/1"))
        before = children(running.process.pid)
        os.kill(before["control"], signal.SIGKILL)
        assert statuses(client, f"{urls.proxy}/1") == {200}
        answer = client.get(f"{urls.admin}{ROUTES}/1")  # waits in the socket that the supervisor holds
        assert answer.json()["value"]["uri"] == "/1"
        client.put(f"{urls.admin}{ROUTES}/2", json=upstream.route("/2"))
        eventually(lambda: statuses(client, f"{urls.proxy}/2") == {200})
        after = children(running.process.pid)
        assert {**after, "control": 0} == {**before, "control": 0}


def test_a_killed_worker_is_replaced_by_one_that_has_everything(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    with Running(tmp_path / "data", modules=(), workers=1) as running:
        urls = Urls(running.wait_ready())
        client.put(f"{urls.admin}{ROUTES}/1", json=upstream.route("/1"))
        with client.stream("GET", f"{urls.proxy}/1") as first:
            assert first.status_code == 200
        os.kill(children(running.process.pid)["worker 0"], signal.SIGKILL)
        assert client.get(f"{urls.proxy}/1").status_code == 200  # waits in the socket that the supervisor holds
        client.put(f"{urls.admin}{ROUTES}/2", json=upstream.route("/2"))
        assert client.get(f"{urls.proxy}/2").status_code == 200


def test_a_worker_that_does_not_answer_is_replaced_and_then_the_write_answers(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    with Running(tmp_path / "data", modules=()) as running:
        urls = Urls(running.wait_ready())
        client.put(f"{urls.admin}{ROUTES}/1", json=upstream.route("/1"))
        stopped = children(running.process.pid)["worker 0"]
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        assert client.put(f"{urls.admin}{ROUTES}/2", json=upstream.route("/2")).status_code == 201
        assert 4.5 < time.monotonic() - began < 10
        wait_gone(stopped, within_s=1)
        assert statuses(client, f"{urls.proxy}/2") == {200}


def test_what_has_expired_is_gone_in_the_workers(tmp_path: Path, client: httpx2.Client, upstream: Upstream) -> None:
    with Running(tmp_path / "data", modules=()) as running:
        urls = Urls(running.wait_ready())
        began = time.monotonic()
        client.put(f"{urls.admin}{ROUTES}/1?ttl=1", json=upstream.route("/1"))
        assert statuses(client, f"{urls.proxy}/1") == {200}
        eventually(lambda: statuses(client, f"{urls.proxy}/1") == {404})
        assert time.monotonic() - began > 1


def test_a_routes_file_is_served_and_followed(tmp_path: Path, client: httpx2.Client, upstream: Upstream) -> None:
    file = tmp_path / "routes.yaml"

    def write(*uris: str, more: str = "", end: str = "#END\n") -> None:
        items = "".join(
            f"  - uri: {uri}\n    id: {uri[1:]}\n    upstream:\n      type: roundrobin\n      nodes: {{'{upstream.node}': 1}}\n"
            for uri in uris
        )
        fresh = tmp_path / "fresh"
        fresh.write_text(f"routes:\n{items}{more}{end}")
        fresh.rename(file)

    write("/a", "/b", more="  - uri: 7\n")
    with Running(tmp_path / "data", modules=(), routes=file) as running:
        urls = Urls(running.wait_ready())
        assert "routes[2].uri" in running.log("in the routes file, left out")["problem"]
        assert statuses(client, f"{urls.proxy}/a") == {200}
        assert client.put(f"{urls.admin}{ROUTES}/1", json=upstream.route()).status_code == 405
        assert client.get(f"{urls.admin}{ROUTES}/a").json()["value"]["uri"] == "/a"
        write("/b", "/c")
        eventually(lambda: statuses(client, f"{urls.proxy}/c") == {200})
        assert statuses(client, f"{urls.proxy}/a") == {404}
        write("/d", end="")
        assert "#END" in running.log("routes file not taken")["problem"]
        assert statuses(client, f"{urls.proxy}/b") == {200}
        os.kill(children(running.process.pid)["worker 0"], signal.SIGKILL)
        running.log("worker 0 ended")
        assert statuses(client, f"{urls.proxy}/c") == {200}


def looser_file(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "config.sqlite3").touch(mode=0o644)


def no_database(data: Path) -> None:
    data.mkdir(mode=0o700)
    path = data / "config.sqlite3"
    path.touch(mode=0o600)
    path.write_bytes(b"this is no database, this is a long text" * 100)


@pytest.mark.parametrize("damage", [looser_file, no_database])
def test_a_store_that_cannot_be_used_is_one_line_and_exit_1(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    data = tmp_path / "data"
    damage(data)
    with Running(data, modules=()) as running:
        assert running.end(within_s=20) == 1
        errors = [line for line in running.rest() if '"error"' in line]
    assert len(errors) == 1
    assert '"event": "control: ' in errors[0]
    assert "config.sqlite3" in errors[0]
    assert "Traceback" not in errors[0]


def test_a_routes_file_that_is_not_there_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with Running(tmp_path / "data", modules=(), routes=tmp_path / "absent.yaml") as running:
        assert running.end(within_s=20) == 1
        errors = [line for line in running.rest() if '"error"' in line]
    assert len(errors) == 1
    assert "absent.yaml" in errors[0]


def test_keys_are_asked_for(tmp_path: Path, client: httpx2.Client) -> None:
    keys = [{"name": "me", "key": "k3y", "role": "admin"}]
    with Running(tmp_path / "data", modules=(), admin_keys=keys, workers=1) as running:
        urls = Urls(running.wait_ready())
        assert client.get(urls.admin + ROUTES).status_code == 401
        assert client.get(urls.admin + ROUTES, headers={"X-API-KEY": "k3y"}).status_code == 200


def test_it_is_ready_once_everything_was(tmp_path: Path, client: httpx2.Client) -> None:
    behaviour = tmp_path / "behaviour"
    behaviour.write_text("held")
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    modules, environment = (CONTROL, "fake_worker"), {"FAKE_WORKER_FILE": str(behaviour)}
    with Running(tmp_path / "data", modules=modules, admin=admin, environment=environment) as running:

        def look() -> tuple[int, str] | None:
            try:
                answer = client.get(f"http://{admin}/headgate/ready")
            except httpx2.ConnectError:
                return None
            return answer.status_code, answer.json()["status"]

        assert eventually(look) == (503, "starting")
        behaviour.write_text("good")
        running.wait_ready()
        eventually(lambda: look() == (200, "ready"))


def test_a_table_that_is_sent_in_parts_is_whole_before_the_first_request_is_answered(
    tmp_path: Path, upstream: Upstream
) -> None:
    last = 1200
    routes = [{"id": str(number), **upstream.route(f"/{number}")} for number in range(1, last + 1)]
    routes[700]["upstream"]["type"] = 5
    file = tmp_path / "routes.json"
    file.write_text(json.dumps({"routes": routes}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Running(tmp_path / "data", modules=(), listen=[f"127.0.0.1:{port}"], workers=1, routes=str(file)):
        connection = eventually(lambda: connected(port))  # accepted long before there is anything to say
        with connection:
            for path, status in ((f"/{last}", b"200"), ("/1", b"200"), ("/701", b"404")):
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                answer = b""
                while not answer.endswith((b"hello", b"}\n", b"}")):
                    answer += connection.recv(65536)
                assert answer.startswith(b"HTTP/1.1 " + status)


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=60)
    except ConnectionRefusedError:
        return None
