"""A worker process: the gateway on passed-in sockets, kept up to date by control, ordered by the supervisor.

Invariants: it accepts only once the whole table is loaded; it serves on while control is away; when it is told to drain, or the
supervisor is gone, streams end within ``stop.within_s`` and then the process does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys

import structlog
import uvloop

from headgate.config.problem import ConfigurationError, Problem
from headgate.config.settings import Settings
from headgate.observe import log
from headgate.observe.access_log import AccessLog
from headgate.observe.counters import Counters
from headgate.plugins.catalog import Catalog
from headgate.runtime.link import Hello, open_worker_link
from headgate.runtime.orders import Orders
from headgate.runtime.replica import Replica
from headgate.runtime.start import Start, ignore_stop_signals
from headgate.server.gateway import Gateway

_log = structlog.get_logger()
LOG_CLOSE_S = 0.1


class Worker:
    """Serves ``gateway`` on the sockets of ``start``; ``stop_s``: how long streams may take to end without an order."""

    def __init__(self, start: Start, orders: Orders, gateway: Gateway, access_log: AccessLog, *, stop_s: float) -> None:
        self._hello = Hello(start.slot(), os.getpid())
        self._sockets = [socket.socket(fileno=descriptor) for descriptor in start.listen]
        self._orders = orders
        self._gateway = gateway
        self._access_log = access_log
        self._stop_s = stop_s
        self._replica = Replica(gateway, on_loaded=self._accept)
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Do what the supervisor orders until it orders the end, or is gone."""
        async with asyncio.TaskGroup() as tasks:
            await self._obey(tasks)
            await self._gateway.stop(self._stop_s)
            await self._unlink()

    async def _obey(self, tasks: asyncio.TaskGroup) -> None:
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    await self._unlink()
                    link = await open_worker_link(descriptors[0])
                    self._following = tasks.create_task(self._replica.follow(link, self._hello), name="follow-control")
                case "reopen_access_log":
                    self._access_log.reopen()
                case "drain":
                    self._stop_s = message["within_s"]
                    return
        _log.error("the supervisor is gone, draining")

    async def _unlink(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None

    async def _accept(self) -> None:
        # The table and all code live as long as the process: a collection need not look at them again.
        gc.collect()
        gc.freeze()
        await self._gateway.listen(self._sockets)
        self._orders.report({"type": "ready"})


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
        await Worker(start, orders, gateway, access_log, stop_s=settings.stop.within_s).run()
        access_log.close(LOG_CLOSE_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is told and replaces this process
        orders.report_failure(error)
        return 1
    return 0


def main(argument: str) -> int:
    """Run the worker that ``argument`` (a :class:`Start`) describes; give the exit status."""
    ignore_stop_signals()
    start = Start.from_argument(argument)
    log.configure(f"worker {start.slot()}")
    return uvloop.run(_run(start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
