from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.upstream.exchanges import (
    GET,
    HEAD,
    PATIENCE_S,
    RUNNERS,
    Exchange,
    Run,
    Upstreams,
    answering,
    exchange,
    leave,
    request,
    serving,
    until,
)

from headgate.upstream.http1_client import Http1Client, Outgoing

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
UPLOAD = Outgoing(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", has_body=True, chunked=True)


# Responses and their ends.


@RUNNERS
def test_a_response_arrives_and_the_connection_is_used_again(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(SIZED, CHUNKED, EMPTY, SIZED)) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            seen = [await exchange(pool) for _ in range(4)]
            assert [one.outcome for one in seen] == [
                (200, b"hello", "ended"),
                (200, b"hello", "ended"),
                (200, b"", "ended"),
                (200, b"hello", "ended"),
            ]
            assert [one.content_length for one in seen] == [5, None, 0, 5]
            assert seen[0].heard == ["head", "piece", "ended"]
            assert (upstreams.pools.usage.opened, upstreams.pools.usage.reused, upstreams.pools.usage.open) == (1, 3, 1)
            pool.close_idle()

    run(main())


@RUNNERS
@pytest.mark.parametrize(
    ("outgoing", "response", "content_length"),
    [
        (HEAD, OK + b"Content-Length: 5\r\n\r\n", 5),
        (HEAD, OK + b"Transfer-Encoding: chunked\r\n\r\n", None),
        (HEAD, OK + b"Content-Type: text/event-stream\r\n\r\n", None),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 5),
    ],
)
def test_a_response_without_a_body_ends_with_its_head(
    run: Run, outgoing: Outgoing, response: bytes, content_length: int | None
) -> None:
    async def main() -> None:
        async with serving(answering(response, response, SIZED)) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            for _ in range(2):
                seen = await exchange(pool, outgoing)
                assert seen.heard == ["head", "ended"]
                assert (seen.has_body, seen.content_length) == (False, content_length)
            assert (await exchange(pool)).body == b"hello"
            assert upstreams.pools.usage.opened == 1
            pool.close_idle()

    run(main())


OUTCOMES = [
    # what the upstream sends, how it leaves, what the exchange hears, may the request be repeated
    (SIZED, "fin", (200, b"hello", "ended"), None),
    (CHUNKED, "fin", (200, b"hello", "ended"), None),
    (OK + b"\r\nhello", "fin", (200, b"hello", "ended"), None),
    (b"HTTP/1.0 200 OK\r\n\r\nhello", "fin", (200, b"hello", "ended"), None),
    (OK + b"\r\n", "fin", (200, b"", "ended"), None),
    # an end that is too early
    (b"", "fin", (None, b"", "upstream_eof"), True),
    (b"", "rst", (None, b"", "upstream_reset"), True),
    (b"H", "fin", (None, b"", "upstream_eof"), False),
    (OK, "fin", (None, b"", "upstream_eof"), False),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n", "fin", (None, b"", "upstream_eof"), False),
    (SIZED[:-1], "fin", (200, b"hell", "upstream_eof"), False),
    (SIZED[:-5], "fin", (200, b"", "upstream_eof"), False),
    (CHUNKED[:-2], "fin", (200, b"hello", "upstream_eof"), False),
    (CHUNKED[:-5], "fin", (200, b"hello", "upstream_eof"), False),
    (CHUNKED[:-10], "fin", (200, b"hel", "upstream_eof"), False),
    (CHUNKED[:-15], "fin", (200, b"he", "upstream_eof"), False),
    (CHUNKED[:-17], "fin", (200, b"", "upstream_eof"), False),
    # what is not HTTP, or not good HTTP
    (b"SSH-2.0-x\r\n", "hold", (None, b"", "protocol_error"), False),
    (b"\0" * 100, "hold", (None, b"", "protocol_error"), False),
    (OK + b"X: a\r\n b\r\n\r\n", "hold", (None, b"", "protocol_error"), False),
    (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "hold", (None, b"", "protocol_error"), False),
    (OK + b"Content-Length: 5\r\n" + CHUNKED[17:], "hold", (None, b"", "protocol_error"), False),
    (OK + b"Transfer-Encoding: gzip\r\n\r\nx", "fin", (None, b"", "protocol_error"), False),
    (b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "hold", (None, b"", "protocol_error"), False),
    (OK + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n", "hold", (None, b"", "head_too_large"), False),
    (OK + b"X: y\r\n" * 200_000, "hold", (None, b"", "head_too_large"), False),
    (b"HTTP/1.1 103 X\r\n\r\n" * 10_000, "hold", (None, b"", "head_too_large"), False),
    (CHUNKED[:-7] + b"x", "hold", (200, b"hello", "protocol_error"), False),
    (CHUNKED[:-13] + b"x\r\n", "hold", (200, b"hel", "protocol_error"), False),
    (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "hold",
        (None, b"", "protocol_error"),
        False,
    ),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "hold", (None, b"", "protocol_error"), False),
]


