from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from headgate.server.body_framing import BodyFraming
from headgate.server.response_writer import JOIN_BYTES, ResponseWriter
from headgate.wire.headers import Headers
from headgate.wire.request import ResponseHead

Run = Callable[[Coroutine[Any, Any, None]], None]
RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


class Peer:
    """The client's end, read without a loop of its own in the way."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    async def read_to_the_end(self) -> tuple[bytes, str]:
        """Read until FIN or RST; give all bytes and which it was."""
        data = bytearray()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            while True:
                try:
                    piece = await loop.sock_recv(self._connection, 65536)
                except ConnectionError:
                    return bytes(data), "rst"
                if not piece:
                    return bytes(data), "fin"
                data += piece


@asynccontextmanager
async def connected(*, receive_buffer_bytes: int | None = None) -> AsyncIterator[tuple[ResponseWriter, Peer]]:
    """Give a writer on a real connection, and the client at its other end."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as near:
        if receive_buffer_bytes is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        near.connect(listening.getsockname())
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, listening.accept()[0])
        try:
            yield ResponseWriter(transport, loop), Peer(near)
        finally:
            transport.abort()
            await asyncio.sleep(0)


def respond(
    writer: ResponseWriter, content_length: int | None, *, has_body: bool = True, minor_version: int = 1
) -> None:
    """Begin a response."""
    writer.choose_framing(content_length, has_body=has_body, minor_version=minor_version)
    head = ResponseHead(200, b"OK", Headers.of([(b"X-A", b"1")]))
    writer.send_head(head, content_length, minor_version=minor_version, keep_alive=True)


@RUNNERS
@pytest.mark.parametrize(
    ("content_length", "has_body", "minor_version", "framing", "fields", "body"),
    [
        (4, True, 1, BodyFraming.SIZED, b"Content-Length: 4\r\n", b"bo\0y"),
        (4, True, 0, BodyFraming.SIZED, b"Content-Length: 4\r\nConnection: keep-alive\r\n", b"bo\0y"),
        (None, True, 1, BodyFraming.CHUNKED, b"Transfer-Encoding: chunked\r\n", b"2\r\nbo\r\n2\r\n\0y\r\n0\r\n\r\n"),
        (None, True, 0, BodyFraming.CLOSE, b"Connection: keep-alive\r\n", b"bo\0y"),
        (4, False, 1, BodyFraming.NONE, b"Content-Length: 4\r\n", b""),
        (None, False, 1, BodyFraming.NONE, b"", b""),
    ],
)
def test_a_body_in_its_framing(
    run: Run,
    content_length: int | None,
    *,
    has_body: bool,
    minor_version: int,
    framing: BodyFraming,
    fields: bytes,
    body: bytes,
) -> None:
    async def test() -> None:
        async with connected() as (writer, peer):
            respond(writer, content_length, has_body=has_body, minor_version=minor_version)
            assert writer.framing is framing
            assert (writer.chunk_passer is not None) is (framing is BodyFraming.CHUNKED)
            for piece in (b"bo", b"\0y"):
                writer.piece_sender(piece)
            writer.end_body()
            writer._transport.close()
            assert await peer.read_to_the_end() == (b"HTTP/1.1 200 OK\r\nX-A: 1\r\n" + fields + b"\r\n" + body, "fin")

    run(test())


@RUNNERS
@pytest.mark.parametrize("size", [1, 15, 16, JOIN_BYTES - 1, JOIN_BYTES, JOIN_BYTES + 1, 300_000])
def test_a_chunk_of_any_size(run: Run, size: int) -> None:
    async def test() -> None:
        async with connected() as (writer, peer):
            respond(writer, None)
            writer.piece_sender(b"x" * size)
            assert writer.chunk_passer is not None
            writer.chunk_passer(b"1\r\ny\r\n")
            writer.end_body()
            writer._transport.close()
            data, _ = await peer.read_to_the_end()
            assert data.partition(b"\r\n\r\n")[2] == b"%x\r\n%b\r\n1\r\ny\r\n0\r\n\r\n" % (size, b"x" * size)

    run(test())


@RUNNERS
@pytest.mark.parametrize(
    ("content_length", "minor_version", "how"), [(None, 1, "fin"), (10, 1, "fin"), (10, 0, "fin"), (None, 0, "rst")]
)
@pytest.mark.parametrize("unsent", [False, True])
def test_a_broken_body_shows(
    run: Run, content_length: int | None, minor_version: int, how: str, *, unsent: bool
) -> None:
    """Everything that was sent arrives, and then the end is one that no complete body has."""
    size = 3_000_000 if unsent else 5

    async def test() -> None:
        length = None if content_length is None else size + 5
        async with connected(receive_buffer_bytes=4096 if unsent else None) as (writer, peer):
            respond(writer, length, minor_version=minor_version)
            writer.piece_sender(b"x" * size)
            assert (writer._transport.get_write_buffer_size() > 0) is unsent
            writer.break_body()
            data, ended = await peer.read_to_the_end()
            body = data.partition(b"\r\n\r\n")[2]
            expected = b"x" * size if length is not None or not minor_version else b"%x\r\n%b\r\n" % (size, b"x" * size)
            if ended == "rst":  # which may destroy what the kernel still held
                assert expected.startswith(body)
            else:
                assert body == expected
            assert ended == how

    run(test())


@RUNNERS
def test_interim_heads_and_one_response_after_another(run: Run) -> None:
    async def test() -> None:
        async with connected() as (writer, peer):
            writer.send_bare_head(ResponseHead(103, b"Early Hints", Headers.of([(b"Link", b"</a>")])))
            respond(writer, None)
            writer.piece_sender(b"a")
            writer.end_body()
            respond(writer, 1)
            writer.piece_sender(b"b")
            writer.end_body()
            writer._transport.close()
            data, _ = await peer.read_to_the_end()
            assert data == (
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 1\r\n\r\nb"
            )

    run(test())


@RUNNERS
def test_a_body_that_ends_by_closing_cannot_look_complete_whoever_closes(run: Run) -> None:
    async def test() -> None:
        async with connected() as (writer, peer):
            respond(writer, None, minor_version=0)
            writer._transport.abort()  # as a process that is killed would
            assert (await peer.read_to_the_end())[1] == "rst"
        async with connected() as (writer, peer):
            respond(writer, None, minor_version=0)
            writer.end_body()
            writer._transport.close()
            assert (await peer.read_to_the_end())[1] == "fin"

    run(test())
