"""The command line's calls against servers that misbehave; what a real Admin API answers is in tests/system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.origin import EVENT_STREAM, Origin, Received, Wire

from headgate.cli import admin_client
from headgate.cli.admin_client import AdminCallError, AdminClient, find_address
from headgate.wire.sse import Event


@pytest.mark.parametrize(
    "address",
    ["", "nonsense:port", "http://", "ftp://127.0.0.1:1", "127.0.0.1:99999", "http://127.0.0.1:1/path", "[::1"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(AdminCallError, match="expected HOST:PORT or http://HOST:PORT"):
        AdminClient(address, None)


@pytest.mark.parametrize("form", ["{}", "http://{}", "http://{}/"])
def test_a_call_with_a_key(form: str) -> None:
    with Origin() as origin:
        origin.on("/x", lambda _, wire: wire.respond(200, b'{"a": 1}'))
        assert AdminClient(form.format(origin.address), "k3y").call("DELETE", "/x?y=z") == {"a": 1}
        request = origin.request()
        assert (request.method, request.target, request.get(b"x-api-key")) == (b"DELETE", b"/x?y=z", b"k3y")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_an_address_to_listen_on_everywhere_is_called_here(host: str) -> None:
    with Origin() as origin:
        origin.on("/x", lambda _, wire: wire.respond(200, b"{}"))
        client = AdminClient(f"{host}:{origin.port}", None)
        assert client._host in {"127.0.0.1", "::1"}
        if client._host == "127.0.0.1":
            assert client.call("GET", "/x") == {}
            assert origin.request().get(b"x-api-key") is None


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, b"hello", "gave no answer of an Admin API"),
        (200, b"[]", "gave no answer of an Admin API"),
        (200, b"\xff", "gave no answer of an Admin API"),
        (302, b"", "gave no answer of an Admin API"),
        (404, b'{"error_msg":"no such stream"}', "^no such stream$"),
        (500, b"{}", "^500$"),
        (
            401,
            b'{"error_msg":"failed to check token","description":"wrong apikey"}',
            "^the Admin API wants an admin key: wrong apikey; --key or HEADGATE_ADMIN_KEY gives one$",
        ),
    ],
)
def test_answers_that_are_none(status: int, body: bytes, text: str) -> None:
    with Origin() as origin:
        origin.on("/x", lambda _, wire: wire.respond(status, body))
        with pytest.raises(AdminCallError, match=text):
            AdminClient(origin.address, None).call("GET", "/x")


def test_nobody_there() -> None:
    with Origin() as origin:
        address = origin.address
    text = f"^cannot reach the Admin API at http://{address}: Connection refused; --admin says where it is$"
    with pytest.raises(AdminCallError, match=text):
        AdminClient(address, None).call("GET", "/x")


async def _silence(_: Received, wire: Wire) -> None:
    await wire.gone()


async def _nonsense(_: Received, wire: Wire) -> None:
    await wire.send(b"220 smtp.example ready\r\n")
    wire.fin()


def test_somebody_else_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_client, "CALL_S", 0.2)
    with Origin() as origin:
        origin.on("/silence", _silence)
        origin.on("/nonsense", _nonsense)
        for target, reason in (("/silence", "timed out"), ("/nonsense", "220 smtp.example ready")):
            with pytest.raises(AdminCallError, match=f"cannot reach the Admin API .*{reason}"):
                AdminClient(origin.address, None).call("GET", target)


def test_events_come_one_by_one() -> None:
    with Origin() as origin:
        steps = origin.events("/x", steps=[b"event: a\ndata: 1\n\n", b"data: 2\n\n"])
        events = AdminClient(origin.address, None).follow("/x")
        assert next(events) == Event("a", "1", "")
        steps.confirm(0)
        assert next(events) == Event("message", "2", "")
        steps.confirm(1)
        assert list(events) == []


async def _cut(_: Received, wire: Wire) -> None:
    await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
    await wire.chunk(b"data: 1\n\n")
    wire.fin()


def test_a_stream_that_breaks_off() -> None:
    with Origin() as origin:
        origin.on("/x", _cut)
        events = AdminClient(origin.address, None).follow("/x")
        assert next(events).data == "1"
        with pytest.raises(AdminCallError, match="the Admin API broke off"):
            next(events)


# -- where it is ------------------------------------------------------------------------------------------------------


def test_the_address_is_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_address({"HEADGATE_LISTEN": "nonsense"}) == "127.0.0.1:9180"
    assert find_address({"HEADGATE_ADMIN": "127.0.0.1:9999"}) == "127.0.0.1:9999"
    (tmp_path / "headgate.yaml").write_text(json.dumps({"admin": "127.0.0.1:9998"}))
    assert find_address({}) == "127.0.0.1:9998"
    assert find_address({"HEADGATE_ADMIN": "127.0.0.1:9999", "HEADGATE_ADMIN_KEY": "k"}) == "127.0.0.1:9999"
    (tmp_path / "headgate.yaml").write_text("{")
    with pytest.raises(AdminCallError, match=r"headgate\.yaml.*; --admin does without the settings"):
        find_address({})
