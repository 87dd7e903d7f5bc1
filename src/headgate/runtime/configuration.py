"""What control holds of the configuration, and how a change of it gets to the workers.

Two sources, one interface (:class:`Source`): the store with its write queue, or a routes file that is looked at each second. Invariant: what
is published compiles; an item that does not is logged, and stays out, while everything else is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from headgate.admin.resources import Resources
from headgate.admin.write_queue import WriteQueue
from headgate.config.change import KINDS, Change, Kind
from headgate.config.routes_file import RoutesFileError, read_routes
from headgate.config.store import Store
from headgate.config.validation import InvalidConfiguration, PluginCatalog
from headgate.server.generation import Generation

WATCH_S = 1.0
SLICE_CHANGES = 250
"""How many changes are compiled in one turn of the loop: about 15 ms."""

_log = structlog.get_logger()
Publish = Callable[[Sequence[Change]], Awaitable[None]]


class Compiled:
    """The generation that control compiled, equal to the workers'. ``publish`` brings changes to these.

    What was checked last is kept: published as it was checked, it is not compiled again.
    """

    def __init__(self, empty: Generation, publish: Publish) -> None:
        self._generation = empty
        self._publish = publish
        self._checked: _Checked | None = None

    def check(self, changes: Sequence[Change]) -> None:
        """Raise InvalidConfiguration if what is live would not compile with ``changes``."""
        origin = self._generation
        self._checked = _Checked(origin, list(changes), origin.with_changes(changes))

    async def publish(self, changes: Sequence[Change]) -> None:
        """Make checked ``changes`` live everywhere; return when they are."""
        checked, self._checked = self._checked, None
        if checked is not None and checked.origin is self._generation and checked.changes == list(changes):
            self._generation = checked.generation
        else:
            self._generation = self._generation.with_changes(changes)
        await self._publish(changes)

    async def publish_good(self, changes: Sequence[Change]) -> list[Change]:
        """Make those of ``changes`` live that compile; log and give the others.

        Many are compiled and published piece by piece, the loop turning in between: workers take one while the next is compiled.
        """
        bad: list[Change] = []
        for start in range(0, len(changes), SLICE_CHANGES):
            good, wrong = self._sort(changes[start : start + SLICE_CHANGES])
            bad += wrong
            if good:
                await self.publish(good)
            await asyncio.sleep(0)
        return bad

    def _sort(self, changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
        """Try all together; what fails is halved and tried again, until what is wrong stands alone."""
        generation = self._generation
        good: list[Change] = []
        bad: list[Change] = []
        waiting = [list(changes)]
        while waiting:
            part = waiting.pop()
            try:
                generation = generation.with_changes(part)
                good += part
            except InvalidConfiguration as error:
                if len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
                _log.error("left out", kind=part[0].kind, id=part[0].id, error=error.text)
                bad += part
        self._checked = _Checked(self._generation, good, generation)
        return good, bad


@dataclass(frozen=True, slots=True)
class _Checked:
    """``generation`` is ``origin`` with ``changes``."""

    origin: Generation
    changes: list[Change]
    generation: Generation


class StoreSource:
    """The configuration in ``store``, written through the Admin API."""

    def __init__(self, store: Store, compiled: Compiled) -> None:
        self._store = store
        self._compiled = compiled
        self.resources = Resources(store.load(), store.counter())
        self.queue = WriteQueue(self.resources, store, compile_check=compiled.check, publish=compiled.publish)

    async def load(self) -> None:
        """Publish what is stored."""
        await self._compiled.publish_good(self.resources.changes())

    async def watch(self) -> None:
        """Delete what has expired (``ttl``), forever; looked at each second, as etcd does with its leases."""
        while True:
            await asyncio.sleep(WATCH_S)
            expiry = self.resources.next_expiry()
            if expiry is not None and expiry <= time.time():
                await _go_on(self.queue.expire())

    async def close(self) -> None:
        """Finish the writes that wait and close the store."""
        await self.queue.close()
        self._store.close()


class FileSource:
    """The configuration in a routes file; the Admin API only reads it."""

    def __init__(self, path: Path, plugins: PluginCatalog, compiled: Compiled) -> None:
        self._path = path
        self._plugins = plugins
        self._compiled = compiled
        self._stamp: tuple[int, ...] | None = None
        self._served: dict[tuple[Kind, str], Change] = {}
        self.resources = Resources()
        self.queue = None

    async def load(self) -> None:
        """Read and publish the file. Raises RoutesFileError if it is broken as a whole."""
        self._stamp = self._look()
        await self._take()

    async def watch(self) -> None:
        """Read the file again whenever it has changed, forever. One that is broken as a whole changes nothing."""
        while True:
            await asyncio.sleep(WATCH_S)
            stamp = self._look()
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            await _go_on(self._take())

    async def close(self) -> None:
        """Nothing is held open."""

    def _look(self) -> tuple[int, ...] | None:
        """Give what tells one state of the file from another, None if it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    async def _take(self) -> None:
        result = await asyncio.to_thread(read_routes, self._path, self._plugins)
        for problem in result.problems:
            _log.error("in the routes file, left out", problem=str(problem))
        wanted = {(change.kind, change.id): change for change in result.changes}
        gone = sorted(self._served.keys() - wanted.keys(), key=lambda key: KINDS.index(key[0]), reverse=True)
        fresh = [change for key, change in wanted.items() if not _same(self._served.get(key), change)]
        bad = await self._compiled.publish_good([*fresh, *(Change(kind, name, None) for kind, name in gone)])
        for change in bad:  # what was served under this id is served on
            wanted.pop((change.kind, change.id), None)
            if old := self._served.get((change.kind, change.id)):
                wanted[change.kind, change.id] = old
        self._served = wanted
        self.resources.replace_all(list(wanted.values()))
        _log.info("routes file taken", items=len(wanted), changed=len(fresh), deleted=len(gone))


async def _go_on(step: Awaitable[None]) -> None:
    """Take a step of a watch; one that fails is logged, as what was live before stays live."""
    try:
        await step
    except RoutesFileError as error:
        for problem in error.problems:
            _log.error("routes file not taken, serving on with what it said before", problem=str(problem))
    except Exception:  # noqa: BLE001 - a defect in one change must not end the watch
        _log.exception("change not taken")


def _same(old: Change | None, new: Change) -> bool:
    """Compare documents: the numbers of a file's items shift when one is put before them, which changes nothing."""
    return old is not None and old.value == new.value


Source = StoreSource | FileSource
