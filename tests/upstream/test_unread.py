from __future__ import annotations

import asyncio
import socket

import pytest
from tests.upstream.exchanges import PATIENCE_S, RUNNERS, Exchange, Run, Upstreams, until

from headgate.upstream.http1_client import Outgoing
from headgate.upstream.unread import MAX_UNREAD_BYTES

UPLOAD = Outgoing(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", has_body=True, chunked=True)
REFUSAL = b"HTTP/1.1 413 Content Too Large\r\n"
SIZED = REFUSAL + b"Content-Length: 8\r\n\r\ntoo much"
LARGE = REFUSAL + b"Content-Length: %d\r\n\r\n" % (2 * MAX_UNREAD_BYTES) + bytes(2 * MAX_UNREAD_BYTES)


def answer_and_reset(listener: socket.socket, answer: bytes) -> None:
    """Answer a request whose body is not read to its end: closing then resets the connection."""
    accepted, _ = listener.accept()
    with accepted:
        assert accepted.recv(1)
        accepted.sendall(answer)


@RUNNERS
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("answer", "status", "body_bytes", "end"),
    [
        (SIZED, 413, 8, "ended"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED, 413, 8, "ended"),
        (SIZED[:-3], 413, 5, "upstream_reset"),
        (REFUSAL + b"\r\ntoo much", 413, 8, "upstream_reset"),  # only a FIN would say that this is all of it
        (LARGE, 413, MAX_UNREAD_BYTES - LARGE.index(b"\0"), "upstream_reset"),
        (b"HTTP/1.1 41", None, 0, "upstream_reset"),
        (b"", None, 0, "upstream_reset"),
    ],
)
def test_an_answer_to_an_upload_that_broke_off_is_heard(
    run: Run, whole: bool, answer: bytes, status: int | None, body_bytes: int, end: str
) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            upstreams = Upstreams()
            heard = Exchange()
            client = await upstreams.pool(listener.getsockname()[1]).connect(PATIENCE_S)
            client.send(UPLOAD, heard)
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # uvloop writes at the end of a turn
            answer_and_reset(listener, answer)  # within one turn: nothing is read before the next write fails
            client.send_piece(bytes(1 << 20))
            if whole:
                client.end_upload()
            await heard.end()
            assert (heard.outcome[0], len(heard.body), heard.outcome[2]) == (status, body_bytes, end)
            await until(lambda: upstreams.pools.usage.open == 0)

    run(main())
