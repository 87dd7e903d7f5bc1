from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from headgate.admin.answers import Outcome
from headgate.config.change import Change
from headgate.config.routes_file import RoutesFileError
from headgate.config.sqlite_store import SqliteStore
from headgate.config.store import Item
from headgate.config.validation import InvalidConfiguration
from headgate.plugins.catalog import Catalog
from headgate.runtime.configuration import SLICE_CHANGES, Compiled, FileSource, StoreSource
from headgate.server.generation import Generation

CATALOG = Catalog()


def document(uri: str = "/a", **more: Any) -> dict[str, Any]:
    return {"uri": uri, "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}, **more}


def route(name: str, **more: Any) -> Change:
    return Change("routes", name, document(**more), 1, 1)


class Published:
    """A publish that keeps what it is given, as ``+id`` and ``-id``."""

    def __init__(self) -> None:
        self.steps: list[list[str]] = []
        self.compiled = Compiled(Generation.empty(CATALOG), self._publish)

    async def _publish(self, changes: Sequence[Change]) -> None:
        self.steps.append([("-" if change.value is None else "+") + change.id for change in changes])


def test_check_changes_nothing_and_publish_does() -> None:
    published = Published()
    published.compiled.check([route("1")])
    with pytest.raises(InvalidConfiguration):
        published.compiled.check([route("1", plugins={"no-such": {}})])
    assert published.steps == []
    asyncio.run(published.compiled.publish([route("1")]))
    assert published.steps == [["+1"]]


def test_what_does_not_compile_is_left_out_and_the_rest_is_published() -> None:
    published = Published()
    bad = route("2", plugins={"no-such": {}})
    assert asyncio.run(published.compiled.publish_good([route("1"), bad, route("3")])) == [bad]
    assert published.steps == [["+1", "+3"]]
    assert asyncio.run(published.compiled.publish_good([bad])) == [bad]
    assert published.steps == [["+1", "+3"]]


def test_a_store_is_published_whole_and_then_by_its_queue(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "data")
        store.commit([Item("routes", "1", document(), 1, 1)], 1)
        published = Published()
        source = StoreSource(store, published.compiled)
        await source.load()
        write = Item("routes", "2", document("/b"), 2, 2)
        await source.queue.commit(lambda _: Outcome(201, writes=[write]))
        refused = await source.queue.commit(
            lambda _: Outcome(201, writes=[Item("routes", "3", document(plugins={"no-such": {}}), 3, 3)])
        )
        assert refused.status == 400
        assert published.steps == [["+1"], ["+2"]]
        await source.close()

    uvloop.run(main())
    again = SqliteStore(tmp_path / "data")
    assert [item.id for item in again.load()] == ["1", "2"]
    again.close()


def test_what_expires_in_a_store_is_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "data")
        store.commit([Item("routes", "1", document(), 1, 1, expires_at=1.0), Item("routes", "2", document(), 2, 2)], 2)
        deleted = asyncio.Event()

        async def publish(changes: Sequence[Change]) -> None:
            if changes[0] == Change("routes", "1", None):
                deleted.set()

        source = StoreSource(store, Compiled(Generation.empty(CATALOG), publish))
        await source.load()
        watching = asyncio.create_task(source.watch())
        async with asyncio.timeout(20):
            await deleted.wait()
        watching.cancel()
        await source.close()

    uvloop.run(main())


class File:
    """A routes file of one route per uri, replaced by renaming."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "routes.yaml"

    def write(self, *uris: str, end: str = "#END") -> None:
        items = [
            f"  - {{id: {uri[1:]}, uri: {uri}, upstream: {{type: roundrobin, nodes: {{'127.0.0.1:1': 1}}}}}}\n"
            for uri in uris
        ]
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"routes:\n{''.join(items)}{end}\n")
        fresh.rename(self.path)


def test_a_file_publishes_its_differences(tmp_path: Path) -> None:
    async def main() -> None:
        file, published = File(tmp_path), Published()
        file.write("/a", "/b")
        source = FileSource(file.path, CATALOG, published.compiled)
        await source.load()
        file.write("/c", "/b")  # b has another number in the file now, and is the same
        await source._take()
        await source._take()
        assert published.steps == [["+a", "+b"], ["+c", "-a"]]
        assert sorted(item.id for item in source.resources.all("routes")) == ["b", "c"]

    uvloop.run(main())


def test_a_broken_file_is_no_change_once_there_was_a_good_one(tmp_path: Path) -> None:
    async def main() -> None:
        file, published = File(tmp_path), Published()
        source = FileSource(file.path, CATALOG, published.compiled)
        with pytest.raises(RoutesFileError):
            await source.load()
        file.write("/a")
        await source.load()
        file.write("/b", end="")
        with pytest.raises(RoutesFileError):
            await source._take()
        assert published.steps == [["+a"]]
        assert [item.id for item in source.resources.all("routes")] == ["a"]

    uvloop.run(main())


class CountingCatalog(Catalog):
    """Counts how often something is validated."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def check(self, name: str, conf: object) -> None:
        self.checks += 1
        super().check(name, conf)


def test_what_was_checked_is_published_without_compiling_it_again() -> None:
    catalog = CountingCatalog()
    live: list[list[str]] = []

    async def publish(changes: Sequence[Change]) -> None:
        live.append([change.id for change in changes])

    async def main() -> None:
        compiled = Compiled(Generation.empty(catalog), publish)
        compiled.check([route("1", plugins={"sse": {}})])
        await compiled.publish([route("1", plugins={"sse": {}})])
        assert catalog.checks == 1
        compiled.check([route("2", plugins={"sse": {}})])
        await compiled.publish([route("3", plugins={"sse": {}})])  # another than was checked last
        assert catalog.checks == 3
        compiled.check([route("4", plugins={"sse": {}})])
        await compiled.publish([route("5", plugins={"sse": {}})])
        await compiled.publish([route("4", plugins={"sse": {}})])  # no longer on top of what it was checked on
        assert catalog.checks == 6
        assert live == [["1"], ["3"], ["5"], ["4"]]
        assert sorted(compiled._generation.entries) == ["1", "3", "4", "5"]

    asyncio.run(main())


def test_the_bad_ones_among_many_are_found_by_few_attempts() -> None:
    catalog, published = CountingCatalog(), Published()
    published.compiled = Compiled(Generation.empty(catalog), published._publish)
    changes = [route(str(number), plugins={"sse": {}}) for number in range(SLICE_CHANGES)]
    bad = [route(name, plugins={"sse": {"no-such": 1}}) for name in ("x", "y", "z")]
    mixed = [bad[0], *changes[:100], bad[1], *changes[100:], bad[2]]
    assert asyncio.run(published.compiled.publish_good(mixed)) == bad
    assert [step for steps in published.steps for step in steps] == [f"+{change.id}" for change in changes]
    assert catalog.checks < 10 * len(mixed)  # each with all others before it would be hundreds of times as many


def test_many_are_published_piece_by_piece() -> None:
    published = Published()
    changes = [route(str(number)) for number in range(2 * SLICE_CHANGES + 1)]
    assert asyncio.run(published.compiled.publish_good(changes)) == []
    assert [len(step) for step in published.steps] == [SLICE_CHANGES, SLICE_CHANGES, 1]
