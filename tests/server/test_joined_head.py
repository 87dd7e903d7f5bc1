from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import pytest
import uvloop
from tests.origin import Origin, Received, Wire
from tests.running_gateway import RunningGateway, route

from headgate.server.joined_head import JOIN_BYTES, JoinedHead
from headgate.wire.headers import Headers
from headgate.wire.request import ResponseHead

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class Seen(asyncio.Protocol):
    """Keeps nothing."""


def written(act: Callable[[JoinedHead, asyncio.Transport], None]) -> bytes:
    """Give what the other end reads of what is written in one turn of the loop and the one behind it."""

    async def run() -> bytes:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(Seen, ours)
        with theirs:
            act(JoinedHead(transport, loop), transport)
            await asyncio.sleep(0.01)
            transport.close()
            return await asyncio.to_thread(_read_all, theirs)

    return uvloop.run(run())


def _read_all(end: socket.socket) -> bytes:
    data = b""
    while piece := os.read(end.fileno(), 65536):
        data += piece
    return data


def hold(joined: JoinedHead) -> None:
    joined.hold(ResponseHead(200, b"OK", Headers()), 5, minor_version=1, keep_alive=True)


def test_a_head_and_the_piece_behind_it() -> None:
    def act(joined: JoinedHead, _: asyncio.Transport) -> None:
        held = [joined.is_held]
        hold(joined)
        held.append(joined.is_held)
        joined.send(b"hel")
        held.append(joined.is_held)
        joined.send(b"lo")
        assert held == [False, True, False]

    assert written(act) == HEAD + b"hello"


def test_a_large_piece_is_not_copied_and_stands_behind_the_head() -> None:
    piece = b"x" * (JOIN_BYTES + 1)

    def act(joined: JoinedHead, _: asyncio.Transport) -> None:
        hold(joined)
        joined.send(piece)

    assert written(act) == HEAD + piece


def test_a_head_whose_body_is_held_back_by_somebody_goes_out_at_the_end_of_the_turn() -> None:
    assert written(lambda joined, _: hold(joined)) == HEAD


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    def act(joined: JoinedHead, transport: asyncio.Transport) -> None:
        hold(joined)
        transport.abort()

    assert written(act) == b""


@pytest.mark.parametrize("path", ["/hello", "/none"])
def test_a_small_response_comes_in_one_read(path: str) -> None:
    """Its own or headgate's."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with Origin() as origin, RunningGateway([route("1", "/hello", origin.address)]) as gateway:
        origin.on("/hello", answer)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
            for _ in range(3):
                client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
                head, mark, body = client.recv(65536).partition(b"\r\n\r\n")
                assert mark
                assert body
                assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
