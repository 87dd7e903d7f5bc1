"""Every peer relays: what is measured is the same work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.peers.peer import Peer, Running, running
from bench.peers.registry import PEERS
from tests.client import Client, get
from tests.origin import Gate, Origin
from tests.origin_wire import Received, Wire

from bench.machine import cpu

CORE = min(os.sched_getaffinity(0))
MEBIBYTE = bytes(range(256)) * 4096
LEAVES_UPSTREAM_RUNNING = {"caddy"}
"""With ``flush_interval -1`` it reads a stream to its end that nobody hears."""
ONLY_GET = {"bare"}
RELAYS = {"aiohttp", "starlette"}
"""Those whose code stands here."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A peer that runs before an origin."""

    peer: Peer
    origin: Origin
    gateway: Running


def _params() -> list[object]:
    slow = {"headgate-10000-routes"}
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in PEERS]


@pytest.fixture(scope="module", params=_params())
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    peer = PEERS[request.param]
    assert peer.missing() is None
    with Origin() as origin, running(peer, origin.port, core=CORE) as gateway:
        yield Rig(peer, origin, gateway)


def holds(pids: Sequence[int], gateway_port: int, client_port: int) -> bool:
    """Say whether one of these processes holds the gateway's end of a client's connection (proc(5), /proc/net/tcp)."""
    ends = f"0100007F:{gateway_port:04X}", f"0100007F:{client_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    [inode] = [row[9] for row in rows if (row[1], row[2]) == ends]
    return any(f"socket:[{inode}]" == str(one.readlink()) for pid in pids for one in Path(f"/proc/{pid}/fd").iterdir())


def test_each_event_passes_before_the_next_is_made(rig: Rig) -> None:
    stream = rig.origin.events("/events/1", steps=[b"data: %d\n\n" % number for number in range(5)])
    with Client(rig.gateway.port) as client:
        client.get("/events/1", (b"Accept", b"text/event-stream"))
        head = client.read_head()
        assert head.status == 200
        assert (head.get(b"content-type") or b"").startswith(b"text/event-stream")
        for number, step in enumerate(stream.steps):
            assert client.read_event().data == step
            stream.confirm(number)
        assert client.read_body() == b""


def test_the_stream_is_carried_by_the_processes_that_are_measured(rig: Rig) -> None:
    assert set(rig.gateway.pids) <= set(rig.gateway.all_pids)
    if rig.peer.name == "direct":
        assert (rig.gateway.port, rig.gateway.pids) == (rig.origin.port, [])
        return
    stream = rig.origin.events("/events/2", steps=[b"data: a\n\n"])
    used_ns = cpu.on_cpu_ns(rig.gateway.pids)
    with Client(rig.gateway.port) as client:
        client.get("/events/2")
        client.read_head()
        client.read_event()
        assert holds(rig.gateway.pids, rig.gateway.port, client.socket.getsockname()[1])
        stream.confirm(0)
        client.read_body()
    assert cpu.on_cpu_ns(rig.gateway.pids) > used_ns
    assert {os.sched_getaffinity(pid) == {CORE} for pid in rig.gateway.all_pids} == {True}


def test_the_origin_hears_that_the_client_has_left(rig: Rig) -> None:
    left, ended = Gate(), []

    async def events(request: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"data: a\n\n")
        await left.wait()
        await wire.chunk(b"data: b\n\n")
        await wire.last_chunk()
        ended.append(request)
        wire.announce()

    rig.origin.on("/events/3", events)
    with Client(rig.gateway.port) as client:
        client.get("/events/3")
        client.read_head()
        client.read_event()
        wire = rig.origin.requests[-1].wire
    if rig.peer.name in LEAVES_UPSTREAM_RUNNING:
        left.open()
        rig.origin.wait_for(lambda: bool(ended))
        assert wire.closed_by_peer is None
    else:
        assert rig.origin.closed(wire.connection).how in ("fin", "rst")
        left.open()


def test_method_target_status_and_fields_pass(rig: Rig) -> None:
    async def teapot(request: Received, wire: Wire) -> None:
        await request.body()
        await wire.respond(418, b"short and stout\n", (b"Content-Type", b"text/plain"), (b"X-Answer", b"b"))

    rig.origin.on("/a/teapot", teapot)
    response = get(rig.gateway.port, "/a/teapot?q=1&q=%2F", (b"X-Question", b"a"), (b"Accept", b"text/plain"))
    assert (response.status, response.body, response.get(b"x-answer")) == (418, b"short and stout\n", b"b")
    received = rig.origin.requests[-1]
    assert (received.method, received.target) == (b"GET", b"/a/teapot?q=1&q=%2F")
    assert (received.get(b"x-question"), received.get(b"accept")) == (b"a", b"text/plain")


def test_connections_are_kept_alive_on_both_sides(rig: Rig) -> None:
    if rig.peer.name in ONLY_GET:  # and one on each connection
        return
    with Client(rig.gateway.port) as client:
        for _ in range(2):
            client.get("/hello", (b"Keep-Alive", b"timeout=5"), (b"TE", b"trailers"))
            assert client.read_response().body == b"hello world\n"
    first, second = rig.origin.requests[-2:]
    assert first.wire is second.wire
    if rig.peer.name in RELAYS:
        assert not {name.lower() for name, _ in second.fields} & {b"keep-alive", b"te"}


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_comes_down_whole(rig: Rig, framing: str) -> None:
    async def give(request: Received, wire: Wire) -> None:
        await request.body()
        kind = (b"Content-Type", b"application/octet-stream")
        if framing == "length":
            return await wire.respond(200, MEBIBYTE, kind)
        await wire.head(200, kind, (b"Transfer-Encoding", b"chunked"))
        for first in range(0, len(MEBIBYTE), 100_000):
            await wire.chunk(MEBIBYTE[first : first + 100_000])
        return await wire.last_chunk()

    rig.origin.on(f"/large/{framing}", give)
    response = get(rig.gateway.port, f"/large/{framing}")
    assert (response.status, len(response.body)) == (200, len(MEBIBYTE))
    assert response.body == MEBIBYTE


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_goes_up_whole_and_as_it_comes(rig: Rig, framing: str) -> None:
    if rig.peer.name in ONLY_GET:
        return

    async def take(request: Received, wire: Wire) -> None:
        body = await request.body()
        await wire.respond(200, b"%d\n" % len(body))

    rig.origin.on(f"/take/{framing}", take)
    field = b"Content-Length: %d" % len(MEBIBYTE) if framing == "length" else b"Transfer-Encoding: chunked"
    half = len(MEBIBYTE) // 2  # more than any peer's write buffer
    parts = [MEBIBYTE[:half], MEBIBYTE[half:]]
    if framing == "chunked":
        parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
    with Client(rig.gateway.port) as client:
        client.send(b"POST /take/%b HTTP/1.1\r\nHost: bench\r\n%b\r\n\r\n" % (framing.encode(), field) + parts[0])
        target = f"/take/{framing}".encode()
        rig.origin.wait_for(lambda: any(one.target == target and one.body_so_far for one in rig.origin.requests))
        for part in parts[1:]:
            client.send(part)
        assert client.read_response().body == b"%d\n" % len(MEBIBYTE)
    [received] = [one for one in rig.origin.requests if one.target == target]
    assert bytes(received.body_so_far) == MEBIBYTE


def test_many_connections_at_once_are_all_accepted(rig: Rig) -> None:
    clients = [Client(rig.gateway.port) for _ in range(300)]
    try:
        for client in clients:
            client.get("/hello")
        assert {client.read_response().body for client in clients} == {b"hello world\n"}
    finally:
        for client in clients:
            client.close()
