from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from headgate.config.store import StoreError
from headgate.runtime.channel import Channel
from headgate.runtime.orders import Orders


def run(play: Callable[[Channel, Orders], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = Channel.pair()
        orders = Orders(theirs.detach())
        async with asyncio.timeout(20):
            await play(ours, orders)
        ours.close()
        orders._channel.close()

    uvloop.run(main())


def test_orders_come_in_order_and_end_with_the_supervisor() -> None:
    async def play(supervisor: Channel, orders: Orders) -> None:
        got: list[str] = []

        async def obey() -> None:
            async for message, descriptors in orders:
                got.append(message["type"])
                for descriptor in descriptors:
                    os.close(descriptor)

        obeying = asyncio.create_task(obey())
        reader, writer = os.pipe()
        for number in range(5):
            supervisor.send({"type": f"first {number}"}, [reader] * (number % 2))
        await asyncio.sleep(0.01)
        supervisor.send({"type": "later"})
        supervisor.close()
        await obeying
        assert got == [*(f"first {number}" for number in range(5)), "later"]
        os.close(reader)
        os.close(writer)

    run(play)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StoreError("the store\n is  damaged"), "the store is damaged"),
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (KeyError("defect"), "KeyError: 'defect'"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [StoreError("inner")])]), "inner"),
    ],
)
def test_a_failure_is_reported_in_one_line(error: Exception, text: str) -> None:
    async def play(supervisor: Channel, orders: Orders) -> None:
        orders.report_failure(error)
        assert supervisor.receive() == ({"type": "failed", "error": text}, [])

    run(play)


def test_a_report_to_nobody_is_no_error() -> None:
    async def play(supervisor: Channel, orders: Orders) -> None:
        supervisor.close()
        orders.report({"type": "ready"})

    run(play)


def test_one_can_see_whether_there_is_an_order_without_taking_it() -> None:
    async def play(supervisor: Channel, orders: Orders) -> None:
        assert not orders.are_waiting()
        supervisor.send({"type": "begin"})
        assert orders.are_waiting()
        assert (await anext(orders))[0] == {"type": "begin"}
        assert not orders.are_waiting()
        supervisor.close()
        assert orders.are_waiting()

    run(play)
