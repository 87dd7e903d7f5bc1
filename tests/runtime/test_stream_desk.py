from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.runtime.desk_worker import DeskWorker, row

from headgate.admin.stream_inquiry import NoSuchStream, Passed, TailBroken, TailRefused, Wanted, Worker
from headgate.runtime import worker_desk
from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.stream_messages import (
    KillStream,
    ListStreams,
    ReadTail,
    StartTail,
    StopTail,
    StreamKilled,
    StreamRows,
    TailBatch,
    TailRefusal,
    TailStarted,
)
from headgate.server.stream_table import Search
from headgate.stream.ending import Ending
from headgate.stream.tail import TailGap

ALL = Wanted()


def play(scene: Callable[[StreamDesk], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await scene(StreamDesk())

    asyncio.run(main())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_desk, "ANSWER_S", 0.1)


# -- lists ------------------------------------------------------------------------------------------------------------


def test_rows_of_all_workers_are_one_list_the_oldest_first() -> None:
    async def scene(desk: StreamDesk) -> None:
        one, two = DeskWorker(desk, 0, 1000), DeskWorker(desk, 1, 1001)
        asking = asyncio.create_task(desk.search(Wanted(route="r", client="c", consumer="k"), 3))
        for worker in (one, two):
            assert (await worker.hear(ListStreams)).search == Search(None, "r", "c", "k", 3)
        two.list(1, row("1-b", 20.0), row("1-c", 30.0), total=2)
        one.list(1, row("0-a", 10.0), row("0-d", 40.0), total=7)
        listing = await asking
        assert [(shown["id"], shown["worker"], shown["pid"]) for shown in listing.rows] == [
            ("0-a", 0, 1000),
            ("1-b", 1, 1001),
            ("1-c", 1, 1001),
        ]
        assert (listing.total, listing.missing_workers) == (9, [])
        assert listing.rows[0]["opened_at"] == "1970-01-01T00:00:10.000Z"

    play(scene)


def test_without_workers_there_is_an_empty_list() -> None:
    async def scene(desk: StreamDesk) -> None:
        listing = await desk.search(ALL, None)
        assert (listing.rows, listing.total, listing.missing_workers) == ([], 0, [])

    play(scene)


def test_who_was_replaced_is_old() -> None:
    async def scene(desk: StreamDesk) -> None:
        began = {1000: (0, 5.0), 1001: (1, 4.0), 1002: (0, 9.0), 1003: (1, 1.0)}
        workers = [DeskWorker(desk, worker, pid, started) for pid, (worker, started) in began.items()]
        asking = asyncio.create_task(desk.search(ALL, None))
        for number, worker in enumerate(workers):
            worker.list((await worker.hear(ListStreams)).number, row(f"{number}"))
        shown = {one["pid"]: one["generation"] for one in (await asking).rows}
        assert shown == {1000: "old", 1001: "new", 1002: "new", 1003: "old"}

    play(scene)


def test_a_worker_that_does_not_answer_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(desk: StreamDesk) -> None:
        prompt, silent = DeskWorker(desk, 0, 1000), DeskWorker(desk, 1, 1001)
        prompt.answers_lists_with = [row("0-a")]
        monkeypatch.setattr(worker_desk, "ANSWER_S", 0.1)
        listing = await desk.search(ALL, None)
        assert ([shown["id"] for shown in listing.rows], listing.total) == (["0-a"], 1)
        assert listing.missing_workers == [Worker(1, 1001)]
        monkeypatch.undo()
        # What it says too late disturbs nobody; afterwards it is asked as ever.
        silent.list((await silent.hear(ListStreams)).number, row("1-late"))
        again = asyncio.create_task(desk.search(ALL, None))
        silent.list((await silent.hear(ListStreams)).number)
        listing = await again
        assert ([shown["id"] for shown in listing.rows], listing.missing_workers) == (["0-a"], [])

    play(scene)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_does_not_answer_is_not_asked_for_ever() -> None:
    async def scene(desk: StreamDesk) -> None:
        silent = DeskWorker(desk)
        listings = await asyncio.gather(*(desk.search(ALL, None) for _ in range(worker_desk.MAX_UNANSWERED + 10)))
        assert all(listing.missing_workers == [Worker(0, 1000)] for listing in listings)
        assert len(silent.told) == worker_desk.MAX_UNANSWERED
        silent.list((await silent.hear(ListStreams)).number)
        silent.told.clear()
        await desk.search(ALL, None)
        assert len(silent.told) == 1

    play(scene)


def test_a_list_that_comes_in_parts_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_desk, "ANSWER_S", 2.0)

    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        asking = asyncio.create_task(desk.search(ALL, None))
        number = (await worker.hear(ListStreams)).number
        for part in range(4):
            await asyncio.sleep(0.6)  # in all more than a worker may be silent
            worker.say(StreamRows(number, [row(f"0-{part}")]))
        worker.list(number, total=4)
        assert [shown["id"] for shown in (await asking).rows] == [f"0-{part}" for part in range(4)]

    play(scene)


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_desk, "ANSWERS_S", 0.3)

    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        asking = asyncio.create_task(desk.search(ALL, None))
        number = (await worker.hear(ListStreams)).number
        while not asking.done():
            worker.say(StreamRows(number, [row("0-a")]))
            await asyncio.sleep(0.01)
        assert (await asking).missing_workers == [Worker(0, 1000)]

    play(scene)


