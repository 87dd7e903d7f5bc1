"""A live tail as an answer of the Admin API: itself a ``text/event-stream``.

Invariants: a reader that leaves, or a stream that ends, ends the tail; a reader that does not read holds nothing back but
his own tail.
"""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import Response
from starlette.types import Receive, Scope, Send

from headgate.admin.stream_inquiry import LiveTail, Passed, TailBroken, iso_time
from headgate.stream.tail import TailComment, TailEvent, TailGap, TailItem
from headgate.wire.sse import encode_event

KEEPALIVE_S = 15.0
"""Silence after which a comment is sent."""
STOP_S = 0.25
"""How long the last event may take to be sent when the process stops."""
COMMENT = b":\n\n"


class TailResponse(Response):
    """What ``tail`` gives, event by event; it is closed in the end."""

    def __init__(self, tail: LiveTail) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.headers["content-type"] = "text/event-stream"
        self._tail = tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del scope
        tasks = [
            asyncio.create_task(self._send_all(send), name="tail"),
            asyncio.create_task(_wait_gone(receive), name="tail-reader"),
            asyncio.create_task(self._wait_stopped(), name="tail-stop"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._tail.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not tasks[0].cancelled():
            tasks[0].result()  # raises what went wrong

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        body, is_last = COMMENT, False  # so that whoever buffers up to the first byte passes the head on
        while not is_last:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body, is_last = await self._next()
        await send({"type": "http.response.body", "body": body})

    async def _wait_stopped(self) -> None:
        await self._tail.is_stopping.wait()
        await asyncio.sleep(STOP_S)

    async def _next(self) -> tuple[bytes, bool]:
        """Give the next bytes, and whether they are the last."""
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                passed = await self._tail.read()
        except TimeoutError:
            return COMMENT, False
        except TailBroken as broken:
            return _encode("end", {"ending": None, "error_msg": str(broken)}), True
        return _encode_passed(passed), passed.ending is not None


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode_passed(passed: Passed) -> bytes:
    parts = [_encode_item(item) for item in passed.items]
    if passed.ending is not None:
        parts.append(_encode("end", {"ending": passed.ending.value}))
    return b"".join(parts)


def _encode_item(item: TailItem) -> bytes:
    match item:
        case TailEvent():
            return _encode("event", _shown(item))
        case TailComment(at, size):
            return _encode("comment", {"at": iso_time(at), "bytes": size})
        case TailGap(lost):
            return _encode("gap", {"lost": lost})


def _shown(event: TailEvent) -> dict[str, object]:
    shown: dict[str, object] = {
        "n": event.number,
        "at": iso_time(event.at),
        "since_previous_s": None if event.since_previous_s is None else round(event.since_previous_s, 6),
        "event_id": None if event.event_id is None else _text(event.event_id),
        "type": _text(event.event_type),
        "bytes": event.size,
        "data": None if event.data is None else _text(event.data),
        "masked": event.data is None,
    }
    return {**shown, "data_cut": True} if event.data_cut else shown


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _encode(event: str, value: dict[str, object]) -> bytes:
    return encode_event(msgspec.json.encode(value), event=event)
