from __future__ import annotations

import asyncio

import pytest
from tests.client import get
from tests.origin import Origin
from tests.running_gateway import RunningGateway, change, route


def test_it_serves_and_can_be_changed() -> None:
    with Origin() as origin, RunningGateway([route("1", "/hello", origin.address)]) as gateway:
        assert get(gateway.port, "/hello").body == b"hello world\n"
        gateway.apply(change("routes", "1", None))
        assert get(gateway.port, "/hello").status == 404
        assert gateway.record(count=2)["status"] == 404
        gateway.wait_counter("requests", 2)
        assert gateway.counter("responses", status="4xx") == 1


def test_an_exception_in_a_callback_fails_the_test() -> None:
    gateway = RunningGateway()
    gateway.__enter__()
    gateway.loop.call_soon_threadsafe(lambda: 1 / 0)
    with pytest.raises(AssertionError, match="division by zero"):
        gateway.__exit__(None, None, None)


def test_a_task_left_behind_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="left behind: <Task pending name='lost'"), RunningGateway() as gateway:
        gateway.call(lambda: keep(gateway.loop.create_task(asyncio.sleep(3600), name="lost")))


KEPT: list[asyncio.Task[None]] = []


def keep(task: asyncio.Task[None]) -> None:
    KEPT.append(task)


def test_settings_and_routes_that_are_none_are_told() -> None:
    with pytest.raises(AssertionError, match="did not serve"), RunningGateway([route("1", "no slash")]):
        pass
