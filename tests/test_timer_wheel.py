from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import uvloop

from headgate.timer_wheel import UNSCHEDULED, TimerWheel

RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Run = Callable[..., None]
TICK_S = 0.02


class Clock:
    """An entry that records when it is looked at and answers with the next of ``answers``, then with None."""

    def __init__(self, *answers: float | None, then: Callable[[], None] | None = None) -> None:
        self.wheel_slot = UNSCHEDULED
        self.answers = list(answers)
        self.then = then
        self.looks: list[float] = []
        self.looked = asyncio.Event()

    def check_deadline(self, now: float) -> float | None:
        self.looks.append(now)
        self.looked.set()
        if self.then is not None:
            self.then()
        return self.answers.pop(0) if self.answers else None


def make_wheel() -> tuple[TimerWheel, asyncio.AbstractEventLoop]:
    loop = asyncio.get_running_loop()
    return TimerWheel(loop, tick_s=TICK_S), loop


@RUNNERS
def test_a_deadline_is_kept_and_never_early(run: Run) -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        dues = [loop.time() + after_s for after_s in (0.0, 0.011, 0.02, 0.05, 0.0501, 0.13)]
        entries = [Clock() for _ in dues]
        for entry, due in zip(entries, dues, strict=True):
            wheel.schedule(entry, due)
        assert len(wheel) == len(entries)
        for entry, due in zip(entries, dues, strict=True):
            await asyncio.wait_for(entry.looked.wait(), 10)
            assert entry.looks[0] >= due - 1e-6
            assert entry.wheel_slot == UNSCHEDULED
        assert len(wheel) == 0

    run(main())


@RUNNERS
def test_the_first_to_come_due_is_looked_at_first(run: Run) -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        now = loop.time()
        order: list[int] = []
        entries = [Clock(then=partial(order.append, number)) for number in range(4)]
        for number in (2, 0, 3, 1):
            wheel.schedule(entries[number], now + 0.05 * (number + 1))
        await asyncio.wait_for(entries[3].looked.wait(), 10)
        assert order == [0, 1, 2, 3]

    run(main())


def test_an_answer_is_the_next_look_at_least_a_tick_later() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        due = loop.time() + 0.1
        entry = Clock(0.0, due)
        wheel.schedule(entry, loop.time())
        while len(entry.looks) < 3:
            entry.looked.clear()
            await asyncio.wait_for(entry.looked.wait(), 10)
        assert entry.looks[1] >= entry.looks[0] + TICK_S - 1e-6
        assert entry.looks[2] >= due - 1e-6
        assert len(wheel) == 0

    asyncio.run(main())


def test_a_later_deadline_leaves_an_entry_where_it_is() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        entry = Clock()
        wheel.schedule(entry, loop.time() + 0.04)
        slot = entry.wheel_slot
        wheel.schedule(entry, loop.time() + 100)
        assert entry.wheel_slot == slot
        assert len(wheel) == 1

    asyncio.run(main())


def test_an_earlier_deadline_moves_an_entry() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        entry = Clock()
        wheel.schedule(entry, loop.time() + 100)
        wheel.schedule(entry, loop.time() + 0.04)
        assert len(wheel) == 1
        await asyncio.wait_for(entry.looked.wait(), 10)
        assert len(entry.looks) == 1
        assert len(wheel) == 0

    asyncio.run(main())


def test_a_cancelled_entry_is_not_looked_at_and_not_kept() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        entry, last = Clock(), Clock()
        wheel.schedule(entry, loop.time() + 0.02)
        wheel.schedule(last, loop.time() + 0.08)
        wheel.cancel(entry)
        wheel.cancel(entry)
        assert len(wheel) == 1
        gone = weakref.ref(entry)
        del entry
        gc.collect()
        assert gone() is None
        await asyncio.wait_for(last.looked.wait(), 10)

    asyncio.run(main())


def test_an_entry_that_was_cancelled_may_come_back() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        entry = Clock()
        for _ in range(3):
            wheel.schedule(entry, loop.time() + 0.04)
            wheel.cancel(entry)
        wheel.schedule(entry, loop.time() + 0.04)
        assert len(wheel) == 1
        await asyncio.wait_for(entry.looked.wait(), 10)
        assert len(entry.looks) == 1

    asyncio.run(main())


def test_entries_of_one_slot_may_cancel_and_schedule_each_other() -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        due = loop.time() + 0.04
        last = Clock()
        first, second = Clock(), Clock()

        def meet(other: Clock) -> None:
            wheel.cancel(other)
            wheel.schedule(last, due + 0.04)

        first.then, second.then = lambda: meet(second), lambda: meet(first)
        wheel.schedule(first, due)
        wheel.schedule(second, due)
        await asyncio.wait_for(last.looked.wait(), 10)
        assert len(first.looks) + len(second.looks) == 1
        assert len(wheel) == 0

    asyncio.run(main())


@RUNNERS
def test_a_defect_of_one_entry_is_reported_and_stops_no_other(run: Run) -> None:
    async def main() -> None:
        wheel, loop = make_wheel()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))

        def fail() -> None:
            raise RuntimeError("a defect")

        due = loop.time() + 0.04
        entries = [Clock(then=fail), Clock(), Clock()]
        for entry in entries:
            wheel.schedule(entry, due)
        later = Clock()
        wheel.schedule(later, due + 0.06)
        for entry in (*entries, later):
            await asyncio.wait_for(entry.looked.wait(), 10)
        assert [str(context["exception"]) for context in reported] == ["a defect"]
        assert len(wheel) == 0

    run(main())


def test_moving_deadlines_makes_no_timers() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        armed: list[float] = []

        class CountingLoop:
            def time(self) -> float:
                return loop.time()

            def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
                armed.append(when)
                return loop.call_at(when, callback)

        wheel = TimerWheel(CountingLoop(), tick_s=TICK_S)  # type: ignore[arg-type]  # the two methods that a wheel uses
        entries = [Clock() for _ in range(100)]
        due = loop.time() + 0.2
        for _ in range(10):
            for entry in entries:
                wheel.schedule(entry, due)
            due += 0.001
        assert len(armed) == 1
        await asyncio.wait_for(entries[0].looked.wait(), 10)
        assert len(armed) == 1

    asyncio.run(main())
