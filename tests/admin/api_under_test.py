"""The Admin API as control runs it, in this process: a real store, a real queue, requests through ASGI.

``published`` records what went to the workers, ``compiled`` what was checked before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from fastapi import APIRouter

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.admin.resources import Resources
from headgate.admin.write_queue import WriteQueue
from headgate.config.change import Change
from headgate.config.sqlite_store import SqliteStore
from headgate.plugins.catalog import Catalog

BASE = "http://127.0.0.1:9180/apisix/admin"
CATALOG = Catalog()

NODES = {"type": "roundrobin", "nodes": {"127.0.0.1:8080": 1}}
ROUTE: dict[str, Any] = {"uri": "/index.html", "upstream": NODES}


class Api:
    """One running Admin API with a clock that stands still until it is set."""

    def __init__(self, data_dir: Path, access: AccessRules, extra: Sequence[APIRouter]) -> None:
        self.now = 1_700_000_000.5
        self.store = SqliteStore(data_dir)
        self.resources = Resources(self.store.load(), self.store.counter(), clock=lambda: self.now)
        self.compiled: list[Sequence[Change]] = []
        self.published: list[Sequence[Change]] = []
        self.queue = WriteQueue(self.resources, self.store, compile_check=self.compiled.append, publish=self._publish)
        app = create_app(resources=self.resources, committer=self.queue, plugins=CATALOG, access=access, extra=extra)
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE)

    async def _publish(self, changes: Sequence[Change]) -> None:
        self.published.append(changes)

    async def __call__(self, method: str, path: str, body: object = None, **options: Any) -> httpx2.Response:
        """Send a request; a body that is not bytes is sent as JSON, None is none."""
        content = {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.request(method, BASE + path, **content, **options)

    async def put(self, path: str, body: object, **options: Any) -> httpx2.Response:
        """Send a PUT that has to succeed."""
        answer = await self("PUT", path, body, **options)
        assert answer.status_code in {200, 201}, answer.text
        return answer

    async def close(self) -> None:
        await self.client.aclose()
        await self.queue.close()
        self.store.close()


@asynccontextmanager
async def _running(data_dir: Path, access: AccessRules, extra: Sequence[APIRouter]) -> AsyncIterator[Api]:
    api = Api(data_dir, access, extra)
    try:
        yield api
    finally:
        await api.close()


def run(
    data_dir: Path,
    scenario: Callable[[Api], Awaitable[None]],
    *,
    access: AccessRules | None = None,
    extra: Sequence[APIRouter] = (),
) -> None:
    """Run a scenario against an Admin API on ``data_dir``."""

    async def main() -> None:
        async with _running(data_dir, access or AccessRules(), extra) as api:
            await scenario(api)

    asyncio.run(main())
