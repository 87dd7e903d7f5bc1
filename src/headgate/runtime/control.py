"""The control process: configuration, Admin API, metrics, and the links to the workers.

Invariants: workers serve on without it, and it starts again from the store alone; it stops last, when the workers have drained.
"""

from __future__ import annotations

import asyncio
import sys

import structlog
import uvloop

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.config.settings import Settings
from headgate.config.sqlite_store import SqliteStore
from headgate.observe import log
from headgate.observe.counters import Counters
from headgate.observe.metrics import create_metrics_app, create_router
from headgate.plugins.catalog import Catalog
from headgate.runtime.admin_server import AdminServer
from headgate.runtime.configuration import Compiled, FileSource, Source, StoreSource
from headgate.runtime.link import open_control_link
from headgate.runtime.orders import Orders
from headgate.runtime.publisher import Publisher
from headgate.runtime.start import Start, ignore_stop_signals
from headgate.server.generation import Generation

_log = structlog.get_logger()


class Control:
    """``source`` is published to the workers that the supervisor links; ``servers`` run from the first load on."""

    def __init__(
        self, orders: Orders, publisher: Publisher, source: Source, servers: list[AdminServer], *, stop_s: float
    ) -> None:
        self._orders = orders
        self._publisher = publisher
        self._source = source
        self._servers = servers
        self._stop_s = stop_s
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Load, serve, and do what the supervisor orders until it orders the end, or is gone."""
        await self._source.load()
        async with asyncio.TaskGroup() as tasks:
            serving = [tasks.create_task(server.serve(), name=server.name) for server in self._servers]
            self._tasks.append(tasks.create_task(self._source.watch(), name="watch-configuration"))
            self._orders.report({"type": "ready"})
            await self._obey(tasks)
            for server in self._servers:
                server.stop()
            await asyncio.wait(serving)
            await self._source.close()
            for task in self._tasks:
                task.cancel()

    async def _obey(self, tasks: asyncio.TaskGroup) -> None:
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    link = await open_control_link(descriptors[0])
                    self._tasks = [task for task in self._tasks if not task.done()]
                    self._tasks.append(tasks.create_task(self._publisher.serve(link), name=f"link-{message['worker']}"))
                case "stop":
                    return
        _log.error("the supervisor is gone, stopping after the workers")
        await self._publisher.wait_until_left(self._stop_s)


def _make_control(start: Start, settings: Settings, orders: Orders) -> Control:
    plugins = Catalog()
    for problem in plugins.problems:
        _log.error(problem)
    publisher = Publisher(lambda worker, pid: orders.report({"type": "silent", "worker": worker, "pid": pid}))
    compiled = Compiled(Generation.empty(plugins, authorities=settings.authorities), publisher.publish)
    source: Source
    if settings.routes is None:
        source = StoreSource(SqliteStore(settings.data_dir), compiled)
    else:
        source = FileSource(settings.routes, plugins, compiled)
    counters = [Counters(descriptor) for descriptor in start.counters]
    admin = create_app(
        resources=source.resources,
        committer=source.queue,
        plugins=plugins,
        access=AccessRules(settings.admin_keys),
        extra=[create_router(counters)],
    )
    servers = [AdminServer(admin, start.admin, name="admin-server")]
    if start.metrics:
        servers.append(AdminServer(create_metrics_app(counters), start.metrics, name="metrics-server"))
    return Control(orders, publisher, source, servers, stop_s=settings.stop.within_s)


async def _run(start: Start) -> int:
    orders = Orders(start.channel)
    try:
        settings = Settings.model_validate_json(start.read_settings())
        await _make_control(start, settings, orders).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is told and says it, or replaces this process
        orders.report_failure(error)
        return 1
    return 0


def main(argument: str) -> int:
    """Run control as ``argument`` (a :class:`Start`) describes; give the exit status."""
    ignore_stop_signals()
    log.configure("control")
    return uvloop.run(_run(Start.from_argument(argument)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
