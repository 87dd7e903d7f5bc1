"""Who hears of a response, and how the hearing is handed on."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.upstream.exchanges import (
    GET,
    PATIENCE_S,
    RUNNERS,
    Exchange,
    Run,
    Upstreams,
    answering,
    exchange,
    request,
    serving,
    until,
)

from headgate.errors import GatewayError
from headgate.tcp_liveness import TcpLiveness
from headgate.timer_wheel import UNSCHEDULED, TimerWheel
from headgate.upstream.http1_client import Http1Client, Outgoing
from headgate.upstream.pool import KeepAlive, Pools
from headgate.upstream.resolve import Resolver
from headgate.upstream.target import Target
from headgate.wire.chunked import single_chunk

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED_HEAD = OK + b"Transfer-Encoding: chunked\r\n\r\n"
POST = Outgoing(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", has_body=True)


class Taker:
    """Takes a body that somebody else has begun to hear."""

    def __init__(self) -> None:
        self.body = b""
        self.chunks: list[bytes] = []
        self.end = ""

    def piece_received(self, piece: bytes) -> None:
        self.body += piece

    def chunks_received(self, data: bytes) -> bool:
        piece = single_chunk(data)
        if piece is None:
            return False
        self.chunks.append(data)
        self.piece_received(piece)
        return True

    def response_ended(self) -> None:
        assert not self.end
        self.end = "ended"

    def upstream_failed(self, error: GatewayError) -> None:
        assert not self.end
        self.end = error.code


async def connect(port: int) -> tuple[Http1Client, Upstreams]:
    upstreams = Upstreams()
    return await upstreams.pool(port).connect(PATIENCE_S), upstreams


@RUNNERS
@pytest.mark.parametrize(
    ("rest", "then", "body", "end"),
    [
        (b"2\r\nde\r\n0\r\n\r\n", "hold", b"de", "ended"),
        (b"2\r\nde\r\n", "fin", b"de", "upstream_eof"),
        (b"zz\r\n", "hold", b"", "protocol_error"),
        (b"", "fin", b"", "upstream_eof"),
    ],
)
def test_the_rest_of_a_body_is_told_to_whoever_it_was_handed_to(
    run: Run, rest: bytes, then: str, body: bytes, end: str
) -> None:
    go_on = asyncio.Event()

    async def halves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(CHUNKED_HEAD + b"3\r\nabc\r\n")
        await go_on.wait()
        writer.write(rest)
        if then == "fin":
            writer.write_eof()
        await reader.read()

    async def main() -> None:
        async with serving(halves) as port:
            client, _ = await connect(port)
            heard, taker = Exchange(), Taker()
            client.send(GET, heard)
            await heard.wait_for(lambda: heard.body == b"abc")
            client.hand_body_to(taker)
            go_on.set()
            await until(lambda: bool(taker.end))
            assert (taker.body, taker.end) == (body, end)
            assert heard.heard == ["head", "piece"]
            client.abort()

    run(main())


@RUNNERS
def test_it_may_be_handed_on_in_the_middle_of_a_read(run: Run) -> None:
    """What the same read brings of the end is told to the new one."""

    async def main() -> None:
        async with serving(answering(CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\n", SIZED)) as port:
            client, upstreams = await connect(port)
            heard, taker = Exchange(), Taker()
            heard.on_piece = lambda: client.hand_body_to(taker)
            client.send(GET, heard)
            await until(lambda: bool(taker.end))
            assert (taker.body, taker.end, heard.body) == (b"", "ended", b"abc")
            assert (await exchange(upstreams.pool(port))).body == b"hello"  # on the same connection
            assert (upstreams.pools.usage.opened, taker.body) == (1, b"")
            upstreams.pool(port).close_idle()

    run(main())


@RUNNERS
def test_after_its_end_there_is_nothing_to_hand_on(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(SIZED, SIZED)) as port:
            client, upstreams = await connect(port)
            heard, taker = Exchange(), Taker()
            client.send(GET, heard)
            await heard.end()
            client.hand_body_to(taker)
            assert (await exchange(upstreams.pool(port))).body == b"hello"
            assert (taker.body, taker.end, upstreams.pools.usage.opened) == (b"", "", 1)
            client.abort()

    run(main())


@RUNNERS
def test_a_read_that_is_one_chunk_is_told_as_one(run: Run) -> None:
    chunks = [b"3\r\nabc\r\n", b"a\r\n0123456789\r\n"]
    seen = asyncio.Event()

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for part in (CHUNKED_HEAD, *chunks):
            writer.write(part)
            await seen.wait()
            seen.clear()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def main() -> None:
        async with serving(one_by_one) as port:
            client, _ = await connect(port)
            heard, taker = Exchange(), Taker()
            client.send(GET, heard)
            await heard.wait_for(lambda: heard.head is not None)
            client.hand_body_to(taker)
            for number in range(len(chunks)):
                seen.set()
                await until(lambda: len(taker.chunks) == number + 1)  # noqa: B023 - waited for at once
            seen.set()
            await until(lambda: bool(taker.end))
            assert (taker.chunks, taker.body, taker.end) == (chunks, b"abc0123456789", "ended")
            client.abort()

    run(main())


@RUNNERS
@pytest.mark.parametrize("then", ["hold", "fin"])
def test_a_read_timeout_that_is_set_too_late_keeps_nothing_alive(run: Run, then: str) -> None:
    response = SIZED if then == "hold" else OK + b"Content-Length: 9\r\n\r\nhello"

    async def main() -> None:
        async with serving(answering(response, then=then)) as port:
            client, _ = await connect(port)
            heard = Exchange()
            client.send(GET, heard)
            await heard.end()
            client.abort()
            assert client.wheel_slot == UNSCHEDULED
            client.set_read_timeout(3600.0)
            assert client.wheel_slot == UNSCHEDULED

    run(main())


def user_timeout_ms(client: Http1Client) -> int:
    assert client.transport is not None
    value: int = client.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    return value


@RUNNERS
def test_the_kernel_counts_no_silence_while_an_upload_is_out(run: Run) -> None:
    """A target that reads slowly acknowledges nothing either; the upload has clocks of its own."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        await reader.readexactly(4)
        writer.write(CHUNKED_HEAD + b"3\r\nabc\r\n")
        await go_on.wait()
        writer.write(b"0\r\n\r\n")
        await request(reader)
        writer.write(SIZED)
        await reader.read()

    go_on = asyncio.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pools = Pools(loop, TimerWheel(loop), Resolver(loop), liveness=TcpLiveness(7.0, 9.0))
        async with serving(slow) as port:
            pool = pools.pool(Target("http", "127.0.0.1", port, None), KeepAlive())
            client = await pool.connect(PATIENCE_S)
            assert user_timeout_ms(client) == 7000
            heard = Exchange()
            client.send(POST, heard)
            assert user_timeout_ms(client) == 0
            client.send_piece(b"body")
            client.end_upload()
            await heard.wait_for(lambda: heard.body == b"abc")
            assert user_timeout_ms(client) == 7000
            go_on.set()
            await heard.end()
            again = Exchange()
            client.send(GET, again)
            assert user_timeout_ms(client) == 7000
            await again.end()
            client.abort()

    run(main())


@RUNNERS
def test_the_kernel_counts_no_silence_while_a_target_blocks(run: Run) -> None:
    """Also where the response has begun already."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(CHUNKED_HEAD)
        await go_on.wait()
        while await reader.read(1 << 20):
            pass

    go_on = asyncio.Event()
    endless = Outgoing(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", has_body=True, chunked=True)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pools = Pools(loop, TimerWheel(loop), Resolver(loop), liveness=TcpLiveness(7.0, 9.0))
        async with serving(early) as port:
            client = await pools.pool(Target("http", "127.0.0.1", port, None), KeepAlive()).connect(PATIENCE_S)
            heard = Exchange()
            client.send(endless, heard)
            await heard.wait_for(lambda: heard.head is not None)
            assert user_timeout_ms(client) == 7000
            while "blocked" not in heard.heard:
                client.send_piece(bytes(1 << 20))
            assert user_timeout_ms(client) == 0
            go_on.set()
            await heard.wait_for(lambda: "ready" in heard.heard)
            assert user_timeout_ms(client) == 7000
            client.abort()

    run(main())
