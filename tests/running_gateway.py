"""A real gateway for a test: one worker's data plane on a loop of its own, in a thread of its own.

    with Origin() as origin, RunningGateway([route("1", "/hello", origin.address)]) as gateway:
        assert get(gateway.port, "/hello").body == b"hello world\\n"
        assert gateway.record()["ending"] == "complete"

Leaving the block stops the gateway as a worker stops and fails the test if anything in the loop went wrong unseen: an
exception in a callback, a task that died, a connection or task left behind.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from headgate.config.change import Change, Kind
from headgate.config.settings import Settings
from headgate.observe.access_log import AccessLog
from headgate.observe.counters import SLOTS, Counters
from headgate.plugins.catalog import Catalog
from headgate.server.gateway import Gateway

DEADLINE_S = 30.0

Found = TypeVar("Found")
Record = dict[str, Any]


def eventually(look: Callable[[], Found | None], what: str = "it", *, within_s: float = DEADLINE_S) -> Found:
    """Look until what is found is true, and give it; for states that wake nobody."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: still {found!r} after {within_s} s"
        threading.Event().wait(0.005)
    return found


def change(kind: Kind, id_: str, value: Mapping[str, Any] | None, *, index: int = 0) -> Change:
    """Make a change as a store sends it."""
    return Change(kind, id_, None if value is None else dict(value), index, index)


def upstream(*addresses: str, **fields: Any) -> dict[str, Any]:
    """Make an upstream document with nodes of equal weight."""
    return {"type": "roundrobin", "nodes": dict.fromkeys(addresses, 1), **fields}


def route(id_: str, uri: str, *addresses: str, **fields: Any) -> Change:
    """Make a route to these nodes; ``fields`` are the route's, ``upstream`` among them replaces the nodes."""
    where = {} if not addresses else {"upstream": upstream(*addresses)}
    return change("routes", id_, {"uri": uri, **where, **fields})


class RunningGateway:
    """See the module. ``settings`` override the defaults; ``port`` is the listener's."""

    def __init__(
        self, changes: Iterable[Change] = (), *, catalog: Catalog | None = None, backlog: int = 1024, **settings: Any
    ) -> None:
        self._changes = list(changes)
        self._catalog = catalog
        self._backlog = backlog
        self._settings = settings
        self._trouble: list[str] = []
        self._started = threading.Event()
        self._records: list[Record] = []
        self._log_position = 0
        self._stopped = False
        self.port = 0
        self.gateway: Gateway
        self.loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "access.log"
        self._counters = Counters.private()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), name="gateway", daemon=True)
        self._thread.start()
        assert self._started.wait(DEADLINE_S)
        if not self.port:
            self._thread.join()
            self._folder.cleanup()
            raise AssertionError(self._trouble)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stopped:
            self.stop(window_s=0.0)
        self.loop.call_soon_threadsafe(self._done.set)
        self._thread.join(DEADLINE_S)
        self._read_log()
        self._folder.cleanup()
        self._counters.close()
        if kind is None:
            assert not self._trouble, "\n".join(self._trouble)

    # What the test does.

    def apply(self, *changes: Change) -> None:
        """Apply changes as a worker does; they are live when this returns."""
        self.call(lambda: self.gateway.apply(changes))

    def stop(self, *, window_s: float, idle_s: float = 0.0) -> float:
        """Stop the gateway, and say how many seconds that took."""
        self._stopped = True
        began = time.monotonic()
        self.await_(self.gateway.stop(window_s=window_s, idle_s=idle_s))
        return time.monotonic() - began

    def call(self, function: Callable[[], Found]) -> Found:
        """Call a function in the gateway's loop and give its result."""

        async def inside() -> Found:
            return function()

        return self.await_(inside())

    def await_(self, work: Coroutine[Any, Any, Found]) -> Found:
        """Run a coroutine in the gateway's loop and give its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_S)

    # What the test sees.

    def records(self, event: str | None = None) -> list[Record]:
        """Give the access log's records so far, all or those of one event."""
        self._read_log()
        return [one for one in self._records if event in {None, one["event"]}]

    def record(self, index: int = -1, *, event: str = "request_ended", count: int = 1) -> Record:
        """Wait for ``count`` records of an event and give one of them."""
        eventually(lambda: len(self.records(event)) >= count, f"{count} of {event} among {self._records}")
        return self.records(event)[index]

    def ending(self, *, event: str = "request_ended", count: int = 1) -> str:
        """Wait for the record of an exchange's end and give its ending."""
        ending: str = self.record(event=event, count=count)["ending"]
        return ending

    def counter(self, name: str, **labels: str) -> int:
        """Give a counter's value now."""
        number = next(
            index for index, slot in enumerate(SLOTS) if slot.name == name and slot.labels == tuple(labels.items())
        )
        value: int = self._counters.slots[number]
        return value

    def wait_counter(self, name: str, value: int, **labels: str) -> None:
        """Wait until a counter has a value."""
        eventually(lambda: self.counter(name, **labels) == value, f"{name} {labels}, wanted {value}")

    def open_descriptors(self) -> int:
        """Give how many descriptors this process holds, the test's own included."""
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    # The gateway's thread.

    async def _run(self) -> None:
        self._done = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._note_trouble)
        values = {"listen": ["127.0.0.1:0"], "metrics": "off", "workers": 1, **self._settings}
        access_log = AccessLog(str(self._log), counters=self._counters)
        try:
            await self._serve(Settings(**values), access_log)
        except Exception as error:  # noqa: BLE001 - told in the test's thread
            self._trouble.append(f"the gateway did not serve: {error!r}")
        finally:
            access_log.close()
            self._started.set()

    async def _serve(self, settings: Settings, access_log: AccessLog) -> None:
        self.gateway = Gateway(
            loop=self.loop, settings=settings, counters=self._counters, access_log=access_log, catalog=self._catalog
        )
        await self.gateway.load(self._changes)
        with socket.create_server(("127.0.0.1", 0), backlog=self._backlog) as listening:
            await self.gateway.listen([listening])
            self.port = listening.getsockname()[1]
            self._started.set()
            await self._done.wait()
            await self._look_for_leaks()

    async def _look_for_leaks(self) -> None:
        for _ in range(200):  # what was cancelled or aborted last needs a few turns of the loop
            if len(asyncio.all_tasks()) == 1 and not self.gateway._connections:
                break
            await asyncio.sleep(0.005)
        self._trouble += [
            f"left behind: {task!r}" for task in asyncio.all_tasks() if task is not asyncio.current_task()
        ]
        self._trouble += [f"left behind: {one!r}" for one in self.gateway._connections]
        self._trouble += [f"left open: {one!r}" for one in self.gateway.streams.values()]
        if self.gateway.pools.usage.open:
            self._trouble.append(f"left behind: {self.gateway.pools.usage}")

    def _note_trouble(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        self._trouble.append(f"{context.get('message')}: {context.get('exception')!r} {context}")

    def _read_log(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._log_position)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._log_position += len(whole + newline)
        self._records += [json.loads(line) for line in whole.splitlines()]
