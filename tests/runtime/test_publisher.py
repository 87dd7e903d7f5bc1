from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from tests.runtime.running import turn_until

from headgate.config.change import Change
from headgate.runtime.link import (
    Ack,
    Apply,
    Down,
    Hello,
    Load,
    LoadEnd,
    WorkerLink,
    Write,
    open_control_link,
    open_worker_link,
)
from headgate.runtime.publisher import SLICE_BYTES, SLICE_WRITES, ApplyError, Publisher, slices
from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.stream_messages import KillStream, StreamKilled
from headgate.stream.ending import Ending


def route(number: int, text: str = "") -> Change:
    return Change("routes", str(number), {"uri": f"/{number}", "desc": text}, number, number)


class Stage:
    """A publisher, workers that the test plays, and what was said to be silent."""

    def __init__(self, silent_s: float) -> None:
        self.silent: list[tuple[int, int]] = []
        self.desk = StreamDesk()
        self.publisher = Publisher(lambda worker, pid: self.silent.append((worker, pid)), self.desk, silent_s=silent_s)
        self.serving: list[asyncio.Task[None]] = []

    async def join(self, worker: int) -> WorkerLink:
        """Have a worker join that has not yet read anything."""
        ours, theirs = socket.socketpair()
        joined = self.publisher.workers + 1
        link = await open_worker_link(theirs.detach())
        self.serving.append(asyncio.create_task(self.publisher.serve(await open_control_link(ours.detach()))))
        await link.send(Hello(worker, 1000 + worker, 0.0))
        await turn_until(lambda: self.publisher.workers >= joined)
        return link


async def load(link: WorkerLink) -> list[Write]:
    """Receive the table and ack it."""
    writes: list[Write] = []
    while not isinstance(message := await link.receive(), LoadEnd):
        assert isinstance(message, Load)
        writes += message.writes
        await link.send(Ack(0))
    await link.send(Ack(message.revision))
    return writes


async def receive_apply(link: WorkerLink) -> Apply:
    message = await link.receive()
    assert isinstance(message, Apply)
    return message


def run_staged(play: Callable[[Stage], Awaitable[None]], *, silent_s: float = 20.0) -> None:
    async def main() -> None:
        stage = Stage(silent_s)
        async with asyncio.timeout(20):
            await play(stage)
        for task in stage.serving:
            task.cancel()
        await asyncio.gather(*stage.serving, return_exceptions=True)

    uvloop.run(main())


def test_publish_without_workers_returns_at_once_and_a_later_worker_gets_it() -> None:
    async def play(stage: Stage) -> None:
        await stage.publisher.publish([Change("upstreams", "u", {}), route(1), route(2)])
        await stage.publisher.publish([Change("routes", "1", None), Change("services", "s", {})])
        writes = await load(await stage.join(0))
        assert [(write.kind, write.id) for write in writes] == [("upstreams", "u"), ("services", "s"), ("routes", "2")]

    run_staged(play)


