from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from tests.upstream.exchanges import (
    GET,
    PATIENCE_S,
    RUNNERS,
    Exchange,
    Handler,
    Run,
    Upstreams,
    answering,
    exchange,
    leave,
    request,
    serving,
    until,
)

from headgate.errors import GatewayError
from headgate.upstream.http1_client import Http1Client
from headgate.upstream.pool import KeepAlive, Pool
from headgate.upstream.resolve import Resolver
from headgate.upstream.target import Target, TlsClient

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"


async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request."""
    while await request(reader):
        writer.write(SIZED)


async def used(pool: Pool, count: int) -> list[Http1Client]:
    """Open that many connections, then use each once, in order."""
    clients = [await pool.connect(PATIENCE_S) for _ in range(count)]
    for client in clients:
        heard = Exchange()
        client.send(GET, heard)
        assert (await heard.end()).outcome == (200, b"hello", "ended")
    return clients


# Idle connections.


@RUNNERS
def test_the_last_one_in_is_the_first_one_out(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            clients = await used(pool, 3)
            assert len(pool) == 3
            assert [pool.take() for _ in range(4)] == [*reversed(clients), None]
            for client in clients:
                client.abort()

    run(main())


@RUNNERS
def test_the_oldest_goes_when_the_pool_is_full(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port, keep_alive=KeepAlive(size=2))
            clients = await used(pool, 3)
            assert (len(pool), upstreams.pools.usage.open) == (2, 2)
            assert not clients[0].is_usable
            assert [pool.take(), pool.take()] == [clients[2], clients[1]]
            for client in clients:
                client.abort()
            assert upstreams.pools.usage.open == 0

    run(main())


@pytest.mark.parametrize("keep_alive", [KeepAlive(size=0), KeepAlive(idle_timeout_s=0.0), KeepAlive(requests=1)])
def test_a_pool_may_keep_nothing(keep_alive: KeepAlive) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port, keep_alive=keep_alive)
            assert (await exchange(pool)).outcome == (200, b"hello", "ended")
            assert (len(pool), upstreams.pools.usage.open) == (0, 0)

    asyncio.run(main())


@RUNNERS
def test_a_connection_serves_only_so_many_requests(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port, keep_alive=KeepAlive(requests=3))
            for _ in range(7):
                assert (await exchange(pool)).body == b"hello"
            usage = upstreams.pools.usage
            assert (usage.opened, usage.reused, usage.open) == (3, 4, 1)
            pool.close_idle()

    run(main())


@RUNNERS
def test_an_idle_connection_is_closed_in_time(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            loop = asyncio.get_running_loop()
            pool = upstreams.pool(port, keep_alive=KeepAlive(idle_timeout_s=0.6))
            await exchange(pool)
            await asyncio.sleep(0.3)
            await exchange(pool)  # it is used in between: its time begins anew
            began = loop.time()
            await until(lambda: len(pool) == 0)
            assert 0.5 <= loop.time() - began < 5.0
            usage = upstreams.pools.usage
            assert (usage.opened, usage.reused, usage.open, len(upstreams.wheel)) == (1, 1, 0, 0)

    run(main())


@RUNNERS
@pytest.mark.parametrize("then", ["fin", "rst", "bytes", "response"])
def test_an_idle_connection_that_hears_anything_is_closed(run: Run, then: str) -> None:
    async def main() -> None:
        is_idle = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(SIZED)
            await is_idle.wait()
            if then in {"bytes", "response"}:
                writer.write(SIZED if then == "response" else b"H")
                await reader.read()
            else:
                await leave(reader, writer, then)

        async with serving(handle) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            await exchange(pool)
            assert len(pool) == 1
            is_idle.set()
            await until(lambda: len(pool) == 0)
            assert (pool.take(), upstreams.pools.usage.open, len(upstreams.wheel)) == (None, 0, 0)

    run(main())


@RUNNERS
def test_a_connection_that_is_closing_is_not_taken(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            (client,) = await used(pool, 1)
            assert client.transport is not None
            client.transport.close()  # its loss is told in the next turn of the loop
            assert pool.take() is None
            await until(lambda: upstreams.pools.usage.open == 0)

    run(main())


@RUNNERS
def test_pools_are_shared_by_target_and_forgotten_when_nobody_holds_them(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            assert upstreams.pool(port) is pool
            assert upstreams.pool(port, keep_alive=KeepAlive(size=1)) is not pool
            await exchange(pool)
            del pool
            gc.collect()
            assert len(upstreams.pool(port)) == 1  # an idle connection holds it
            upstreams.pools.close_idle()
            await until(lambda: upstreams.pools.usage.open == 0)
            await asyncio.sleep(0)
            gc.collect()
            assert len(upstreams.pools._pools) == 0

    run(main())


@RUNNERS
def test_idle_connections_make_room_where_there_is_none(run: Run) -> None:
    async def main() -> None:
        async with serving(always) as port, serving(always) as other_port:
            upstreams = Upstreams(max_open=3)
            pool, other = upstreams.pool(port), upstreams.pool(other_port)
            first, second = await used(pool, 2)
            (third,) = await used(other, 1)
            assert upstreams.pools.usage.open == 3
            (fourth,) = await used(other, 1)  # the one of all pools that has been idle longest makes room
            assert [client.is_usable for client in (first, second, third, fourth)] == [False, True, True, True]
            assert (len(pool), len(other), upstreams.pools.usage.open) == (1, 2, 3)
            serving_now = [pool.take(), other.take(), other.take()]
            more = await pool.connect(PATIENCE_S)  # what is in use is not closed for it
            assert upstreams.pools.usage.open == 4
            for client in (*serving_now, more):
                assert client is not None
                client.abort()
            assert (upstreams.pools.usage.open, upstreams.pools.connecting) == (0, 0)

    run(main())


# Making connections.


async def refusal(upstreams: Upstreams, port: int, *, timeout_s: float = PATIENCE_S, **options: object) -> GatewayError:
    with pytest.raises(GatewayError) as failed:
        await upstreams.pool(port, **options).connect(timeout_s)  # type: ignore[arg-type]  # the options of `pool`
    return failed.value


def summary(error: GatewayError) -> tuple[str, int, bool, str]:
    return error.code, error.status, error.retryable, error.source


@contextmanager
def bound() -> Iterator[int]:
    """Give a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@RUNNERS
