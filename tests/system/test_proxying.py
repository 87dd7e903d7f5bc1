"""What an upstream sees, which node gets a request, and what a client is told when none answers: APISIX's ``t/node`` cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client, Response, get, request
from tests.origin import Origin, Received, Wire
from tests.running_program import Program

TITLES = {502: b"502 Bad Gateway", 503: b"503 Service Temporarily Unavailable", 504: b"504 Gateway Time-out"}


class Gateway:
    """The program with three upstreams and one address at which nobody listens."""

    def __init__(self, program: Program, origins: list[Origin], dead: str) -> None:
        self.program = program
        self.origins = origins
        self.dead = dead

    def upstream(self, weights: list[int], **more: object) -> dict[str, Any]:
        """Make an upstream of the first origins with these weights."""
        return {
            "nodes": {origin.address: weight for origin, weight in zip(self.origins, weights, strict=False)},
            **more,
        }

    def put(self, identifier: str, document: dict[str, Any]) -> None:
        """Write a route."""
        answer = self.program.put(f"routes/{identifier}", document)
        assert answer.status in {200, 201}, answer

    def ended(self, target: str) -> dict[str, Any]:
        """Wait for the record of a request's end."""
        return self.program.wait_record(
            lambda record: record.get("event") == "request_ended" and record["target"] == target
        )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Origin() as gone:
        dead = gone.address
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin()) for _ in range(3)]
        yield Gateway(stack.enter_context(Program(tmp_path_factory.mktemp("proxying"))), origins, dead)


def fields_of(response: Response) -> dict[str, list[str]]:
    """Read the answer of the fixture's ``/uri`` and ``/old_uri``: every request field that arrived, by lower-case name."""
    found: dict[str, list[str]] = {}
    for line in response.body.decode().splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


FORWARDED = (
    b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: example.com\r\nX-Forwarded-Port: 8443\r\nForwarded: for=1.2.3.4\r\n"
)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(  # t/node/http_host.t 2
            b"Host: foo.com:1984\r\n",
            {"host": "foo.com:1984", "x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1"},
            id="the client's Host as it was sent",
        ),
        pytest.param(  # t/core/trusted-addresses.t 1
            b"Host: localhost\r\n" + FORWARDED,
            {
                "x-forwarded-for": "1.2.3.4, 127.0.0.1",
                "x-forwarded-host": "localhost",
                "x-forwarded-port": "PORT",
                "x-forwarded-proto": "http",
                "forwarded": None,
            },
            id="no list of trusted addresses",
        ),
        pytest.param(  # t/core/trusted-addresses.t 11
            b"Host: example.com:8443\r\n",
            {"x-forwarded-host": "example.com:8443", "x-forwarded-port": "8443"},
            id="the port of the Host field",
        ),
        pytest.param(
            b"Host: FOO.com\r\n", {"host": "FOO.com", "x-forwarded-host": "FOO.com"}, id="the case of the Host"
        ),
        pytest.param(
            b"Host: a\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n",
            {"x-secret": None, "keep-alive": None, "te": None, "upgrade": None, "connection": None},
            id="nothing that concerns the client's connection only",
        ),
        pytest.param(
            b"Host: a\r\nLast-Event-ID: 41\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\nCache-Control: no-cache\r\n"
            b"Cookie: a=1\r\nOrigin: http://b\r\n",
            {
                "last-event-id": "41",
                "accept": "text/event-stream",
                "accept-encoding": "gzip",
                "cache-control": "no-cache",
                "cookie": "a=1",
                "origin": "http://b",
                "via": None,
            },
            id="everything else",
        ),
        pytest.param(
            b"Host: a\r\nX-Real-IP: 9.9.9.9\r\nConnection: x-real-ip, x-forwarded-for, x-forwarded-host\r\n",
            {"x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1", "x-forwarded-host": "a"},
            id="a Connection field takes nothing away that the gateway sets",
        ),
    ],
)
def test_what_the_upstream_is_told(gateway: Gateway, head: bytes, expected: dict[str, str | None]) -> None:
    gateway.put("1", {"uri": "/old_uri", "upstream": gateway.upstream([1])})
    response = request(gateway.program.port, b"GET /old_uri HTTP/1.1\r\n" + head + b"\r\n")
    assert response.status == 200
    seen = fields_of(response)
    for name, value in expected.items():
        wanted = None if value is None else [value.replace("PORT", str(gateway.program.port))]
        assert seen.get(name) == wanted, name


