"""The control process: configuration, Admin API, metrics, and the links to the workers.

Invariants: workers serve on without it, and it starts again from the store alone; it touches nothing before the supervisor lets it begin,
as another control may still run; it stops last, when the workers have drained. What it serves over HTTP is loaded while it waits: for
its turn, or for the workers to take the table.
"""

from __future__ import annotations

import headgate.runtime.plain_structlog  # noqa: F401

# isort: split
import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
import uvloop

from headgate.config.settings import Settings
from headgate.config.sqlite_store import SqliteStore
from headgate.observe import log
from headgate.plugins.catalog import Catalog
from headgate.runtime import collection
from headgate.runtime.configuration import Compiled, FileSource, Source, StoreSource
from headgate.runtime.link import open_control_link
from headgate.runtime.orders import Orders
from headgate.runtime.publisher import Publisher
from headgate.runtime.start import Start, ignore_stop_signals
from headgate.runtime.stream_desk import StreamDesk
from headgate.server.generation import Generation

if TYPE_CHECKING:
    from headgate.admin.ready import Status
    from headgate.runtime.admin_site import AdminSite

_log = structlog.get_logger()
JOIN_S = 2.0
"""How long workers that run already may take to join a new control before that serves without them."""
LOOK_S = 0.005
ORPHANS_S = 3.0
"""How long workers may take beyond ``drain.window_s`` to end when the supervisor is gone."""


class Control:
    """``source`` is published to the workers that the supervisor links; what ``make_site`` gives runs from then on.

    ``make_site`` blocks, while it loads what it needs, and is called in a thread. ``stop_s``: how long workers may take to end
    without an order.
    """

    def __init__(
        self,
        orders: Orders,
        publisher: Publisher,
        source: Source,
        make_site: Callable[[], AdminSite],
        *,
        stop_s: float,
    ) -> None:
        self._orders = orders
        self._publisher = publisher
        self._source = source
        self._make_site = make_site
        self._stop_s = stop_s
        self._status: Status = "starting"
        self._site: AdminSite | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._linked = 0
        self._serving: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Load, serve, and do what the supervisor orders until it orders the end, or is gone."""
        async with asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(self._load(tasks), name="load-configuration")
            await self._obey(tasks, loading)
            self._publisher.close()
            loading.cancel()
            if self._site is not None:
                await asyncio.gather(*(server.stop() for server in self._site.servers))
            for serving in self._serving if self._site is None else ():
                serving.cancel()
            if self._serving:
                await asyncio.wait(self._serving)
            await self._source.close()
            for task in self._tasks:
                task.cancel()

    async def _load(self, tasks: asyncio.TaskGroup) -> None:
        """Publish the configuration; workers that are linked meanwhile take it piece by piece."""
        await self._source.load()
        self._publisher.complete()
        self._tasks.append(tasks.create_task(self._source.watch(), name="watch-configuration"))

    async def _serve(self, loading: asyncio.Task[None]) -> None:
        """Run the servers, once every worker that is linked already has what is stored: what a write answers is so in all of them."""
        await asyncio.wait([loading])
        if loading.cancelled() or loading.exception() is not None:
            return  # the process ends, and says why
        making = asyncio.create_task(asyncio.to_thread(self._make_site), name="make-admin-site")
        try:
            async with asyncio.timeout(JOIN_S):
                while self._publisher.workers < self._linked:  # noqa: ASYNC110 - who joins sets no event
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            _log.warning("not all workers have joined", joined=self._publisher.workers, linked=self._linked)
        await self._publisher.publish([])
        self._site = await making
        self._site.tell(self._status)
        collection.settle()
        async with asyncio.TaskGroup() as running:
            for server in self._site.servers:
                running.create_task(server.serve(), name=server.name)
            self._orders.report({"type": "ready"})

    async def _obey(self, tasks: asyncio.TaskGroup, loading: asyncio.Task[None]) -> None:
        async for message, descriptors in self._orders:
            match message["type"]:
                case "link":
                    self._linked += 1
                    link = await open_control_link(descriptors[0])
                    self._tasks = [task for task in self._tasks if not task.done()]
                    self._tasks.append(tasks.create_task(self._publisher.serve(link), name=f"link-{message['worker']}"))
                case "readiness":
                    self._tell(message["status"])
                case "serve":
                    self._serving = [tasks.create_task(self._serve(loading), name="serve")]
                case "stop":
                    return
        self._tell("draining")
        _log.error("the supervisor is gone, stopping after the workers")
        await self._publisher.wait_until_left(self._stop_s)

    def _tell(self, status: Status) -> None:
        self._status = status
        if self._site is not None:
            self._site.tell(status)


def _make_control(start: Start, settings: Settings, orders: Orders) -> Control:
    plugins = Catalog()
    for problem in plugins.problems:
        _log.error(problem)
    desk = StreamDesk()
    publisher = Publisher(
        lambda worker, pid: orders.report({"type": "silent", "worker": worker, "pid": pid}), desk, is_complete=False
    )
    compiled = Compiled(Generation.empty(plugins, authorities=settings.authorities), publisher.publish)
    source: Source
    if settings.routes is None:
        source = StoreSource(SqliteStore(settings.data_dir), compiled)
    else:
        source = FileSource(settings.routes, plugins, compiled)

    def make_site() -> AdminSite:
        return _load_site()(start, settings.admin_keys, source, plugins, desk)

    return Control(orders, publisher, source, make_site, stop_s=settings.drain.window_s + ORPHANS_S)


def _load_site() -> type[AdminSite]:
    from headgate.runtime.admin_site import AdminSite  # noqa: PLC0415 - as much again as all the rest, see the module

    return AdminSite


async def _run(start: Start) -> int:
    orders = Orders(start.channel)
    try:
        settings = Settings.model_validate_json(start.read_settings())
        if not orders.are_waiting():  # another control serves until then
            _load_site()
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
    collection.hold_off()
    log.configure("control")
    return uvloop.run(_run(Start.from_argument(argument)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
