"""A worker with real streams: how it ends them, and what it writes down."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.runtime.running import Running, children, eventually, wait_gone
from tests.runtime.upstream import Upstream


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(verify=False, trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def serve(running: Running, client: httpx2.Client, upstream: Upstream) -> str:
    """Have everything routed to the upstream; give the proxy's URL."""
    ready = running.wait_ready()
    answer = client.put(f"http://{ready['admin'][0]}/apisix/admin/routes/1", json=upstream.route())
    assert answer.status_code == 201
    return f"http://{ready['listen'][0]}"


def read_records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_streams_open_it_exits_0_with_the_window(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream, number: int
) -> None:
    log = tmp_path / "access.log"
    with Running(tmp_path / "data", modules=(), access_log=str(log), drain={"window_s": 1}) as running:
        proxy = serve(running, client, upstream)
        with client.stream("GET", proxy + "/events/1") as one, client.stream("GET", proxy + "/events/2") as two:
            bodies = [one.iter_raw(), two.iter_raw()]  # kept: a body that is let go of closes its connection
            assert all(next(body).startswith(b"data: x") for body in bodies)
            running.signal(number)
            assert running.end(within_s=20) == 0
        assert [record["ending"] for record in read_records(log) if "ending" in record] == ["drain", "drain"]


def test_when_the_supervisor_is_killed_streams_drain_and_all_processes_end(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    log = tmp_path / "access.log"
    with Running(tmp_path / "data", modules=(), access_log=str(log), drain={"window_s": 1}) as running:
        proxy = serve(running, client, upstream)
        processes = children(running.process.pid)
        with client.stream("GET", proxy + "/events") as stream:
            body = stream.iter_raw()
            assert next(body).startswith(b"data: x")
            running.signal(signal.SIGKILL)
            for pid in processes.values():
                wait_gone(pid, within_s=20)
        assert [record["ending"] for record in read_records(log) if "ending" in record] == ["drain"]


def test_sigusr1_opens_the_access_log_anew(tmp_path: Path, client: httpx2.Client, upstream: Upstream) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    with Running(tmp_path / "data", modules=(), access_log=str(log), workers=1) as running:
        proxy = serve(running, client, upstream)
        client.get(proxy + "/before?token=s3cret")
        log.rename(rotated)
        running.signal(signal.SIGUSR1)
        eventually(log.exists)
        client.get(proxy + "/after")
        eventually(lambda: read_records(log))
        assert "/before" in rotated.read_text()
        assert "s3cret" not in rotated.read_text()
        assert "/after" in log.read_text()


def test_streams_of_a_killed_worker_count_as_gateway_errors(
    tmp_path: Path, client: httpx2.Client, upstream: Upstream
) -> None:
    with Running(tmp_path / "data", modules=(), workers=1) as running:
        ready = running.wait_ready()
        admin = f"http://{ready['admin'][0]}"
        client.put(f"{admin}/apisix/admin/routes/1", json=upstream.route())
        with client.stream("GET", f"http://{ready['listen'][0]}/events") as stream:
            body = stream.iter_raw()
            assert next(body).startswith(b"data: x")
            os.kill(children(running.process.pid)["worker 0"], signal.SIGKILL)
            assert running.log("worker 0 ended")["streams_lost"] == 1
        text = client.get(f"{admin}/apisix/prometheus/metrics").text
        assert 'headgate_streams_ended_total{ending="gateway_error"} 1.0' in text
        assert "headgate_streams_open 0.0" in text


def test_an_access_log_that_cannot_be_opened_is_said_and_ends_the_start(tmp_path: Path) -> None:
    with Running(tmp_path / "data", modules=(), access_log=str(tmp_path / "no" / "log"), workers=1) as running:
        assert "No such file or directory" in running.log("worker 0: ")["event"]
        assert running.end(within_s=20) == 1


def test_a_worker_that_drains_takes_orders_still(tmp_path: Path, client: httpx2.Client, upstream: Upstream) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    with Running(tmp_path / "data", modules=(), access_log=str(log), workers=1, drain={"window_s": 60}) as running:
        proxy = serve(running, client, upstream)
        with client.stream("GET", proxy + "/events/1") as one, client.stream("GET", proxy + "/events/2") as two:
            bodies = [one.iter_raw(), two.iter_raw()]
            assert all(next(body).startswith(b"data: x") for body in bodies)
            old = children(running.process.pid)["worker 0"]
            running.signal(signal.SIGHUP)
            running.wait_reload(1, "serving")
            eventually(lambda: [record["ending"] for record in read_records(log) if "ending" in record] == ["drain"])
            log.rename(rotated)
            running.signal(signal.SIGUSR1)
            eventually(log.exists)
            # Control was replaced meanwhile, and knows of the stream that is left.
            found = client.get(f"http://{running.admin}/headgate/streams").json()
            assert [row["pid"] for row in found["list"]] == [old]
        eventually(lambda: [record["ending"] for record in read_records(log) if "ending" in record] == ["client_gone"])
        wait_gone(old)
