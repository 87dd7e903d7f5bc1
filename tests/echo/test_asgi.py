from __future__ import annotations

import asyncio

from headgate.echo.asgi import Message, Receive, leaves_within, read_body, respond
from headgate.wire.headers import Headers


def receiving(*messages: Message) -> Receive:
    """Make an ASGI receive that gives these messages, then nothing ever."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def body(data: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": data, "more_body": more_body}


def test_body_is_read_to_its_end() -> None:
    receive = receiving(body(b"a", more_body=True), body(b"b", more_body=False), body(b"c", more_body=False))
    assert asyncio.run(read_body(receive)) == b"ab"


def test_body_ends_where_the_client_leaves() -> None:
    receive = receiving(body(b"a", more_body=True), {"type": "http.disconnect"})
    assert asyncio.run(read_body(receive)) == b"a"


def test_client_that_stays_has_not_left() -> None:
    assert asyncio.run(leaves_within(receiving(body(b"a", more_body=False)), 0.01)) is False
    assert asyncio.run(leaves_within(receiving(), -1)) is False


def test_client_that_leaves_has_left() -> None:
    receive = receiving(body(b"a", more_body=False), {"type": "http.disconnect"})
    assert asyncio.run(leaves_within(receive, 30)) is True


def test_small_answers_have_a_length_and_large_ones_have_none() -> None:
    async def lengths(size: int) -> list[bytes]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await respond(send, 200, Headers(), b"x" * size)
        assert sent[1] == {"type": "http.response.body", "body": b"x" * size}
        return [value for name, value in sent[0]["headers"] if name == b"Content-Length"]

    assert asyncio.run(lengths(2048)) == [b"2048"]
    assert asyncio.run(lengths(2049)) == []