def test_a_worker_that_leaves_holds_nobody_up() -> None:
    async def scene(desk: StreamDesk) -> None:
        leaving = DeskWorker(desk)
        asking = asyncio.create_task(desk.search(ALL, None))
        await leaving.hear(ListStreams)
        desk.leave(leaving.desk)
        listing = await asking
        assert (listing.rows, listing.missing_workers) == ([], [])

    play(scene)


# -- one stream -------------------------------------------------------------------------------------------------------


def test_one_stream_is_given_without_waiting_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_desk, "ANSWER_S", 300.0)
    monkeypatch.setattr(worker_desk, "ANSWERS_S", 300.0)

    async def scene(desk: StreamDesk) -> None:
        one, _ = DeskWorker(desk, 0), DeskWorker(desk, 1)
        getting = asyncio.create_task(desk.get("0-a"))
        command = await one.hear(ListStreams)
        assert command.search == Search(id="0-a")
        one.list(command.number, row("0-a"))
        assert (await getting)["id"] == "0-a"
        killing = asyncio.create_task(desk.kill("0-a"))
        kill = await one.hear(KillStream)
        assert kill.id == "0-a"
        one.say(StreamKilled(kill.number, Ending.KILLED))
        assert await killing is Ending.KILLED

    play(scene)


def test_what_nobody_has() -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        getting = asyncio.create_task(desk.get("0-a"))
        worker.list((await worker.hear(ListStreams)).number)
        with pytest.raises(NoSuchStream) as absent:
            await getting
        assert absent.value.missing_workers == []
        killing = asyncio.create_task(desk.kill("0-a"))
        worker.say(StreamKilled((await worker.hear(KillStream)).number, None))
        with pytest.raises(NoSuchStream):
            await killing

    play(scene)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("ask", ["get", "kill", "tail"])
def test_what_one_may_have_that_does_not_answer(ask: str) -> None:
    async def scene(desk: StreamDesk) -> None:
        DeskWorker(desk, 3, 1003)
        with pytest.raises(NoSuchStream) as absent:
            await (desk.tail("3-a", with_data=False) if ask == "tail" else getattr(desk, ask)("3-a"))
        assert absent.value.missing_workers == [Worker(3, 1003)]

    play(scene)


# -- tails ------------------------------------------------------------------------------------------------------------


def test_a_tail_asks_for_more_when_it_has_read() -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        starting = asyncio.create_task(desk.tail("0-a", with_data=True))
        number = (await worker.hear(StartTail)).number
        batches = [TailBatch(number, [TailGap(lost)]) for lost in (1, 2)]
        worker.say(TailStarted(number), *batches)  # in one go: none is lost before the tail is had
        tail = await starting
        assert await tail.read() == Passed([TailGap(1)], None)
        assert worker.told == []
        assert await tail.read() == Passed([TailGap(2)], None)
        assert await worker.hear(ReadTail) == ReadTail(number)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tail.read(), 0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tail.read(), 0.05)
        assert worker.told == [ReadTail(number)]  # once, however often it was looked for
        worker.say(TailBatch(number, [], Ending.DRAIN))
        assert await tail.read() == Passed([], Ending.DRAIN)
        worker.told.clear()
        tail.close()
        assert worker.told == []  # the worker knows

    play(scene)


def test_a_tail_that_is_closed_is_stopped_and_hears_no_more() -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        starting = asyncio.create_task(desk.tail("0-a", with_data=True))
        number = (await worker.hear(StartTail)).number
        worker.say(TailStarted(number))
        (await starting).close()
        assert await worker.hear(StopTail) == StopTail(number)
        worker.say(TailBatch(number, []))

    play(scene)


@pytest.mark.parametrize(
    ("refusal", "is_busy", "text"), [("too_many", True, "64 tails"), ("unreadable", False, "cannot be read")]
)
def test_a_tail_that_is_refused(refusal: TailRefusal, is_busy: bool, text: str) -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        starting = asyncio.create_task(desk.tail("0-a", with_data=True))
        number = (await worker.hear(StartTail)).number
        worker.say(TailStarted(number, refusal))
        with pytest.raises(TailRefused, match=text) as refused:
            await starting
        assert refused.value.is_busy is is_busy
        assert worker.desk._tails == {}

    play(scene)


@pytest.mark.usefixtures("impatient")
def test_a_tail_that_begins_too_late_is_stopped() -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk)
        with pytest.raises(NoSuchStream):
            await desk.tail("0-a", with_data=True)
        number = (await worker.hear(StartTail)).number
        assert worker.desk._tails == {}
        worker.say(TailStarted(number), TailBatch(number, []))
        assert await worker.hear(StopTail) == StopTail(number)

    play(scene)


@pytest.mark.parametrize("how", ["leave", "close"])
def test_a_tail_breaks_with_its_worker_and_with_the_desk(how: str) -> None:
    async def scene(desk: StreamDesk) -> None:
        worker = DeskWorker(desk, 2, 1002)
        starting = asyncio.create_task(desk.tail("2-a", with_data=False))
        number = (await worker.hear(StartTail)).number
        worker.say(TailStarted(number), TailBatch(number, [TailGap(1)]))
        tail = await starting
        if how == "leave":
            desk.leave(worker.desk)
        else:
            desk.close()
        assert tail.is_stopping.is_set() is (how == "close")
        assert await tail.read() == Passed([TailGap(1)], None)
        with pytest.raises(TailBroken, match="worker 2 \\(pid 1002\\) has gone" if how == "leave" else "stops"):
            await tail.read()
        worker.told.clear()
        tail.close()
        assert worker.told == ([] if how == "leave" else [StopTail(number)])

    play(scene)