def test_a_trusted_peer_is_believed(tmp_path: Path, gateway: Gateway) -> None:
    """The same request from a trusted address (t/core/trusted-addresses.t 2, 10)."""
    with Program(tmp_path, environ={"HEADGATE_TRUSTED_ADDRESSES": "127.0.0.0/8"}) as program:
        program.route("1", "/old_uri", gateway.origins[0].address)
        raw = b"GET /old_uri HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"\r\n"
        seen = fields_of(request(program.port, raw))
        assert seen["x-forwarded-for"] == ["1.2.3.4, 127.0.0.1"]
        assert seen["x-forwarded-host"] == ["example.com"]
        assert seen["x-forwarded-port"] == ["8443"]
        assert seen["x-forwarded-proto"] == ["https"]
        assert seen["forwarded"] == ["for=1.2.3.4"]


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({}, "client.example"),
        ({"pass_host": "node"}, "NODE"),
        ({"pass_host": "rewrite", "upstream_host": "up.example"}, "up.example"),
    ],
)
def test_the_host_by_pass_host(gateway: Gateway, more: dict[str, str], host: str) -> None:
    gateway.put("1", {"uri": "/uri", "upstream": gateway.upstream([1], **more)})
    seen = fields_of(get(gateway.program.port, "/uri", host=b"client.example"))
    assert seen["host"] == [host.replace("NODE", gateway.origins[0].address)]


@pytest.mark.parametrize(
    ("weights", "shares"),  # t/node/rr-balance.t 2, 4, 6, 8
    [([1, 1], [6, 6]), ([1, 1, 1], [4, 4, 4]), ([3, 2, 1], [6, 4, 2]), ([3, 0, 1], [9, 0, 3])],
)
def test_twelve_requests_by_weight(gateway: Gateway, weights: list[int], shares: list[int]) -> None:
    gateway.put("1", {"uri": "/server_port", "upstream": gateway.upstream(weights)})
    seen = Counter(get(gateway.program.port, "/server_port").body.decode() for _ in range(12))
    assert [seen[str(origin.port)] for origin in gateway.origins[: len(weights)]] == shares


def test_a_dead_node_is_passed_over(gateway: Gateway) -> None:
    """Whatever its weight (t/node/chash-balance.t 13, 14, with roundrobin)."""
    nodes = {gateway.dead: 1000, gateway.origins[0].address: 1}
    gateway.put("1", {"uri": "/hello", "upstream": {"nodes": nodes}})
    for _ in range(5):
        assert get(gateway.program.port, "/hello").body == b"hello world\n"


def test_a_node_that_resets_is_passed_over_for_get_and_not_for_post(gateway: Gateway) -> None:
    async def reset(_: Received, wire: Wire) -> None:
        wire.rst()

    with Origin() as broken:
        broken.on("/hello", reset)
        nodes = [
            {"host": "127.0.0.1", "port": broken.port, "weight": 1, "priority": 1},
            {"host": "127.0.0.1", "port": gateway.origins[0].port, "weight": 1, "priority": 0},
        ]
        gateway.put("1", {"uri": "/hello", "upstream": {"nodes": nodes}})
        assert get(gateway.program.port, "/hello").status == 200
        post = b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
        assert request(gateway.program.port, post).status == 502
        assert len(broken.requests) == 2


@pytest.mark.parametrize(("retries", "tries"), [(None, 4), (1, 2), (0, 1)])  # t/node/upstream-retries.t 4, 7, 9
def test_four_nodes_that_hang_up(gateway: Gateway, retries: int | None, tries: int) -> None:
    async def hang_up(_: Received, wire: Wire) -> None:
        wire.fin()

    with ExitStack() as stack:
        broken = [stack.enter_context(Origin()) for _ in range(4)]
        for origin in broken:
            origin.on("/hello", hang_up)
        more = {} if retries is None else {"retries": retries}
        gateway.put("1", {"uri": "/hello", "upstream": {"nodes": {one.address: 1 for one in broken}, **more}})
        response = get(gateway.program.port, "/hello")
        assert (response.status, TITLES[502] in response.body) == (502, True)
        assert sum(len(origin.requests) for origin in broken) == tries


