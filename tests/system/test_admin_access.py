"""Who gets into the Admin API: this machine's own programs, or whoever has a key; no page, no proxy, not through ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client import get, request
from tests.origin import Origin
from tests.running_program import Answer, Program


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, dict[str, Any]]]:
    """Give a program without keys, and a route to write."""
    with Origin() as origin, Program(tmp_path_factory.mktemp("access")) as program:
        yield program, {"uri": "/guarded", "upstream": {"nodes": {origin.address: 1}}}


REBOUND = {"Host": "evil.example"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(REBOUND, id="a foreign name for this machine"),
        pytest.param({"Host": "127.0.0.1.evil.example"}, id="a name that begins like an address"),
        pytest.param({"Host": "10.0.0.1:9180"}, id="another address"),
        pytest.param({"Origin": "http://evil.example"}, id="a page from elsewhere"),
        pytest.param({"Origin": "null"}, id="a page from nowhere"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, id="a page from another port"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="a cross-site request"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="a same-site request"),
        pytest.param({"Forwarded": "for=10.0.0.1"}, id="Forwarded"),
        pytest.param({"X-Forwarded-For": "10.0.0.1"}, id="X-Forwarded-For"),
        pytest.param({"X-Forwarded-Anything": ""}, id="any X-Forwarded field, even empty"),
        pytest.param({"X-Real-IP": "127.0.0.1"}, id="X-Real-IP"),
        pytest.param({"Via": "1.1 proxy"}, id="Via"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_keys_only_this_machines_own_programs_get_in(
    gateway: tuple[Program, dict[str, Any]], method: str, headers: dict[str, str]
) -> None:
    program, route = gateway
    assert program.put("routes/guarded", route).status in {200, 201}
    stored = program.admin("GET", "routes/guarded").json
    answer = program.admin(method, "routes/guarded", {**route, "desc": "changed"} if method == "PUT" else None, headers)
    assert (answer.status, answer.headers.get("access-control-allow-origin")) == (403, None)
    assert "configure admin_keys" in answer.json["error_msg"]
    assert program.admin("GET", "routes/guarded").json == stored


@pytest.mark.parametrize("host", ["localhost:PORT", "127.0.0.1:PORT", "127.8.8.8", "[::1]:PORT", "LOCALHOST"])
def test_local_names_are_let_in(gateway: tuple[Program, dict[str, Any]], host: str) -> None:
    program, _ = gateway
    host = host.replace("PORT", str(program.admin_port))
    answer = program.admin("GET", "routes", headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status == 200, answer


@pytest.mark.parametrize("upstream", [{}, {"pass_host": "node"}])
@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Connection: x-real-ip, x-forwarded-for, x-forwarded-host, x-forwarded-port, x-forwarded-proto\r\n",
        b"Sec-Fetch-Site: same-origin\r\n",
    ],
)
def test_a_route_to_the_admin_api_does_not_open_it(
    gateway: tuple[Program, dict[str, Any]], upstream: dict[str, str], fields: bytes
) -> None:
    program, _ = gateway
    nodes = {f"127.0.0.1:{program.admin_port}": 1}
    assert program.put("routes/back", {"uri": "/apisix/*", "upstream": {"nodes": nodes, **upstream}}).status in {
        200,
        201,
    }
    head = b"DELETE /apisix/admin/routes/back HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n"
    response = request(program.port, head)
    assert (response.status, b"came through a proxy" in response.body) == (403, True)
    assert program.admin("DELETE", "routes/back").status == 200


KEYS = """
admin_keys:
  - {name: ops, key: secret-1, role: admin}
  - {name: dashboard, key: secret-2, role: viewer}
"""


def test_with_keys(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(KEYS)
    admin, viewer = {"X-API-KEY": "secret-1"}, {"X-API-KEY": "secret-2"}
    with Origin() as origin, Program(tmp_path) as program:
        document = {"uri": "/hello", "upstream": {"nodes": {origin.address: 1}}}

        def refused(answer: Answer, description: str) -> None:
            expected = {"error_msg": "failed to check token", "description": description}
            assert (answer.status, answer.json) == (401, expected)
            assert get(program.port, "/hello").status == 404

        for method, path, body in (
            ("GET", "routes", None),
            ("PUT", "routes/1", document),
            ("DELETE", "routes/1", None),
        ):
            refused(program.admin(method, path, body), "missing apikey")
            refused(program.admin(method, path, body, {"X-API-KEY": "secret-3"}), "wrong apikey")
            refused(program.admin(method, path, body, {"X-API-KEY": ""}), "wrong apikey")
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            path = "routes" if method == "POST" else "routes/1"
            refused(program.admin(method, path, document, viewer), "invalid method for role viewer")
        refused(program.admin("PUT", "routes/1?api_key=secret-3", document, admin), "wrong apikey")

        assert program.admin("GET", "routes", headers=viewer).json == {"list": [], "total": 0}
        assert program.admin("HEAD", "/apisix/admin").status == 200
        assert program.admin("PUT", "routes/1", document, admin).status == 201
        assert program.admin("PUT", "routes/1?api_key=secret-1", document).status == 200
        assert program.admin("PUT", "routes/1", document, {"Cookie": "x_api_key=secret-1"}).status == 200
        assert get(program.port, "/hello").status == 200

        # With a key in hand the caller may come from a page or through a proxy.
        answer = program.admin("GET", "routes/1", headers={**viewer, **REBOUND, "X-Forwarded-For": "10.0.0.1"})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
        assert not any("secret-" in line for line in program.errors)
