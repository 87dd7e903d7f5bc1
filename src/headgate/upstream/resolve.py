"""Names to addresses, without blocking the loop.

Answers are kept for ``interval_s``; after that the old answer is still given while a new one is fetched, and kept
when the new look-up fails: a resolver that is away for a minute takes no upstream down.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache

from headgate.errors import GatewayError, Source


@dataclass(slots=True)
class _Answer:
    addresses: list[str]
    expires: float
    turn: int = 0


class Resolver:
    """A cache over ``getaddrinfo``, one per worker."""

    __slots__ = ("_answers", "_interval_s", "_loop", "_pending")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, interval_s: float = 30.0) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._answers: dict[str, _Answer] = {}
        self._pending: dict[str, asyncio.Task[list[str]]] = {}

    async def resolve(self, host: str) -> list[str]:
        """Give the addresses of a name, each time beginning with the next one; an address gives itself.

        Raises GatewayError ``unresolvable`` (503) when there is no answer, old or new.
        """
        if _is_address(host):
            return [host]
        answer = self._answers.get(host)
        if answer is None:
            await asyncio.shield(self._look_up(host))
            answer = self._answers[host]
        elif self._loop.time() >= answer.expires:
            self._look_up(host)
        answer.turn += 1
        first = answer.turn % len(answer.addresses)
        return answer.addresses[first:] + answer.addresses[:first]

    def _look_up(self, host: str) -> asyncio.Task[list[str]]:
        task = self._pending.get(host)
        if task is None:
            task = self._loop.create_task(self._fetch(host), name=f"resolve {host}")
            self._pending[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        return task

    def _forget(self, host: str, task: asyncio.Task[list[str]]) -> None:
        del self._pending[host]
        if not task.cancelled() and task.exception() is not None and host in self._answers:
            self._answers[host].expires = self._loop.time() + self._interval_s

    async def _fetch(self, host: str) -> list[str]:
        try:
            found = await self._loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise GatewayError(
                "unresolvable", source=Source.UPSTREAM, status=503, retryable=True, detail=f"{host}: {error}"
            ) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        self._answers[host] = _Answer(addresses, self._loop.time() + self._interval_s, turn=-1)
        return addresses


@lru_cache(maxsize=1024)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
