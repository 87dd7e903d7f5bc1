from __future__ import annotations

import asyncio

import pytest

from headgate.server.in_task import Work, in_task, run


def test_work_that_waits_for_nothing_needs_no_task() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    assert run(work(), lambda _: pytest.fail("a task")) is None
    assert done == [1]


def test_work_that_waits_goes_on_in_a_task_where_it_was() -> None:
    steps: list[str] = []

    async def deeper() -> str:
        await in_task()
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
        return "back"

    async def work() -> None:
        steps.append("begun")
        steps.append(await deeper())

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def make_task(work: Work) -> asyncio.Task[None]:
            return loop.create_task(work)

        task = run(work(), make_task)
        assert steps == ["begun"]
        assert task is not None
        await task

    asyncio.run(main())
    assert steps == ["begun", "back"]


def test_in_a_task_it_costs_a_turn() -> None:
    async def main() -> None:
        await asyncio.create_task(work())

    async def work() -> None:
        await in_task()
        await in_task()

    asyncio.run(main())


def test_what_it_raises_comes_out() -> None:
    async def work() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run(work(), lambda _: pytest.fail("a task"))


def test_a_task_that_is_cancelled_before_it_goes_on_does_nothing_more() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await in_task()
            steps.append("on")
        finally:
            steps.append("end")

    async def main() -> None:
        task = run(work(), asyncio.get_running_loop().create_task)
        assert task is not None
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert steps == ["end"]