def test_publish_returns_when_every_worker_has_acked() -> None:
    async def play(stage: Stage) -> None:
        links = [await stage.join(0), await stage.join(1)]
        for link in links:
            await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        first, second = [await receive_apply(link) for link in links]
        assert first == second
        await links[0].send(Ack(first.revision))
        await links[1].send(Ack(0))  # a sign of life is no ack
        await links[1].send(Ack(first.revision - 1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not publishing.done()
        await links[1].send(Ack(first.revision))
        await publishing

    run_staged(play)


def test_a_worker_that_joins_during_publish_gets_everything_once_and_in_order() -> None:
    async def play(stage: Stage) -> None:
        await stage.publisher.publish([route(1)])
        link = await stage.join(0)  # its table is route 1
        publishing = [asyncio.create_task(stage.publisher.publish([route(n)])) for n in (2, 3)]
        assert [write.id for write in await load(link)] == ["1"]
        for expected in ("2", "3"):
            message = await receive_apply(link)
            assert [write.id for write in message.writes] == [expected]
            await link.send(Ack(message.revision))
        await asyncio.gather(*publishing)

    run_staged(play)


def test_a_worker_that_leaves_is_not_waited_for() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        await receive_apply(link)
        link.close()
        await publishing
        await stage.publisher.wait_until_left(20)
        assert stage.publisher.workers == 0
        assert stage.silent == []

    run_staged(play)


def test_a_silent_worker_is_reported_and_waited_for_until_its_link_closes() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(3)
        await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        await turn_until(lambda: bool(stage.silent))
        assert not publishing.done()
        link.close()
        await publishing
        assert stage.silent == [(3, 1003)]

    run_staged(play, silent_s=0.2)


def test_a_silent_worker_that_nobody_kills_loses_its_link() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(3)
        await load(link)
        await stage.publisher.publish([route(1)])
        await link.closed.wait()
        assert stage.silent == [(3, 1003)]

    run_staged(play, silent_s=0.1)


def test_signs_of_life_keep_a_slow_worker() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        message = await receive_apply(link)
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.5
        while loop.time() < until:
            await link.send(Ack(0))
            await asyncio.sleep(0.05)
        await link.send(Ack(message.revision))
        await publishing
        assert stage.silent == []

    run_staged(play, silent_s=1.0)


def test_an_error_of_a_worker_is_raised() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        message = await receive_apply(link)
        await link.send(Ack(message.revision, "ValueError: broken"))
        with pytest.raises(ApplyError, match="broken"):
            await publishing

    run_staged(play)


def test_questions_about_streams_and_their_answers_pass_between_table_and_acks() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        killing = asyncio.create_task(stage.desk.kill("0-1-2"))
        publishing = asyncio.create_task(stage.publisher.publish([route(1)]))
        question, message = await link.receive(), await link.receive()
        if isinstance(question, Apply):
            question, message = message, question
        assert isinstance(message, Apply)
        assert isinstance(question, KillStream)
        await link.send(StreamKilled(question.number, Ending.KILLED))
        assert await killing is Ending.KILLED
        assert not publishing.done()  # what is said about streams is no ack
        await link.send(Ack(message.revision))
        await publishing

    run_staged(play)


def test_a_worker_that_owes_an_answer_about_streams_is_not_called_silent() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        killing = asyncio.create_task(stage.desk.kill("0-1-2"))
        assert isinstance(await link.receive(), KillStream)
        await stage.publisher.publish([])
        await asyncio.sleep(0.5)  # more than twice what a worker may be silent that owes an ack
        assert (stage.silent, stage.publisher.workers) == ([], 1)
        killing.cancel()

    run_staged(play, silent_s=0.2)


@pytest.mark.parametrize("first", [Ack(1), None], ids=["no Hello", "nothing"])
def test_who_does_not_say_hello_does_not_join(first: Ack | None) -> None:
    async def play(stage: Stage) -> None:
        ours, theirs = socket.socketpair()
        link = await open_worker_link(theirs.detach())
        serving = asyncio.create_task(stage.publisher.serve(await open_control_link(ours.detach())))
        if first is None:
            link.close()
        else:
            await link.send(first)
        await serving
        assert await link.receive() is None
        assert stage.publisher.workers == 0

    run_staged(play)


def test_many_changes_come_in_slices() -> None:
    async def play(stage: Stage) -> None:
        link = await stage.join(0)
        await load(link)
        publishing = asyncio.create_task(stage.publisher.publish([route(n) for n in range(1100)]))
        received: list[Down] = []
        for _ in range(3):
            message = await receive_apply(link)
            received.append(message)
            await link.send(Ack(message.revision))
        await publishing
        assert [len(message.writes) for message in received if isinstance(message, Apply)] == [500, 500, 100]
        link.close()
        await stage.publisher.wait_until_left(20)
        assert len(await load(await stage.join(0))) == 1100

    run_staged(play)


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([10] * 3, [3]),
        ([1] * (SLICE_WRITES + 1), [SLICE_WRITES, 1]),
        ([SLICE_BYTES, 1], [1, 1]),
        ([1, SLICE_BYTES - 1, 1], [2, 1]),
        ([SLICE_BYTES * 2, 5, 5], [1, 2]),
        ([5, SLICE_BYTES * 2, 5], [1, 1, 1]),
    ],
)
def test_slices(sizes: list[int], cut: list[int]) -> None:
    writes = [Write("routes", str(n), b"x" * size, 0, 0) for n, size in enumerate(sizes)]
    pieces = list(slices(writes))
    assert [len(piece) for piece in pieces] == cut
    assert [write for piece in pieces for write in piece] == writes


def test_a_table_that_is_not_complete_is_sent_on_but_not_ended() -> None:
    async def play(stage: Stage) -> None:
        stage.publisher = Publisher(lambda *_: None, stage.desk, is_complete=False)
        await stage.publisher.publish([route(1)])
        early = await stage.join(0)
        await stage.publisher.publish([route(2), route(3)])  # returns though nobody has acked anything
        late = await stage.join(1)
        await stage.publisher.publish([route(4)])
        for link, expected in ((early, [["1"], ["2", "3"], ["4"]]), (late, [["1", "2", "3"], ["4"]])):
            for ids in expected:
                message = await link.receive()
                assert isinstance(message, Load)
                assert [write.id for write in message.writes] == ids
        more = [asyncio.create_task(link.receive()) for link in (early, late)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(task.done() for task in more)
        stage.publisher.complete()
        assert [isinstance(await task, LoadEnd) for task in more] == [True, True]

    run_staged(play)


def test_changes_follow_the_end_of_a_table_that_was_sent_in_parts() -> None:
    async def play(stage: Stage) -> None:
        stage.publisher = Publisher(lambda *_: None, stage.desk, is_complete=False)
        link = await stage.join(0)
        await stage.publisher.publish([route(1)])
        stage.publisher.complete()
        assert [write.id for write in await load(link)] == ["1"]
        publishing = asyncio.create_task(stage.publisher.publish([route(2)]))
        message = await receive_apply(link)
        await link.send(Ack(message.revision))
        await publishing

    run_staged(play)
