"""The control process: configuration, Admin API, metrics, and the links to the workers.

Invariants: workers serve on without it, and it starts again from the store alone; it touches nothing before the supervisor lets it begin,
as another control may still run; it stops last, when the workers have drained.
"""

from __future__ import annotations

import asyncio
import sys

import structlog
import uvloop

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.admin.ready import Readiness, create_ready_router
from headgate.admin.streams import stream_router
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
from headgate.runtime.stream_desk import StreamDesk
from headgate.server.generation import Generation

_log = structlog.get_logger()
JOIN_S = 2.0
"""How long workers that run already may take to join a new control before that serves without them."""
LOOK_S = 0.005
ORPHANS_S = 3.0
"""How long workers may take beyond ``drain.window_s`` to end when the supervisor is gone."""


class Control:
    """``source`` is published to the workers that the supervisor links; ``servers`` run from then on.

    ``readiness`` is what the supervisor says; ``stop_s``: how long workers may take to end without an order.
    """

    def __init__(
        self,
        orders: Orders,
        publisher: Publisher,
        source: Source,
        servers: list[AdminServer],
        *,
        readiness: Readiness,
        stop_s: float,
    ) -> None:
        self._orders = orders
        self._publisher = publisher
        self._source = source
        self._servers = servers
        self._readiness = readiness
        self._stop_s = stop_s
        self._tasks: list[asyncio.Task[None]] = []
        self._linked = 0
        self._serving: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Load, serve, and do what the supervisor orders until it orders the end, or is gone."""
        await self._source.load()
        async with asyncio.TaskGroup() as tasks:
            self._tasks.append(tasks.create_task(self._source.watch(), name="watch-configuration"))
            await self._obey(tasks)
            self._publisher.close()
            await asyncio.gather(*(server.stop() for server in self._servers))
            if self._serving:
                await asyncio.wait(self._serving)
            await self._source.close()
            for task in self._tasks:
                task.cancel()

    async def _serve(self) -> None:
        """Run the servers, once every worker that is linked already has what is stored: what a write answers is so in all of them."""
        try:
            async with asyncio.timeout(JOIN_S):
                while self._publisher.workers < self._linked:  # noqa: ASYNC110 - who joins sets no event
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            _log.warning("not all workers have joined", joined=self._publisher.workers, linked=self._linked)
        await self._publisher.publish([])
        async with asyncio.TaskGroup() as servers:
            for server in self._servers:
                servers.create_task(server.serve(), name=server.name)
            self._orders.report({"type": "ready"})

    async def _obey(self, tasks: asyncio.TaskGroup) -> None:
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    self._linked += 1
                    link = await open_control_link(descriptors[0])
                    self._tasks = [task for task in self._tasks if not task.done()]
                    self._tasks.append(tasks.create_task(self._publisher.serve(link), name=f"link-{message['worker']}"))
                case "readiness":
                    self._readiness.status = message["status"]
                case "serve":
                    self._serving = [tasks.create_task(self._serve(), name="serve")]
                case "stop":
                    return
        self._readiness.status = "draining"
        _log.error("the supervisor is gone, stopping after the workers")
        await self._publisher.wait_until_left(self._stop_s)


def _make_control(start: Start, settings: Settings, orders: Orders) -> Control:
    plugins = Catalog()
    for problem in plugins.problems:
        _log.error(problem)
    desk = StreamDesk()
    publisher = Publisher(lambda worker, pid: orders.report({"type": "silent", "worker": worker, "pid": pid}), desk)
    compiled = Compiled(Generation.empty(plugins, authorities=settings.authorities), publisher.publish)
    source: Source
    if settings.routes is None:
        source = StoreSource(SqliteStore(settings.data_dir), compiled)
    else:
        source = FileSource(settings.routes, plugins, compiled)
    readiness = Readiness()
    counters = [Counters(descriptor) for descriptor in start.counters]
    access = AccessRules(settings.admin_keys)
    admin = create_app(
        resources=source.resources,
        committer=source.queue,
        plugins=plugins,
        access=access,
        extra=[create_router(counters), create_ready_router(readiness), stream_router(desk, access)],
    )
    servers = [AdminServer(admin, start.admin, name="admin-server")]
    if start.metrics:
        servers.append(AdminServer(create_metrics_app(counters), start.metrics, name="metrics-server"))
    return Control(orders, publisher, source, servers, readiness=readiness, stop_s=settings.drain.window_s + ORPHANS_S)


async def _run(start: Start) -> int:
    orders = Orders(start.channel)
    try:
        settings = Settings.model_validate_json(start.read_settings())
        orders.report({"type": "loaded"})
        if not await _may_begin(orders):
            return 0
        await _make_control(start, settings, orders).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is told and says it, or replaces this process
        orders.report_failure(error)
        return 1
    return 0


async def _may_begin(orders: Orders) -> bool:
    """Wait until the control before this one has let go of the store; False if it never comes to that."""
    async for message, _ in orders:
        if message["type"] == "begin":
            return True
        if message["type"] == "stop":
            return False
    return False


def main(argument: str) -> int:
    """Run control as ``argument`` (a :class:`Start`) describes; give the exit status."""
    ignore_stop_signals()
    log.configure("control")
    return uvloop.run(_run(Start.from_argument(argument)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
