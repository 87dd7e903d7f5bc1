from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from headgate.admin.answers import Outcome, error, key_not_found, refuse, written
from headgate.admin.resources import Resources
from headgate.admin.write_queue import Evaluate, WriteQueue
from headgate.config.change import Change
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.sqlite_store import SqliteStore
from headgate.config.store import Deletion, Item, Write


class GatedStore(SqliteStore):
    """A store whose commits wait until they are let through; ``transactions`` are those that were made."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.gate = threading.Event()
        self.gate.set()
        self.transactions: list[list[Write]] = []

    def commit(self, writes: Sequence[Write], counter: int) -> None:
        self.gate.wait()
        super().commit(writes, counter)
        self.transactions.append(list(writes))


class Fixture:
    """A queue over a store; ``refused`` names ids that do not compile."""

    def __init__(self, data_dir: Path, limit: int = 1024) -> None:
        self.store = GatedStore(data_dir)
        self.resources = Resources(clock=lambda: 100.0)
        self.refused: set[str] = set()
        self.checks: list[list[str]] = []
        self.rounds: list[list[str]] = []
        self.publishing: Callable[[], Awaitable[None]] | None = None
        self.queue = WriteQueue(
            self.resources, self.store, compile_check=self._check, publish=self._publish, limit=limit
        )

    def _check(self, changes: Sequence[Change]) -> None:
        self.checks.append([change.id for change in changes])
        bad = self.refused.intersection(change.id for change in changes)
        if bad:
            raise InvalidConfiguration(f"cannot compile {min(bad)}")

    async def _publish(self, changes: Sequence[Change]) -> None:
        self.rounds.append([change.id for change in changes])
        if self.publishing is not None:
            await self.publishing()


def _run(data_dir: Path, scenario: Callable[[Fixture], Awaitable[None]], limit: int = 1024) -> None:
    async def main() -> None:
        fixture = Fixture(data_dir, limit)
        try:
            await scenario(fixture)
        finally:
            fixture.store.gate.set()
            await fixture.queue.close()
            fixture.store.close()

    asyncio.run(main())


def _put(name: str) -> Evaluate:
    """Make a write that answers how many routes there were before it."""

    def evaluate(state: Resources) -> Outcome:
        index = state.counter + 1
        item = Item("routes", name, {"seen": len(state.all("routes"))}, index, index)
        return written(201, item)

    return evaluate


def _seen(outcome: Outcome) -> object:
    assert isinstance(outcome.body, dict)
    return outcome.body["value"]["seen"]


async def _behind_a_slow_write(fixture: Fixture, evaluates: Sequence[Evaluate]) -> list[Outcome | BaseException]:
    """Start a write, make the others wait behind it, let all go; gives the answers of the others."""
    fixture.store.gate.clear()
    first = asyncio.create_task(fixture.queue.commit(_put("first")))
    await asyncio.sleep(0)
    others = [asyncio.create_task(fixture.queue.commit(evaluate)) for evaluate in evaluates]
    await asyncio.sleep(0)
    fixture.store.gate.set()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


def test_a_write_is_stored_adopted_and_published_before_it_is_answered(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        published, acked = asyncio.Event(), asyncio.Event()

        async def wait_for_workers() -> None:
            published.set()
            await acked.wait()

        fixture.publishing = wait_for_workers
        write = asyncio.create_task(fixture.queue.commit(_put("a")))
        await published.wait()

        assert fixture.resources.get("routes", "a") is not None
        assert [item.id for item in fixture.store.load()] == ["a"]
        assert not write.done()
        acked.set()
        assert (await write).status == 201

    _run(data_dir, scenario)


def test_writes_that_arrive_while_one_is_under_way_share_the_next_batch(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        answers = await _behind_a_slow_write(fixture, [_put(str(number)) for number in range(20)])

        assert [_seen(answer) for answer in answers if isinstance(answer, Outcome)] == list(range(1, 21))
        assert fixture.rounds == [["first"], [str(number) for number in range(20)]]
        assert [len(writes) for writes in fixture.store.transactions] == [1, 20]
        assert fixture.checks == fixture.rounds
        assert fixture.store.counter() == fixture.resources.counter == 21

    _run(data_dir, scenario)


def test_answers_come_in_the_order_of_the_writes(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        order: list[str] = []

        async def commit(name: str) -> None:
            await fixture.queue.commit(_put(name))
            order.append(name)

        await asyncio.gather(*(commit(name) for name in "edcba"))

        assert order == list("edcba")

    _run(data_dir, scenario)


def test_a_write_that_does_not_compile_is_refused_alone(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        fixture.refused = {"b"}

        answers = await _behind_a_slow_write(fixture, [_put("a"), _put("b"), _put("c")])

        assert answers[1] == error(400, "cannot compile b")
        assert [_seen(answer) for answer in (answers[0], answers[2]) if isinstance(answer, Outcome)] == [1, 2]
        assert fixture.rounds[1] == ["a", "c"]
        assert fixture.checks[1:] == [["a", "b", "c"], ["a"], ["a", "b"], ["a", "c"]]
        assert sorted(item.id for item in fixture.store.load()) == ["a", "c", "first"]
        assert fixture.resources.get("routes", "b") is None

    _run(data_dir, scenario)


def _refuse(_: Resources) -> Outcome:
    raise refuse(412, "moved")


def _invalid(_: Resources) -> Outcome:
    raise InvalidConfiguration("no good")


def _broken(_: Resources) -> Outcome:
    raise RuntimeError("a defect")


def test_writes_that_are_refused_or_fail_leave_the_others_alone(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        evaluates = [_refuse, _put("a"), _invalid, _broken, lambda _: key_not_found()]

        answers = await _behind_a_slow_write(fixture, evaluates)

        assert answers[0] == error(412, "moved")
        assert isinstance(answers[1], Outcome)
        assert answers[1].status == 201
        assert answers[2] == error(400, "no good")
        assert isinstance(answers[3], RuntimeError)
        assert answers[4] == key_not_found()
        assert fixture.rounds == [["first"], ["a"]]

    _run(data_dir, scenario)


def test_what_stores_nothing_reaches_neither_store_nor_workers(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        assert await fixture.queue.commit(lambda _: key_not_found()) == key_not_found()

        assert (fixture.checks, fixture.store.transactions, fixture.rounds) == ([], [], [])

    _run(data_dir, scenario)


def test_a_batch_that_the_store_does_not_take_answers_503_and_changes_nothing(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        await fixture.queue.commit(_put("kept"))
        fixture.store._database.execute("PRAGMA query_only = ON")

        refused = await asyncio.gather(*(fixture.queue.commit(e) for e in (_put("a"), lambda _: key_not_found())))

        assert refused[0].status == 503
        assert isinstance(refused[0].body, dict)
        assert "attempt to write a readonly database" in refused[0].body["error_msg"]
        assert refused[1] == key_not_found()
        assert fixture.resources.get("routes", "a") is None
        assert (fixture.resources.counter, fixture.rounds) == (1, [["kept"]])

        fixture.store._database.execute("PRAGMA query_only = OFF")
        assert (await fixture.queue.commit(_put("a"))).status == 201

    _run(data_dir, scenario)


def test_publishing_that_fails_is_raised_and_the_queue_goes_on(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        async def fail() -> None:
            raise ConnectionError("no workers")

        fixture.publishing = fail
        with pytest.raises(ConnectionError):
            await fixture.queue.commit(_put("a"))

        fixture.publishing = None
        assert _seen(await fixture.queue.commit(_put("b"))) == 1

    _run(data_dir, scenario)


def test_more_writes_than_may_wait_answer_503(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        answers = await _behind_a_slow_write(fixture, [_put("a"), _put("b"), _put("c")])

        assert [answer.status for answer in answers if isinstance(answer, Outcome)] == [201, 201, 503]
        assert answers[2] == error(503, "2 writes are waiting already: try again later")

    _run(data_dir, scenario, limit=2)


def test_a_write_whose_client_left_still_happens(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        fixture.store.gate.clear()
        gone = asyncio.create_task(fixture.queue.commit(_put("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        fixture.store.gate.set()

        assert _seen(await fixture.queue.commit(_put("next"))) == 1

    _run(data_dir, scenario)


def test_expire_deletes_what_is_over(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        over = Item("routes", "over", {}, 1, 1, expires_at=100.0)
        later = Item("routes", "later", {}, 2, 2, expires_at=100.1)
        await fixture.queue.commit(lambda _: Outcome(200, writes=(over, later)))

        await fixture.queue.expire()
        await fixture.queue.expire()

        assert fixture.store.load() == [later]
        assert fixture.store.transactions[1:] == [[Deletion("routes", "over")]]
        assert fixture.rounds == [["over", "later"], ["over"]]

    _run(data_dir, scenario)


def test_a_closed_queue_finishes_what_waits_and_refuses_the_rest(data_dir: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        fixture.store.gate.clear()
        write = asyncio.create_task(fixture.queue.commit(_put("a")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(fixture.queue.close())
        await asyncio.sleep(0)

        assert await fixture.queue.commit(_put("b")) == error(503, "headgate is stopping")
        fixture.store.gate.set()
        assert (await write).status == 201
        await closing

    _run(data_dir, scenario)