@RUNNERS
@pytest.mark.parametrize(("response", "then", "outcome", "retryable"), OUTCOMES)
def test_how_a_response_ends(
    run: Run, response: bytes, then: str, outcome: tuple[int | None, bytes, str], retryable: bool | None
) -> None:
    async def main() -> None:
        async with serving(answering(response, then=then)) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            seen = await exchange(pool)
            assert seen.outcome == outcome
            if retryable is not None:
                assert seen.error is not None
                assert (seen.error.retryable, seen.error.source, seen.error.status) == (retryable, "upstream", 502)
                assert len(pool) == 0
            pool.close_idle()
            await until(lambda: upstreams.pools.usage.open == 0)
            assert len(upstreams.wheel) == 0

    run(main())


@RUNNERS
@pytest.mark.parametrize(
    ("framing", "before"),
    [(b"Content-Length: 50\r\n", b""), (b"Transfer-Encoding: chunked\r\n", b"32\r\n"), (b"", b"")],
)
def test_a_reset_within_a_body_is_told_apart_from_an_end(run: Run, framing: bytes, before: bytes) -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK + framing + b"\r\n" + before + b"hello")
            await arrived.wait()
            await leave(reader, writer, "rst")

        async with serving(reset) as port:
            heard = Exchange()
            heard.on_piece = arrived.set
            pool = Upstreams().pool(port)
            (await pool.connect(PATIENCE_S)).send(GET, heard)
            assert (await heard.end()).outcome == (200, b"hello", "upstream_reset")
            assert len(pool) == 0

    run(main())


RESPONSES = [
    (SIZED, (200, b"hello", "ended")),
    (CHUNKED, (200, b"hello", "ended")),
    (b"HTTP/1.1 103 X\r\n\r\n" + SIZED, (200, b"hello", "ended")),
    (OK + b"\r\nhello", (200, b"hello", "ended")),
    (CHUNKED[:-7] + b"x", (200, b"hello", "protocol_error")),
    (OK + b"Content-Length: x\r\n\r\n", (None, b"", "protocol_error")),
]


@RUNNERS
@pytest.mark.parametrize(("response", "outcome"), RESPONSES)
def test_the_bytes_may_come_one_by_one(run: Run, response: bytes, outcome: tuple[int | None, bytes, str]) -> None:
    async def main() -> None:
        async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            for octet in response:
                writer.write(bytes([octet]))
                await asyncio.sleep(0)  # a turn of the loop, in which the client reads
            await leave(reader, writer, "fin")

        async with serving(dribble) as port:
            assert (await exchange(Upstreams().pool(port))).outcome == outcome

    run(main())


@RUNNERS
def test_interim_heads_are_told_but_for_100(run: Run) -> None:
    async def main() -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: </a>\r\n\r\nHTTP/1.1 102 X\r\n\r\n"
        async with serving(answering(interim + SIZED, then="fin")) as port:
            seen = await exchange(Upstreams().pool(port))
            assert seen.interim == [103, 102]
            assert seen.outcome == (200, b"hello", "ended")

    run(main())