def test_a_slow_upstream_is_given_up_with_504(gateway: Gateway) -> None:
    """t/node/timeout-upstream.t 2."""
    timeout = {"connect": 0.5, "send": 0.5, "read": 0.5}
    gateway.put("1", {"uri": "/mysleep", "upstream": gateway.upstream([1], timeout=timeout)})
    response = get(gateway.program.port, "/mysleep?seconds=30")
    assert (response.status, response.get(b"content-type")) == (504, b"text/html; charset=utf-8")
    assert TITLES[504] in response.body
    record = gateway.ended("/mysleep?seconds=30")
    assert (record["ending"], record["error"]) == ("upstream_unreachable", "read_timeout")
    assert 0.5 <= record["duration_s"] < 15


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        pytest.param({"plugins": {}}, 503, "no_upstream", id="no upstream"),  # t/node/not-exist-upstream.t 3
        pytest.param({"upstream": {"nodes": {}}}, 503, "no_targets", id="no nodes"),
        pytest.param({"upstream": {"nodes": {"DEAD": 1}}}, 502, "connect_refused", id="nobody listens"),
        pytest.param({"upstream": {"nodes": {"127.0.0.1:1": 0}}}, 503, "no_targets", id="weight 0 only"),
        pytest.param({"upstream": {"nodes": {"nowhere.invalid:80": 1}}}, 503, "unresolvable", id="no such name"),
    ],
)
def test_no_upstream_to_answer(gateway: Gateway, document: dict[str, Any], status: int, error: str) -> None:
    nodes = document.get("upstream", {}).get("nodes", {})
    if "DEAD" in nodes:
        document = {"upstream": {"nodes": {gateway.dead: 1}}}
    gateway.put("1", {"uri": "/none/*", **document})
    response = get(gateway.program.port, f"/none/{error}/{len(str(document))}")
    assert (response.status, response.get(b"server")) == (status, b"headgate")
    assert TITLES[status] in response.body
    record = gateway.ended(f"/none/{error}/{len(str(document))}")
    assert (record["ending"], record["error"], record["route"]) == ("upstream_unreachable", error, "1")


HANDSHAKE = (
    b"GET /websocket_handshake HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_websocket_passes_where_the_route_says_so(gateway: Gateway) -> None:
    """t/node/upstream-websocket.t 2, and a frame in each direction."""
    upstream = gateway.upstream([1])
    gateway.put("1", {"uri": "/websocket_handshake", "enable_websocket": True, "upstream": upstream})
    with Client(gateway.program.port) as client:
        client.send(HANDSHAKE)
        head = client.read_head()
        assert head.status == 101
        assert head.get(b"upgrade") == b"websocket"
        assert (head.get(b"connection") or b"").lower() == b"upgrade"
        assert head.get(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert b"content-type" not in head
        assert client.read_until(b"hello").data == b"\x81\x05hello"
        client.send(b"\x81\x83\0\0\0\0abc")
        assert client.read_until(b"abc").data == b"\x81\x83\0\0\0\0abc"


@pytest.mark.parametrize("more", [{}, {"enable_websocket": False}])
def test_elsewhere_the_upgrade_is_taken_out(gateway: Gateway, more: dict[str, bool]) -> None:
    """t/node/upstream-websocket.t 7: the upstream finds no handshake."""
    gateway.put("1", {"uri": "/websocket_handshake", "upstream": gateway.upstream([1]), **more})
    assert request(gateway.program.port, HANDSHAKE).status == 400


def test_what_comes_back_is_the_upstreams_but_for_server_and_framing(gateway: Gateway) -> None:
    gateway.put("1", {"uri": "/headers", "upstream": gateway.upstream([1])})
    query = "Server=other&X-Accel-Buffering=no&X-One=1&Date=then&Set-Cookie=a%3D1&Keep-Alive=timeout%3D5"
    response = get(gateway.program.port, f"/headers?{query}")
    assert response.body == b"/headers\n"
    found = {name: response.head.get_all(name) for name in (b"Server", b"X-One", b"Date", b"Set-Cookie")}
    assert found == {b"Server": [b"headgate"], b"X-One": [b"1"], b"Date": [b"then"], b"Set-Cookie": [b"a=1"]}
    assert b"x-accel-buffering" not in response.head
    assert b"keep-alive" not in response.head
