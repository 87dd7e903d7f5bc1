from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.runtime.running import turn_until

from headgate.admin import stream_tail
from headgate.admin.stream_inquiry import Passed, TailBroken
from headgate.admin.stream_tail import COMMENT, TailResponse
from headgate.stream.ending import Ending
from headgate.stream.tail import TailComment, TailEvent, TailGap
from headgate.wire.sse import EventParser

AT = 1_700_000_000.25
ISO = "2023-11-14T22:13:20.250Z"


class Tail:
    """A tail that gives what the test puts in; an exception is raised."""

    def __init__(self) -> None:
        self.passed: asyncio.Queue[Passed | Exception] = asyncio.Queue()
        self.is_stopping = asyncio.Event()
        self.closed = 0

    async def read(self) -> Passed:
        passed = await self.passed.get()
        if isinstance(passed, Exception):
            raise passed
        return passed

    def close(self) -> None:
        self.closed += 1


class Scene:
    """A response on its way to a reader."""

    def __init__(self) -> None:
        self.tail = Tail()
        self.head: dict[str, Any] = {}
        self.body = b""
        self.is_complete = False
        self.changed = asyncio.Event()
        self.reader_left = asyncio.Event()
        self.reader_reads = asyncio.Event()
        self.reader_reads.set()
        self.response = asyncio.create_task(TailResponse(self.tail)({}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self.reader_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reader_reads.wait()
        if message["type"] == "http.response.start":
            self.head = message
        else:
            self.body += message["body"]
            self.is_complete = not message.get("more_body", False)
        self.changed.set()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def events(self) -> list[tuple[str, Any]]:
        return [(event.type, json.loads(event.data)) for event in EventParser().feed(self.body)]


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await scene(Scene())

    asyncio.run(main())


def event(**fields: Any) -> TailEvent:
    shown: dict[str, Any] = {
        "number": 3,
        "at": AT,
        "since_previous_s": 0.12345678,
        "event_id": b"5",
        "event_type": b"tick",
        "size": 21,
        "data": None,
        "data_cut": False,
    }
    return TailEvent(**{**shown, **fields})


SHOWN = {
    "n": 3,
    "at": ISO,
    "since_previous_s": 0.123457,
    "event_id": "5",
    "type": "tick",
    "bytes": 21,
    "data": None,
    "masked": True,
}


def test_the_head_and_a_comment_go_out_at_once() -> None:
    async def scene(it: Scene) -> None:
        await it.wait_for(lambda: it.body == COMMENT)
        assert it.head["status"] == 200
        assert sorted(it.head["headers"]) == [
            (b"cache-control", b"no-cache"),
            (b"content-type", b"text/event-stream"),
            (b"x-accel-buffering", b"no"),
        ]
        it.reader_left.set()
        await it.response

    play(scene)


@pytest.mark.parametrize(
    ("item", "name", "value"),
    [
        (event(), "event", SHOWN),
        (event(data=b"a\nb"), "event", {**SHOWN, "data": "a\nb", "masked": False}),
        (event(data=b"a", data_cut=True), "event", {**SHOWN, "data": "a", "masked": False, "data_cut": True}),
        (event(data=b""), "event", {**SHOWN, "data": "", "masked": False}),
        (event(event_id=None, since_previous_s=None), "event", {**SHOWN, "event_id": None, "since_previous_s": None}),
        (event(event_type=b"\xff", data="ü\r\u2028".encode()), "event", None),
        (TailComment(AT, 7), "comment", {"at": ISO, "bytes": 7}),
        (TailGap(9), "gap", {"lost": 9}),
    ],
)
def test_items(item: TailEvent | TailComment | TailGap, name: str, value: dict[str, Any] | None) -> None:
    async def scene(it: Scene) -> None:
        it.tail.passed.put_nowait(Passed([item], None))
        await it.wait_for(lambda: bool(it.events()))
        ((seen_name, seen),) = it.events()
        assert seen_name == name
        if value is None:
            assert (seen["type"], seen["data"]) == ("\ufffd", "ü\r\u2028")
        else:
            assert seen == value
        it.reader_left.set()
        await it.response

    play(scene)


def test_the_streams_end_is_the_last_event() -> None:
    async def scene(it: Scene) -> None:
        it.tail.passed.put_nowait(Passed([TailGap(1)], Ending.DRAIN))
        await it.response
        assert it.events() == [("gap", {"lost": 1}), ("end", {"ending": "drain"})]
        assert (it.is_complete, it.tail.closed) == (True, 1)

    play(scene)


def test_a_broken_tail_says_why() -> None:
    async def scene(it: Scene) -> None:
        it.tail.passed.put_nowait(TailBroken("worker 0 (pid 7) has gone"))
        await it.response
        assert it.events() == [("end", {"ending": None, "error_msg": "worker 0 (pid 7) has gone"})]
        assert (it.is_complete, it.tail.closed) == (True, 1)

    play(scene)


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_reader_that_leaves_ends_the_tail(is_reading: bool) -> None:
    async def scene(it: Scene) -> None:
        await it.wait_for(lambda: it.body == COMMENT)
        if not is_reading:
            it.reader_reads.clear()
            it.tail.passed.put_nowait(Passed([TailGap(1)], None))
            await turn_until(it.tail.passed.empty)
        it.reader_left.set()
        await it.response
        assert (it.tail.closed, it.is_complete) == (1, False)

    play(scene)


@pytest.mark.parametrize("is_reading", [True, False])
def test_when_the_process_stops_a_reader_that_does_not_read_is_not_waited_for(is_reading: bool) -> None:
    async def scene(it: Scene) -> None:
        await it.wait_for(lambda: it.body == COMMENT)
        if not is_reading:
            it.reader_reads.clear()
        it.tail.passed.put_nowait(TailBroken("stops"))
        it.tail.is_stopping.set()
        await it.response
        assert (it.tail.closed, it.is_complete) == (1, is_reading)

    play(scene)


def test_a_tail_that_fails_fails_its_response() -> None:
    async def scene(it: Scene) -> None:
        it.tail.passed.put_nowait(RuntimeError("a defect"))
        with pytest.raises(RuntimeError, match="a defect"):
            await it.response
        assert it.tail.closed == 1

    play(scene)


def test_a_server_that_gives_up_closes_the_tail() -> None:
    async def scene(it: Scene) -> None:
        await it.wait_for(lambda: it.body == COMMENT)
        it.response.cancel()
        with pytest.raises(asyncio.CancelledError):
            await it.response
        assert it.tail.closed == 1

    play(scene)


def test_silence_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_tail, "KEEPALIVE_S", 0.02)

    async def scene(it: Scene) -> None:
        await it.wait_for(lambda: it.body == COMMENT * 3)
        it.tail.passed.put_nowait(Passed([TailGap(1)], Ending.COMPLETE))
        await it.response
        assert it.events() == [("gap", {"lost": 1}), ("end", {"ending": "complete"})]

    play(scene)
