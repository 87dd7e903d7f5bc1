from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.timer_wheel import TimerWheel
from headgate.upstream.connect_deadline import ConnectDeadline


def run(work: Callable[[ConnectDeadline, TimerWheel], Awaitable[None]], *, after_s: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wheel = TimerWheel(loop, tick_s=0.01)
        async with asyncio.timeout(30):
            await work(ConnectDeadline(wheel, loop.time() + after_s), wheel)
        assert len(wheel) == 0

    asyncio.run(main())


def test_a_task_is_cancelled_when_the_time_is_over_and_goes_on() -> None:
    async def work(deadline: ConnectDeadline, _: TimerWheel) -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        assert deadline.took_effect()
        await asyncio.sleep(0)  # it is not cancelled any more

    run(work, after_s=0.02)


def test_a_task_that_is_done_in_time_is_left_alone() -> None:
    async def work(deadline: ConnectDeadline, _: TimerWheel) -> None:
        deadline.stop()
        await asyncio.sleep(0.05)

    run(work, after_s=0.02)


def test_a_look_before_the_time_cancels_nothing() -> None:
    async def work(deadline: ConnectDeadline, _: TimerWheel) -> None:
        now = asyncio.get_running_loop().time()
        assert deadline.check_deadline(now) == pytest.approx(now + 60, abs=30)
        await asyncio.sleep(0)
        deadline.stop()

    run(work, after_s=60)


@pytest.mark.parametrize("is_over", [True, False])
def test_somebody_elses_cancelling_is_not_taken_for_its_own(*, is_over: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wheel = TimerWheel(loop, tick_s=0.01)
        deadlines: list[ConnectDeadline] = []
        verdicts: list[bool] = []

        async def connect() -> None:
            deadlines.append(ConnectDeadline(wheel, loop.time() + 60))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                verdicts.append(deadlines[0].took_effect())
                raise
            finally:
                deadlines[0].stop()

        task = loop.create_task(connect())
        await asyncio.sleep(0)
        task.cancel()
        if is_over:  # in the same turn
            deadlines[0].check_deadline(loop.time() + 60)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert verdicts == [False]
        assert len(wheel) == 0

    asyncio.run(main())
