from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.upstream.exchanges import RUNNERS, Run, until

from headgate.errors import GatewayError
from headgate.upstream.resolve import Resolver


class Names:
    """A name service in place of ``getaddrinfo``: the one thing of the system's that a test cannot arrange for real."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def getaddrinfo(self, host: str, port: int | None, **options: Any) -> list[tuple[Any, ...]]:
        del options
        self.asked.append(host)
        if self.gate is not None:
            await self.gate.wait()
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port or 0)) for one in self.addresses[host]]


def with_names(test: Callable[[Names], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        names = Names()
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
        await test(names)

    asyncio.run(main())


@RUNNERS
def test_real_names(run: Run) -> None:
    async def main() -> None:
        resolver = Resolver(asyncio.get_running_loop())
        addresses = await resolver.resolve("localhost")
        assert set(addresses) <= {"127.0.0.1", "::1"}
        assert addresses
        for name in ("no-such-host.invalid", "a" * 64 + ".example", "\udcff.example", "a..b"):
            with pytest.raises(GatewayError) as failed:
                await resolver.resolve(name)
            assert (failed.value.code, failed.value.status, failed.value.retryable) == ("unresolvable", 503, True)
            assert failed.value.source == "upstream"

    run(main())


def test_an_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        resolver = Resolver(asyncio.get_running_loop())
        for address in ("192.0.2.1", "::1", "2001:db8::1", "fe80::1%eth0"):
            assert await resolver.resolve(address) == [address]
        assert names.asked == []

    with_names(test, monkeypatch)


def test_each_time_the_next_address_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        names.addresses["a.example"] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]
        resolver = Resolver(asyncio.get_running_loop())
        seen = [await resolver.resolve("a.example") for _ in range(4)]
        assert [addresses[0][-1] for addresses in seen] == ["1", "2", "3", "1"]
        assert all(sorted(addresses) == sorted(seen[0]) for addresses in seen)
        assert len(seen[0]) == 3
        assert names.asked == ["a.example"]

    with_names(test, monkeypatch)


def test_look_ups_at_the_same_time_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        names.addresses["a.example"] = ["192.0.2.1"]
        names.gate = asyncio.Event()
        resolver = Resolver(asyncio.get_running_loop())
        waiting = [asyncio.create_task(resolver.resolve("a.example")) for _ in range(5)]
        await until(lambda: bool(names.asked))
        waiting[0].cancel()  # one of them leaving does not take the answer from the others
        names.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [["192.0.2.1"]] * 4
        assert names.asked == ["a.example"]

    with_names(test, monkeypatch)


def test_a_failure_reaches_all_who_wait_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        resolver = Resolver(asyncio.get_running_loop())
        results = await asyncio.gather(*(resolver.resolve("a.example") for _ in range(3)), return_exceptions=True)
        assert [isinstance(result, GatewayError) for result in results] == [True] * 3
        assert names.asked == ["a.example"]
        names.addresses["a.example"] = ["192.0.2.1"]
        assert await resolver.resolve("a.example") == ["192.0.2.1"]

    with_names(test, monkeypatch)


def test_an_old_answer_is_given_while_a_new_one_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        names.addresses["a.example"] = ["192.0.2.1"]
        resolver = Resolver(asyncio.get_running_loop(), interval_s=0.0)
        assert await resolver.resolve("a.example") == ["192.0.2.1"]
        names.addresses["a.example"] = ["192.0.2.9"]
        names.gate = asyncio.Event()
        assert await resolver.resolve("a.example") == ["192.0.2.1"]
        assert await resolver.resolve("a.example") == ["192.0.2.1"]
        names.gate.set()
        await until(lambda: not resolver._pending)
        assert await resolver.resolve("a.example") == ["192.0.2.9"]

    with_names(test, monkeypatch)


def test_an_old_answer_is_kept_when_the_new_look_up_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(names: Names) -> None:
        names.addresses["a.example"] = ["192.0.2.1"]
        resolver = Resolver(asyncio.get_running_loop(), interval_s=0.05)
        loop = asyncio.get_running_loop()
        assert await resolver.resolve("a.example") == ["192.0.2.1"]
        names.addresses.clear()
        for asked in (2, 3):
            expires = resolver._answers["a.example"].expires
            await until(lambda expires=expires: loop.time() >= expires)  # type: ignore[misc]  # a default binds the value
            assert await resolver.resolve("a.example") == ["192.0.2.1"]
            await until(lambda: not resolver._pending)
            assert len(names.asked) == asked
            assert resolver._answers["a.example"].expires > expires  # the next attempt waits as long again

    with_names(test, monkeypatch)
