from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from tests.runtime.running import turn_until

from headgate.config.change import Change
from headgate.runtime.link import (
    MAX_FRAME_BYTES,
    MAX_WAITING_FRAMES,
    Ack,
    Apply,
    ControlLink,
    Down,
    Hello,
    LinkClosedError,
    Load,
    LoadEnd,
    Up,
    WorkerLink,
    Write,
    open_control_link,
    open_worker_link,
)
from headgate.runtime.stream_messages import (
    KillStream,
    ListStreams,
    ReadTail,
    StartTail,
    StopTail,
    StreamKilled,
    StreamRows,
    TailBatch,
    TailStarted,
)
from headgate.server.stream_table import Search, StreamRow
from headgate.stream.ending import Ending
from headgate.stream.tail import TailComment, TailEvent, TailGap, TailItem


def run_linked(dialogue: Callable[[ControlLink, WorkerLink], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        control, worker = await open_control_link(ours.detach()), await open_worker_link(theirs.detach())
        try:
            async with asyncio.timeout(20):
                await dialogue(control, worker)
        finally:
            control.close()
            worker.close()
            await asyncio.gather(control.closed.wait(), worker.closed.wait())

    uvloop.run(main())


def run_against_bytes(dialogue: Callable[[WorkerLink, socket.socket], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        worker = await open_worker_link(theirs.detach())
        ours.setblocking(False)
        async with asyncio.timeout(20):
            await dialogue(worker, ours)
        ours.close()
        worker.close()
        await worker.closed.wait()

    uvloop.run(main())


WRITE = Write("routes", "1", b'{"uri":"/a"}', 4, 5)


def test_messages_arrive_whole_and_in_order() -> None:
    down: list[Down] = [Load([WRITE]), LoadEnd(7), Apply(8, [Write("routes", "1", None, 0, 0)]), Load([])]
    up: list[Up] = [Hello(1, 99, 1.5), Ack(7), Ack(8, "no")]

    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        for message in down:
            await control.send(message)
        for answer in up:
            await worker.send(answer)
        assert [await worker.receive() for _ in down] == down
        assert [await control.receive() for _ in up] == up

    run_linked(dialogue)


ROW = StreamRow(
    id="0-1-2",
    route="r",
    service=None,
    client="127.0.0.1",
    consumer=None,
    method="GET",
    host="example",
    target="/?token=***",
    upstream="10.0.0.1:80",
    status=200,
    opened_at=1.5,
    age_s=2.5,
    events=3,
    bytes=4,
    first_event_s=None,
    since_event_s=0.5,
    keepalives=0,
    blocked_s=0.0,
    blocked=False,
    untouched="sized",
    state="draining",
)


def test_what_is_said_about_streams_arrives_as_it_was() -> None:
    down: list[Down] = [
        ListStreams(1, Search(None, "r", "::1", None, 10)),
        KillStream(2, "0-1-2"),
        StartTail(3, "0-1-2", True),
        ReadTail(3),
        StopTail(3),
    ]
    items: list[TailItem] = [
        TailEvent(7, 1.5, None, b"\xff", b"message", 9, None, False),
        TailComment(2.5, 3),
        TailGap(4),
    ]
    up: list[Up] = [
        StreamRows(1, [ROW]),
        StreamRows(1, [], total=1),
        StreamKilled(2, Ending.KILLED),
        StreamKilled(2, None),
        TailStarted(3, "too_many"),
        TailBatch(3, items, Ending.DRAIN),
    ]

    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        for message in down:
            await control.send(message)
        for report in up:
            await worker.send(report)
        assert [await worker.receive() for _ in down] == down
        assert [await control.receive() for _ in up] == up

    run_linked(dialogue)


def test_bytes_may_be_cut_anywhere() -> None:
    async def dialogue(worker: WorkerLink, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        frame = b"\x82\xa4type\xa4Load\xa6writes\x90"
        data = (len(frame).to_bytes(4, "big") + frame) * 3
        for byte in data:
            await loop.sock_sendall(peer, bytes([byte]))
            await asyncio.sleep(0)
        assert [await worker.receive() for _ in range(3)] == [Load([])] * 3

    run_against_bytes(dialogue)


@pytest.mark.parametrize(
    "change",
    [
        Change("routes", "1", {"uri": "/a", "labels": {"ü": "\x00"}, "big": 10**30, "small": -(10**30)}, 3, 9),
        Change("upstreams", "x.y-z_", {"nodes": {}, "float": 1.5, "none": None, "yes": True, "deep": [[[[]]]]}, 1, 1),
        Change("services", "1", None),
    ],
    ids=["numbers beyond 64 bits", "every JSON type", "deletion"],
)
def test_a_change_arrives_as_it_was(change: Change) -> None:
    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        await control.send(Apply(1, [Write.from_change(change)]))
        message = await worker.receive()
        assert isinstance(message, Apply)
        assert [write.to_change() for write in message.writes] == [change]

    run_linked(dialogue)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ((MAX_FRAME_BYTES + 1).to_bytes(4, "big"), "too large"),
        (b"\xff\xff\xff\xff", "too large"),
        (b"\x00\x00\x00\x00", "does not decode"),
        (b"\x00\x00\x00\x01\xc1", "does not decode"),
        (b"\x00\x00\x00\x01\x01", "does not decode"),
        (b"\x00\x00\x00\x0c\x81\xa4type\xa5Hello", "does not decode"),
        (b"\x00\x00\x00\x0b\x81\xa4type\xa4Load", "does not decode"),
    ],
    ids=["large", "largest", "empty", "never used byte", "no message", "the other side's message", "field missing"],
)
def test_nonsense_ends_the_link(data: bytes, error: str) -> None:
    async def dialogue(worker: WorkerLink, peer: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(peer, data)
        assert await worker.receive() is None
        assert worker.error is not None
        assert error in worker.error

    run_against_bytes(dialogue)


def test_a_frame_that_stops_half_way_is_the_end() -> None:
    async def dialogue(worker: WorkerLink, peer: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(peer, b"\x00\x00\x00\x05\x81")
        peer.close()
        assert await worker.receive() is None

    run_against_bytes(dialogue)


def test_what_came_before_the_end_is_received() -> None:
    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        await control.send(LoadEnd(1))
        first = await worker.receive()
        control.close()
        await worker.closed.wait()
        assert first == LoadEnd(1)
        assert await worker.receive() is None
        with pytest.raises(LinkClosedError):
            await worker.send(Ack(1))

    run_linked(dialogue)


def test_a_message_too_large_for_a_frame_is_refused() -> None:
    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        with pytest.raises(ValueError, match="too large"):
            await control.send(Load([Write("routes", "1", b"x" * MAX_FRAME_BYTES, 0, 0)]))
        await control.send(LoadEnd(2))
        assert await worker.receive() == LoadEnd(2)

    run_linked(dialogue)


def test_a_receiver_that_does_not_receive_holds_the_sender_back() -> None:
    big = Load([Write("routes", "1", os.urandom(50_000), 0, 0)])

    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(200):
                await control.send(big)
                sent += 1

        sending = asyncio.create_task(send_all())
        await turn_until(lambda: len(worker._frames) >= MAX_WAITING_FRAMES)
        for _ in range(1000):  # turns of the loop in which nothing more may come
            await asyncio.sleep(0)
        assert len(worker._frames) == MAX_WAITING_FRAMES
        assert sent < 100
        for _ in range(200):
            assert await worker.receive() == big
        await sending

    run_linked(dialogue)


def test_a_sender_that_waits_hears_of_the_end() -> None:
    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        async def send_forever() -> None:
            while True:
                await control.send(Load([Write("routes", "1", b"x" * 100_000, 0, 0)]))

        sending = asyncio.create_task(send_forever())
        await turn_until(lambda: not control._writable.is_set())
        worker.close()
        with pytest.raises(LinkClosedError):
            await sending

    run_linked(dialogue)


def test_several_may_send_and_none_starves() -> None:
    messages = 50

    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        async def send_all(kind: int) -> None:
            for number in range(messages):
                await control.send(Load([Write("routes", f"{kind} {number}", b"x" * 50_000, 0, 0)]))

        senders = [asyncio.create_task(send_all(kind)) for kind in range(3)]
        await turn_until(lambda: not control._writable.is_set())
        seen: dict[str, list[int]] = {"0": [], "1": [], "2": []}
        for _ in range(3 * messages):
            message = await worker.receive()
            assert isinstance(message, Load)
            kind, number = message.writes[0].id.split()
            seen[kind].append(int(number))
            if max(map(len, seen.values())) == messages:  # one has sent all: the others are not far behind
                assert min(map(len, seen.values())) > messages / 2
        assert seen == {kind: list(range(messages)) for kind in "012"}
        await asyncio.gather(*senders)

    run_linked(dialogue)


def test_every_sender_that_waits_hears_of_the_end() -> None:
    async def dialogue(control: ControlLink, worker: WorkerLink) -> None:
        async def send_forever() -> None:
            while True:
                await control.send(Load([Write("routes", "1", b"x" * 100_000, 0, 0)]))

        sending = [asyncio.create_task(send_forever()) for _ in range(3)]
        await turn_until(lambda: not control._writable.is_set())
        worker.close()
        results = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(result) for result in results] == [LinkClosedError] * 3

    run_linked(dialogue)
