from __future__ import annotations

import pytest
from tests.client import Client, get
from tests.origin import Gate, Origin, Received, Wire
from tests.running_gateway import RunningGateway, route

from headgate.server.response import Nobody, fit_body


def test_what_the_upstream_says_of_itself_and_of_the_hop_stays_behind() -> None:
    fields = [
        (b"Server", b"origin/1"),
        (b"Date", b"Mon, 01 Jan 2001 00:00:00 GMT"),
        (b"X-Accel-Buffering", b"no"),
        (b"X-Accel-Redirect", b"/x"),
        (b"X-Pad", b"avoid browser bug"),
        (b"Connection", b"keep-alive, X-Private"),
        (b"X-Private", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-Odd", b"\xff\xfe caf\xc3\xa9"),
        (b"Cache-Control", b"max-age=1"),
        (b"Via", b"1.1 other"),
    ]

    async def answer(_: Received, wire: Wire) -> None:
        await wire.respond(200, b"x", *fields)

    with Origin() as origin, RunningGateway([route("1", "/*", origin.address)]) as gateway:
        origin.on("/fields", answer)
        passed = get(gateway.port, "/fields").head.fields
        assert passed == (
            (b"Date", b"Mon, 01 Jan 2001 00:00:00 GMT"),
            (b"Set-Cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"X-Odd", b"\xff\xfe caf\xc3\xa9"),
            (b"Cache-Control", b"max-age=1"),
            (b"Via", b"1.1 other"),
            (b"Server", b"headgate"),
            (b"Content-Length", b"1"),
        )


def test_a_response_without_a_date_gets_one() -> None:
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address)]) as gateway:
        response = get(gateway.port, "/hello")
        assert len(response.head.get_all(b"date")) == 1
        assert response.get(b"via") is None


def test_a_content_encoding_stays_with_the_bytes_that_it_tells_of() -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Content-Encoding", b"gzip"), (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"\x1f\x8b\x08")
        await wire.last_chunk()

    with Origin() as origin, RunningGateway([route("1", "/*", origin.address)]) as gateway:
        origin.on("/zipped", answer)
        response = get(gateway.port, "/zipped")
        assert (response.get(b"content-encoding"), response.body) == (b"gzip", b"\x1f\x8b\x08")


@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, 300_000])
def test_one_read_of_the_upstream_is_one_chunk_of_the_client(size: int) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, (b"Transfer-Encoding", b"chunked"))
        for _turn in range(2):
            await wire.chunk(b"x" * size)
            await gate.wait()
        await wire.last_chunk()

    gate = Gate()
    with Origin() as origin, RunningGateway([route("1", "/*", origin.address)]) as gateway:
        origin.on("/large", answer)
        with Client(gateway.port) as client:
            client.get("/large")
            client.read_head()
            got = b""
            while len(got) < size:
                got += client.read_chunk().data
            assert got == b"x" * size
            gate.open()
            assert client.read_body() == b"x" * size


@pytest.mark.parametrize(
    ("method", "status", "length", "has_body", "fitted"),
    [
        (b"GET", 200, 5, True, (5, True)),
        (b"GET", 200, None, True, (None, True)),
        (b"GET", 200, 5, False, (0, True)),
        (b"GET", 204, None, False, (None, False)),
        (b"GET", 304, 5, False, (5, False)),
        (b"GET", 204, 5, True, (5, False)),
        (b"HEAD", 200, 5, False, (5, False)),
        (b"HEAD", 200, None, True, (None, False)),
    ],
)
def test_the_body_fits_the_clients_own_request(
    method: bytes, status: int, length: int | None, has_body: bool, fitted: tuple[int | None, bool]
) -> None:
    assert fit_body(method, status, length, has_body=has_body) == fitted


def test_nobody_takes_everything() -> None:
    nobody = Nobody()
    nobody.piece_received(b"x")
    nobody.response_ended()