def test_a_refused_connection(run: Run) -> None:
    async def main() -> None:
        upstreams = Upstreams()
        with bound() as port:
            error = await refusal(upstreams, port)
            assert summary(error) == ("connect_refused", 502, True, "upstream")
            assert error.detail.startswith(f"127.0.0.1:{port}: ")
        assert upstreams.pools.usage.opened == 0

    run(main())


@RUNNERS
def test_an_unknown_name(run: Run) -> None:
    async def main() -> None:
        error = await refusal(Upstreams(), 80, host="no-such-host.invalid")
        assert summary(error) == ("unresolvable", 503, True, "upstream")

    run(main())


@RUNNERS
def test_a_target_that_does_not_answer_in_time(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            # The queue of a listening socket that nobody accepts from is full: further attempts get no answer.
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            began = loop.time()
            error = await refusal(Upstreams(), listener.getsockname()[1], timeout_s=0.2)
            assert summary(error) == ("connect_timeout", 504, True, "upstream")
            assert 0.19 <= loop.time() - began < 5.0

    run(main())


@RUNNERS
def test_every_address_of_a_name_is_tried(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(always) as port:
            upstreams = Upstreams()

            async def resolve(host: str) -> list[str]:
                assert host == "a.example"
                return ["127.0.0.9", "::1", "127.0.0.1"]  # nobody listens on the first two

            monkeypatch.setattr(Resolver, "resolve", staticmethod(resolve))
            pool = upstreams.pool(port, host="a.example")
            assert (await exchange(pool)).body == b"hello"
            assert upstreams.pools.usage.opened == 1
            pool.close_idle()

    run(main())


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """Have attempts to connect there get no answer: a listening socket whose queue nobody empties is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@RUNNERS
@pytest.mark.parametrize(("timeout_s", "reached"), [(2.0, True), (0.1, False)])
def test_an_address_that_never_answers_does_not_hold_the_others_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, timeout_s: float, reached: bool
) -> None:
    async def main() -> None:
        async with serving(always) as port:
            with silent("127.0.0.9", port):
                upstreams = Upstreams()

                async def resolve(_: str) -> list[str]:
                    return ["127.0.0.9", "127.0.0.1"]

                monkeypatch.setattr(Resolver, "resolve", staticmethod(resolve))
                pool = upstreams.pool(port, host="a.example")
                await asyncio.sleep(0)
                before = open_descriptors()
                if not reached:  # one timeout for all of them
                    error = await refusal(upstreams, port, host="a.example", timeout_s=timeout_s)
                    assert summary(error) == ("connect_timeout", 504, True, "upstream")
                else:
                    client = await pool.connect(timeout_s)
                    heard = Exchange()
                    client.send(GET, heard)
                    assert (await heard.end()).body == b"hello"
                    pool.close_idle()
                assert upstreams.pools.connecting == 0
                await until(lambda: upstreams.pools.usage.open == 0 and open_descriptors() <= before)

    run(main())


@RUNNERS
def test_giving_up_while_connecting_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            upstreams = Upstreams()
            pool = upstreams.pool(listener.getsockname()[1])
            for turns in range(6):  # the client leaves at any moment of it
                connecting = asyncio.create_task(pool.connect(PATIENCE_S))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                (result,) = await asyncio.gather(connecting, return_exceptions=True)
                if isinstance(result, Http1Client):
                    result.abort()
            await until(lambda: upstreams.pools.usage.open == 0)
            assert (len(pool), len(upstreams.wheel)) == (0, 0)

    run(main())


# TLS.


@dataclass
class Certificates:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    """An authority of our own, and a certificate for ``upstream.example`` and 127.0.0.1."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("upstream.example", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


@RUNNERS
def test_tls_with_the_server_s_name(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        names: list[str | None] = []
        certificates.server.sni_callback = lambda _, name, __: names.append(name)
        async with serving(always, ssl=certificates.server) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port, tls=TlsClient(certificates.client, "upstream.example"))
            for _ in range(2):
                assert (await exchange(pool)).outcome == (200, b"hello", "ended")
            assert names == ["upstream.example"]
            assert upstreams.pools.usage.opened == 1
            pool.close_idle()
            pool = upstreams.pool(port, tls=TlsClient(certificates.client, "127.0.0.1"))
            assert (await exchange(pool)).body == b"hello"
            pool.close_idle()

    run(main())


@RUNNERS
@pytest.mark.parametrize("case", ["wrong name", "unknown authority", "not TLS", "closed in the handshake"])
def test_what_cannot_prove_its_name_is_refused(run: Run, certificates: Certificates, case: str) -> None:
    async def main() -> None:
        context = ssl.create_default_context() if case == "unknown authority" else certificates.client
        tls = TlsClient(context, "other.example" if case == "wrong name" else "upstream.example")
        server = None if case in {"not TLS", "closed in the handshake"} else certificates.server
        handler: Handler = hang_up if case == "closed in the handshake" else talk_plainly
        async with serving(handler, ssl=server) as port:
            upstreams = Upstreams()
            error = await refusal(upstreams, port, tls=tls)
            expected = "connect_failed" if case == "closed in the handshake" else "tls_failed"
            assert summary(error) == (expected, 502, True, "upstream")
            await until(lambda: upstreams.pools.usage.open == 0)

    run(main())


async def talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SIZED)
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


@RUNNERS
@pytest.mark.parametrize(
    ("response", "alert", "end"),
    [
        (OK + b"\r\nhello", True, "ended"),
        # RFC 9112 §9.8: a body that only the connection's end delimits is complete with a closure alert, not with a FIN
        (OK + b"\r\nhello", False, "upstream_eof"),
        (SIZED, False, "ended"),
        (OK + b"Content-Length: 6\r\n\r\nhello", True, "upstream_eof"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", True, "upstream_eof"),
    ],
)
def test_a_cut_of_tls_is_no_end_of_a_body(
    run: Run, certificates: Certificates, response: bytes, alert: bool, end: str
) -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(response)
            if alert:
                writer.close()
                await writer.wait_closed()
            else:
                await leave(reader, writer, "fin")

        async with serving(handle, ssl=certificates.server) as port:
            pool = Upstreams().pool(port, tls=TlsClient(certificates.client, "upstream.example"))
            assert (await exchange(pool)).outcome == (200, b"hello", end)
            pool.close_idle()

    run(main())


@RUNNERS
@pytest.mark.parametrize("secured", [False, True], ids=["tcp", "tls"])
def test_a_connection_that_speaks_first_or_leaves_at_once_fails_and_does_not_hang(
    run: Run, certificates: Certificates, secured: bool
) -> None:
    async def main() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            writer.write(b"220 ready\r\n")
            writer.close()

        async with serving(greet, ssl=certificates.server if secured else None) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port, tls=TlsClient(certificates.client, "upstream.example") if secured else None)
            ends = {await end_of_attempt(pool) for _ in range(5)}
            assert ends <= {"connect_failed", "upstream_eof", "upstream_reset", "protocol_error"}
            await until(lambda: upstreams.pools.usage.open == 0)

    run(main())


async def end_of_attempt(pool: Pool) -> str:
    try:
        return (await exchange(pool)).outcome[2]
    except GatewayError as error:
        return error.code


def test_a_target_of_another_scheme_has_its_own_pool(certificates: Certificates) -> None:
    async def main() -> None:
        async with serving(answering(SIZED)) as port:
            upstreams = Upstreams()
            plain = upstreams.pool(port)
            secured = upstreams.pool(port, tls=TlsClient(certificates.client, "upstream.example"))
            assert secured is not plain
            assert (plain.target, secured.target.scheme) == (Target("http", "127.0.0.1", port), "https")

    asyncio.run(main())
