"""A worker process: the gateway on passed-in sockets, kept up to date by control, ordered by the supervisor.

Invariants: it accepts only once the whole table is loaded and the supervisor says so; it serves on while control is away; when it is told
to drain, or the supervisor is gone, it accepts no more, streams end over ``drain.window_s`` and then the process does; orders are taken
until then.
"""

from __future__ import annotations

import headgate.runtime.plain_structlog  # noqa: F401

# isort: split
import asyncio
import os
import socket
import sys
import time
from dataclasses import dataclass

import structlog
import uvloop

from headgate.config.problem import ConfigurationError, Problem
from headgate.config.settings import Settings
from headgate.observe import log
from headgate.observe.access_log import AccessLog
from headgate.observe.counters import Counters
from headgate.plugins.catalog import Catalog
from headgate.runtime import collection
from headgate.runtime.link import Hello, open_worker_link
from headgate.runtime.listening import is_anyone_waiting, turn_away
from headgate.runtime.orders import Orders
from headgate.runtime.replica import Replica
from headgate.runtime.start import Start, ignore_stop_signals
from headgate.runtime.stream_commands import StreamCommands
from headgate.server.gateway import Gateway

_log = structlog.get_logger()
LOG_CLOSE_S = 0.1
TAILS_S = 0.2
"""How long control may take to hear of the end of streams that somebody looks at."""
HANDSHAKE_S = 0.1
"""How long connections that are being made when the sockets are closed may take until they can be accepted."""
FIRST_REQUEST_S = 0.05
"""How long a connection that was accepted last may take to be known to the gateway, and its request to be read."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How to end, in seconds; ``close``: whether the sockets end too, or others accept on them."""

    window_s: float
    idle_s: float
    close: bool


class Worker:
    """Serves ``gateway`` on the sockets of ``start``; ``orphaned``: how to end without an order."""

    def __init__(
        self, start: Start, orders: Orders, gateway: Gateway, access_log: AccessLog, *, orphaned: Drain
    ) -> None:
        self._hello = Hello(start.slot(), os.getpid(), time.monotonic())
        self._sockets = [socket.socket(fileno=descriptor) for descriptor in start.listen]
        self._orders = orders
        self._gateway = gateway
        self._access_log = access_log
        self._orphaned = orphaned
        self._drain: asyncio.Future[Drain] = asyncio.get_running_loop().create_future()
        mask = frozenset(name.lower() for name in gateway.settings.mask_query_keys)
        commands = StreamCommands(gateway, mask=mask, on_lost=gateway.accounts.tail_lost)
        self._replica = Replica(gateway, commands, on_loaded=self._loaded)
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Do what the supervisor orders until it orders the end, or is gone."""
        async with asyncio.TaskGroup() as tasks:
            obeying = tasks.create_task(self._obey(tasks), name="obey-supervisor")
            drain = await self._drain
            await self._leave(drain)
            obeying.cancel()
            await self._replica.flush(TAILS_S)
            await self._unlink()

    async def _obey(self, tasks: asyncio.TaskGroup) -> None:
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    await self._unlink()
                    link = await open_worker_link(descriptors[0])
                    self._following = tasks.create_task(self._replica.follow(link, self._hello), name="follow-control")
                case "accept":
                    await self._accept()
                case "reopen_access_log":
                    self._access_log.reopen()
                case "drain" if not self._drain.done():
                    self._drain.set_result(Drain(message["window_s"], message["idle_s"], message["close"]))
        _log.error("the supervisor is gone, draining")
        if not self._drain.done():
            self._drain.set_result(self._orphaned)

    async def _unlink(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None

    async def _loaded(self) -> None:
        collection.settle()
        self._orders.report({"type": "loaded"})

    async def _accept(self) -> None:
        if not self._drain.done():
            await self._gateway.listen(self._sockets)
            self._orders.report({"type": "ready"})

    async def _leave(self, drain: Drain) -> None:
        """End what is open; say so as soon as nothing new is accepted."""
        if drain.close:
            await self._accept_last()
        else:
            for listening in self._sockets:
                asyncio.get_running_loop().remove_reader(listening)
        await asyncio.sleep(FIRST_REQUEST_S)
        stopping = asyncio.create_task(
            self._gateway.stop(window_s=drain.window_s, idle_s=drain.idle_s), name="stop-gateway"
        )
        await asyncio.sleep(0)  # the gateway has let go of the sockets now
        for listening in self._sockets:
            listening.close()
        self._orders.report({"type": "draining"})
        await stopping

    async def _accept_last(self) -> None:
        """Accept what waits in the sockets, which would be reset when they close, and keep more from coming."""
        turn_away(self._sockets)
        await asyncio.sleep(HANDSHAKE_S)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + HANDSHAKE_S
        # Longer only if descriptors have run out; the kernel has no event for a queue that is empty.
        while is_anyone_waiting(self._sockets) and loop.time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0)


def _open_access_log(target: str, counters: Counters) -> AccessLog:
    try:
        return AccessLog(target, counters=counters)
    except OSError as error:
        problem = Problem("access_log", None, None, "", f"{target} cannot be opened: {error.strerror}")
        raise ConfigurationError([problem]) from None


async def _run(start: Start) -> int:
    orders = Orders(start.channel)
    try:
        settings = Settings.model_validate_json(start.read_settings())
        counters = Counters(start.counters[0])
        access_log = _open_access_log(settings.access_log, counters)
        loop = asyncio.get_running_loop()
        gateway = Gateway(
            loop=loop,
            settings=settings,
            counters=counters,
            access_log=access_log,
            catalog=Catalog(),
            worker=start.slot(),
        )
        orphaned = Drain(settings.drain.window_s, 0.0, close=True)
        await Worker(start, orders, gateway, access_log, orphaned=orphaned).run()
        access_log.close(LOG_CLOSE_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is told and replaces this process
        orders.report_failure(error)
        return 1
    return 0


def main(argument: str) -> int:
    """Run the worker that ``argument`` (a :class:`Start`) describes; give the exit status."""
    ignore_stop_signals()
    collection.hold_off()
    start = Start.from_argument(argument)
    log.configure(f"worker {start.slot()}")
    return uvloop.run(_run(start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
