from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.upstream.address_race import START_DELAY_S, first_connected

LONG_S = 20.0


class Attempts:
    """Attempts that take as long as said: a number is the seconds until one succeeds, an error what it fails with."""

    def __init__(self, **outcomes: float | Exception) -> None:
        self._outcomes = outcomes
        self.started: dict[str, float] = {}
        self.given_up: list[str] = []
        self.closed: list[str] = []
        self.resists: set[str] = set()

    async def connect(self, address: str) -> str:
        self.started[address] = asyncio.get_running_loop().time()
        outcome = self._outcomes[address]
        if isinstance(outcome, Exception):
            raise outcome
        try:
            await asyncio.sleep(outcome)
        except asyncio.CancelledError:
            if address not in self.resists:
                self.given_up.append(address)
                raise
        return address

    async def race(self) -> str:
        return await first_connected(list(self._outcomes), self.connect, self.closed.append)

    def delay(self, before: str, after: str) -> float:
        return self.started[after] - self.started[before]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(LONG_S / 2):
            await main()
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 -- what was cancelled ends unseen
                await asyncio.sleep(0)

    asyncio.run(inside())


def test_one_address_is_connected_to_without_a_race() -> None:
    async def main() -> None:
        tasks = len(asyncio.all_tasks())
        attempts = Attempts(a=0.0)
        assert await attempts.race() == "a"
        assert len(asyncio.all_tasks()) == tasks

    run(main)


def test_an_address_that_answers_in_time_is_the_only_one_tried() -> None:
    async def main() -> None:
        attempts = Attempts(a=0.0, b=0.0)
        assert await attempts.race() == "a"
        assert list(attempts.started) == ["a"]

    run(main)


def test_the_next_address_starts_while_the_one_before_is_silent() -> None:
    async def main() -> None:
        attempts = Attempts(a=LONG_S, b=LONG_S, c=0.0)
        assert await attempts.race() == "c"
        assert attempts.delay("a", "b") >= START_DELAY_S - 0.01
        assert attempts.delay("b", "c") >= START_DELAY_S - 0.01
        await asyncio.sleep(0)
        assert sorted(attempts.given_up) == ["a", "b"]
        assert attempts.closed == []

    run(main)


def test_a_slow_address_may_still_win() -> None:
    async def main() -> None:
        attempts = Attempts(a=1.5 * START_DELAY_S, b=LONG_S)
        assert await attempts.race() == "a"
        assert list(attempts.started) == ["a", "b"]

    run(main)


def test_an_address_that_fails_starts_the_next_at_once() -> None:
    async def main() -> None:
        attempts = Attempts(a=ConnectionRefusedError(), b=OSError(), c=0.0)
        assert await attempts.race() == "c"
        assert attempts.delay("a", "c") < START_DELAY_S

    run(main)


def test_the_last_failure_is_told_when_every_address_fails() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="last"):
            await Attempts(a=ConnectionRefusedError("first"), b=TimeoutError("last")).race()

    run(main)


def test_a_defect_ends_the_race() -> None:
    async def main() -> None:
        attempts = Attempts(a=LONG_S, b=ZeroDivisionError(), c=0.0)
        with pytest.raises(ZeroDivisionError):
            await attempts.race()
        await asyncio.sleep(0)
        assert (attempts.given_up, "c" in attempts.started) == (["a"], False)

    run(main)


def test_a_connection_that_is_made_too_late_is_closed() -> None:
    async def main() -> None:
        attempts = Attempts(a=LONG_S, b=0.0)
        attempts.resists = {"a"}
        assert await attempts.race() == "b"
        while not attempts.closed:  # noqa: ASYNC110 -- it is told to nobody else
            await asyncio.sleep(0)
        assert attempts.closed == ["a"]

    run(main)


def test_whoever_gives_the_race_up_gives_every_attempt_up() -> None:
    async def main() -> None:
        attempts = Attempts(a=LONG_S, b=LONG_S)
        race = asyncio.create_task(attempts.race())
        while len(attempts.started) < 2:  # noqa: ASYNC110 -- it is told to nobody else
            await asyncio.sleep(0.01)
        race.cancel()
        with pytest.raises(asyncio.CancelledError):
            await race
        await asyncio.sleep(0)
        assert sorted(attempts.given_up) == ["a", "b"]

    run(main)