@RUNNERS
def test_only_end_to_end_fields_are_told(run: Run) -> None:
    async def main() -> None:
        fields = b"Keep-Alive: 5\r\nConnection: X-Own\r\nX-Own: 1\r\nX-b: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with serving(answering(OK + fields + b"0\r\n\r\n", then="fin")) as port:
            head = (await exchange(Upstreams().pool(port))).head
            assert head is not None
            assert [(name, value) for _, name, value in head.headers] == [(b"X-b", b"2")]

    run(main())


@RUNNERS
def test_one_read_is_one_piece(run: Run) -> None:
    async def main() -> None:
        chunks = b"".join(b"1\r\n%d\r\n" % (number % 10) for number in range(1000))
        async with serving(answering(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")) as port:
            pool = Upstreams().pool(port)
            seen = await exchange(pool)
            assert len(seen.body) == 1000
            assert seen.heard.count("piece") < 10
            pool.close_idle()

    run(main())


# What is not reused.


@RUNNERS
@pytest.mark.parametrize(
    ("outgoing", "response"),
    [
        (GET, SIZED + b"x"),
        (GET, SIZED + SIZED),  # the upstream answers twice
        (GET, CHUNKED + b"HTTP/1.1 200 OK\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\nhello"),
        (HEAD, SIZED),
        (HEAD, CHUNKED),
        (HEAD, OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"),
        (GET, OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        (GET, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
def test_what_cannot_be_trusted_is_closed_and_not_kept(run: Run, outgoing: Outgoing, response: bytes) -> None:
    async def main() -> None:
        async with serving(answering(response, then="hold")) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            assert (await exchange(pool, outgoing)).heard[-1] == "ended"
            assert len(pool) == 0
            assert (await exchange(pool, outgoing)).heard[-1] == "ended"
            assert (upstreams.pools.usage.opened, upstreams.pools.usage.reused) == (2, 0)

    run(main())


@RUNNERS
def test_an_answer_that_comes_before_the_upload_s_end_leaves_nothing_to_reuse(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            client.send(UPLOAD, heard)
            client.send_piece(b"hello")
            assert (await heard.end()).outcome == (413, b"", "ended")
            assert len(pool) == 0
            client.send_piece(b"more")  # whoever uploads may not have heard yet
            client.end_upload()
            assert heard.heard == ["head", "ended"]

    run(main())


# Aborting.


@RUNNERS
@pytest.mark.parametrize("when", ["at once", "at the head", "at a piece"])
def test_after_an_abort_nothing_is_told_and_the_upstream_sees_it(run: Run, when: str) -> None:
    async def main() -> None:
        left = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await request(reader)
                writer.write(CHUNKED[:-5])
                await reader.read()
            finally:
                left.set()

        async with serving(handle) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            heard.on_head = client.abort if when == "at the head" else heard.on_head
            heard.on_piece = client.abort if when == "at a piece" else heard.on_piece
            client.send(replace(GET, read_timeout_s=5.0), heard)
            if when == "at once":
                client.abort()
            await asyncio.wait_for(left.wait(), PATIENCE_S)
            client.abort()
            await asyncio.sleep(0)
            assert heard.heard == {"at once": [], "at the head": ["head"], "at a piece": ["head", "piece"]}[when]
            assert (len(pool), upstreams.pools.usage.open, len(upstreams.wheel)) == (0, 0, 0)

    run(main())


# Deadlines.


@RUNNERS
@pytest.mark.parametrize(
    ("sent", "outcome", "retryable"),
    [
        (b"", (None, b"", "read_timeout"), True),
        (b"HTTP/1.1 2", (None, b"", "read_timeout"), False),
        (b"HTTP/1.1 103 X\r\n\r\n", (None, b"", "read_timeout"), False),
        (CHUNKED[:-5], (200, b"hello", "read_timeout"), False),
        (OK + b"\r\nhello", (200, b"hello", "read_timeout"), False),
    ],
)
def test_silence_ends_an_exchange(
    run: Run, sent: bytes, outcome: tuple[int | None, bytes, str], retryable: bool
) -> None:
    async def main() -> None:
        async with serving(answering(sent)) as port:
            loop = asyncio.get_running_loop()
            pool = Upstreams().pool(port)
            began = loop.time()
            seen = await exchange(pool, replace(GET, read_timeout_s=0.3))
            assert seen.outcome == outcome
            assert seen.error is not None
            assert (seen.error.status, seen.error.retryable) == (504, retryable)
            assert 0.29 <= loop.time() - began < 5.0

    run(main())


@RUNNERS
def test_the_read_timeout_is_of_one_gap_and_not_of_the_whole(run: Run) -> None:
    async def main() -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK + b"Content-Length: 12\r\n\r\n")
            for _ in range(12):
                await asyncio.sleep(0.1)  # 1.2 s in all
                writer.write(b"x")
            await reader.read()

        async with serving(drip) as port:
            pool = Upstreams().pool(port)
            seen = await exchange(pool, replace(GET, read_timeout_s=1.0))
            assert seen.outcome == (200, b"x" * 12, "ended")
            pool.close_idle()

    run(main())


@RUNNERS
def test_the_read_timeout_can_be_lifted_when_the_head_is_here(run: Run) -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK + b"Content-Length: 2\r\n\r\na")
            await asyncio.sleep(0.9)
            writer.write(b"b")
            await reader.read()

        async with serving(handle) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            heard.on_head = lambda: client.set_read_timeout(0.0)
            client.send(replace(GET, read_timeout_s=0.4), heard)
            assert (await heard.end()).outcome == (200, b"ab", "ended")
            pool.close_idle()

    run(main())


@RUNNERS
def test_the_read_timeout_rests_while_reading_is_paused(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(CHUNKED[:-5])) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            heard.on_piece = client.pause_reading
            client.send(replace(GET, read_timeout_s=0.3), heard)
            await heard.wait_for(lambda: "piece" in heard.heard)
            await asyncio.sleep(0.7)
            assert heard.heard == ["head", "piece"]
            loop = asyncio.get_running_loop()
            resumed = loop.time()
            client.resume_reading()
            assert (await heard.end()).outcome == (200, b"hello", "read_timeout")
            assert loop.time() - resumed >= 0.29

    run(main())


@RUNNERS
def test_the_read_timeout_begins_when_the_upload_is_out(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(b"")) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            client.send(replace(UPLOAD, read_timeout_s=0.1), heard)
            await asyncio.sleep(0.4)
            assert heard.heard == []
            loop = asyncio.get_running_loop()
            ended = loop.time()
            client.end_upload()
            assert (await heard.end()).outcome == (None, b"", "read_timeout")
            assert loop.time() - ended >= 0.09

    run(main())


def upload_until_blocked(heard: Exchange, client: Http1Client) -> None:
    for _ in range(256):  # MiB: more than sockets hold
        client.send_piece(b"x" * (1 << 20))
        if heard.heard:
            break
    assert heard.heard == ["blocked"]


@RUNNERS
def test_a_target_that_takes_no_upload_is_given_up(run: Run) -> None:
    async def main() -> None:
        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport is a full one
            await reader.read()

        async with serving(deaf) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            client.send(replace(UPLOAD, send_timeout_s=0.1, read_timeout_s=0.01), heard)
            upload_until_blocked(heard, client)
            await heard.end()
            assert heard.error is not None
            assert (heard.error.code, heard.error.status, heard.error.retryable) == ("send_timeout", 504, False)

    run(main())


# Uploads.


@RUNNERS
@pytest.mark.parametrize(
    ("outgoing", "on_the_wire"),
    [
        (UPLOAD, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        (Outgoing(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", has_body=True), b"abcde"),
    ],
)
def test_an_upload_is_framed_as_its_head_says(run: Run, outgoing: Outgoing, on_the_wire: bytes) -> None:
    async def main() -> None:
        received = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await request(reader))
            received.append(await reader.readexactly(len(on_the_wire)))
            writer.write(SIZED)
            received.append(await reader.read())

        async with serving(handle) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            client.send(outgoing, heard)
            client.send_piece(b"abc")
            client.send_piece(b"de")
            client.end_upload()
            client.end_upload()
            client.send_piece(b"late")
            assert (await heard.end()).outcome == (200, b"hello", "ended")
            assert len(pool) == 1
            pool.close_idle()
            await until(lambda: len(received) == 3)
            assert received == [outgoing.head, on_the_wire, b""]

    run(main())


@RUNNERS
def test_a_slow_target_blocks_the_upload_until_it_reads(run: Run) -> None:
    async def main() -> None:
        may_read = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await may_read.wait()
            await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.write(SIZED)
            await reader.read()

        async with serving(slow, limit=1 << 30) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            client.send(replace(UPLOAD, send_timeout_s=PATIENCE_S), heard)
            upload_until_blocked(heard, client)
            may_read.set()
            await heard.wait_for(lambda: "ready" in heard.heard)
            client.end_upload()
            assert (await heard.end()).heard == ["blocked", "ready", "head", "piece", "ended"]
            pool.close_idle()

    run(main())


# Back-pressure.


@RUNNERS
def test_a_paused_connection_holds_the_upstream_back(run: Run) -> None:
    async def main() -> None:
        size = 32 << 20
        written = asyncio.Event()

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(size >> 20):
                writer.write(b"x" * (1 << 20))
                await writer.drain()
            written.set()
            await reader.read()

        async with serving(flood) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)

            def pause_once() -> None:
                heard.on_piece = lambda: None
                client.pause_reading()
                client.pause_reading()

            heard.on_piece = pause_once
            client.send(GET, heard)
            await heard.wait_for(lambda: "piece" in heard.heard)
            received = len(heard.body)
            await asyncio.sleep(0.2)
            assert len(heard.body) == received
            assert not written.is_set()
            client.resume_reading()
            assert len((await heard.end()).body) == size
            pool.close_idle()

    run(main())


@RUNNERS
def test_a_pause_does_not_outlive_its_exchange(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(SIZED, SIZED, SIZED, then="fin")) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            heard.on_piece = client.pause_reading  # the client is blocked by the response's last piece
            client.send(GET, heard)
            await heard.end()
            client.pause_reading()  # and told once more when the exchange is over
            assert (await exchange(pool)).body == b"hello"
            client.pause_reading()
            assert (await exchange(pool)).body == b"hello"
            assert upstreams.pools.usage.opened == 1
            client.pause_reading()
            await until(lambda: len(pool) == 0)  # the FIN of an idle connection is seen

    run(main())


@RUNNERS
def test_pausing_what_is_closed_does_nothing(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(CHUNKED[:-5])) as port:
            pool = Upstreams().pool(port)
            heard = Exchange()
            client = await pool.connect(PATIENCE_S)
            heard.on_piece = client.pause_reading
            client.send(GET, heard)
            await heard.wait_for(lambda: "piece" in heard.heard)
            client.abort()
            client.resume_reading()
            client.pause_reading()
            await asyncio.sleep(0)
            client.resume_reading()
            client.end_upload()
            client.send_piece(b"x")
            assert heard.heard == ["head", "piece"]

    run(main())


# Changing the protocol.


@RUNNERS
def test_an_upgrade_that_was_asked_for_hands_the_connection_over(run: Run) -> None:
    async def main() -> None:
        switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        async with serving(answering(switching + b"\x81\x02hi")) as port:
            upstreams = Upstreams()
            pool = upstreams.pool(port)
            seen = await exchange(pool, replace(GET, wants_upgrade=True, read_timeout_s=5.0))
            assert (seen.heard, seen.rest) == (["upgraded"], b"\x81\x02hi")
            assert seen.head is not None
            assert seen.head.headers.get(b"upgrade") == b"websocket"
            assert (len(pool), len(upstreams.wheel), upstreams.pools.usage.open) == (0, 0, 1)

    run(main())


@RUNNERS
def test_a_101_that_names_no_protocol_is_an_error(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")) as port:
            seen = await exchange(Upstreams().pool(port), replace(GET, wants_upgrade=True))
            assert seen.outcome == (None, b"", "protocol_error")

    run(main())


@RUNNERS
def test_an_upgrade_may_be_declined(run: Run) -> None:
    async def main() -> None:
        async with serving(answering(SIZED)) as port:
            pool = Upstreams().pool(port)
            seen = await exchange(pool, replace(GET, wants_upgrade=True))
            assert seen.outcome == (200, b"hello", "ended")
            pool.close_idle()

    run(main())
