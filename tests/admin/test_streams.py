"""The endpoints for open streams, before a real desk whose workers the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.admin.api_under_test import CATALOG, Api, run
from tests.runtime.desk_worker import DeskWorker, row

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.admin.resources import Resources
from headgate.admin.streams import stream_router
from headgate.config.settings import AdminKey
from headgate.runtime import worker_desk
from headgate.runtime.stream_desk import StreamDesk
from headgate.runtime.stream_messages import KillStream, ListStreams, StartTail, StreamKilled, TailRefusal, TailStarted
from headgate.server.stream_table import Search, StreamRow
from headgate.stream.ending import Ending

BASE = "http://127.0.0.1:9180"
KEYS = (AdminKey(name="ops", key="for-ops", role="admin"), AdminKey(name="screen", key="for-screen", role="viewer"))
ROW_FIELDS = {*StreamRow.__struct_fields__, "worker", "pid", "generation"}


class Scene:
    """The API with one worker behind it."""

    def __init__(self, client: httpx2.AsyncClient, desk: StreamDesk) -> None:
        self._client = client
        self.worker = DeskWorker(desk)

    async def __call__(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return await self._client.request(method, f"{BASE}/headgate/streams{path}", **options)

    def start(self, method: str, path: str, **options: Any) -> asyncio.Task[httpx2.Response]:
        """Begin a request that waits for the worker."""
        return asyncio.create_task(self(method, path, **options))


def play(scene: Callable[[Scene], Awaitable[None]], *, keys: tuple[AdminKey, ...] = ()) -> None:
    async def main() -> None:
        desk, access = StreamDesk(), AccessRules(keys)
        app = create_app(
            resources=Resources(),
            committer=None,
            plugins=CATALOG,
            access=access,
            extra=[stream_router(desk, access)],
        )
        async with asyncio.timeout(30), httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
            await scene(Scene(client, desk))

    asyncio.run(main())


def test_a_list_with_filters_and_pages() -> None:
    async def scene(api: Scene) -> None:
        rows = [row(f"0-{number:02}", float(number)) for number in range(25)]
        answer = api.start("GET", "?route=r&client=::1&consumer=me&page=2&page_size=10")
        command = await api.worker.hear(ListStreams)
        assert command.search == Search(None, "r", "::1", "me", 20)
        api.worker.list(command.number, *rows[:20], total=25)
        body = (await answer).json()
        assert set(body) == {"list", "total", "missing_workers"}
        assert [one["id"] for one in body["list"]] == [f"0-{number}" for number in range(10, 20)]
        assert (body["total"], body["missing_workers"]) == (25, [])
        assert set(body["list"][0]) == ROW_FIELDS

        answer = api.start("GET", "")
        command = await api.worker.hear(ListStreams)
        assert command.search == Search()
        api.worker.list(command.number, *rows)
        assert len((await answer).json()["list"]) == 25

    play(scene)


@pytest.mark.parametrize("size", ["9", "501", "0"])
def test_a_page_has_bounds(size: str) -> None:
    async def scene(api: Scene) -> None:
        answer = await api("GET", f"?page=1&page_size={size}")
        assert (answer.status_code, answer.text) == (400, "page_size must be between 10 and 500")
        assert api.worker.told == []

    play(scene)


def test_one_stream() -> None:
    async def scene(api: Scene) -> None:
        for path, found in (("/0-a", [row("0-a")]), ("/0-b", [])):
            answer = api.start("GET", path)
            api.worker.list((await api.worker.hear(ListStreams)).number, *found)
            response = await answer
            if found:
                assert (response.status_code, response.json()["id"]) == (200, "0-a")
            else:
                assert (response.status_code, response.json()) == (404, {"error_msg": "no such stream"})

    play(scene)


@pytest.mark.parametrize(
    ("ending", "status", "body"),
    [
        (Ending.KILLED, 200, {"id": "0-a", "ending": "killed"}),
        (None, 404, {"error_msg": "no such stream"}),
    ],
)
def test_kill(ending: Ending | None, status: int, body: dict[str, str]) -> None:
    async def scene(api: Scene) -> None:
        answer = api.start("DELETE", "/0-a")
        command = await api.worker.hear(KillStream)
        assert command.id == "0-a"
        api.worker.say(StreamKilled(command.number, ending))
        response = await answer
        assert (response.status_code, response.json()) == (status, body)

    play(scene)


@pytest.mark.parametrize(
    ("refusal", "status", "text"),
    [
        ("unknown", 404, "no such stream"),
        ("unreadable", 409, "the stream's events cannot be read: it is compressed, or not of events"),
        ("too_many", 503, "64 tails are open on worker 0 already"),
    ],
)
def test_a_tail_that_is_refused(refusal: TailRefusal, status: int, text: str) -> None:
    async def scene(api: Scene) -> None:
        answer = api.start("GET", "/0-a/events")
        command = await api.worker.hear(StartTail)
        assert (command.id, command.with_data) == ("0-a", False)
        api.worker.say(TailStarted(command.number, refusal))
        response = await answer
        assert (response.status_code, response.json()) == (status, {"error_msg": text})

    play(scene)


@pytest.mark.parametrize(("method", "path"), [("GET", "/0-a"), ("DELETE", "/0-a"), ("GET", "/0-a/events"), ("GET", "")])
def test_a_worker_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    monkeypatch.setattr(worker_desk, "ANSWER_S", 0.05)

    async def scene(api: Scene) -> None:
        response = await api(method, path)
        body = response.json()
        assert body["missing_workers"] == [{"worker": 0, "pid": 1000}]
        if path:
            text = "no such stream on the workers that answer; worker 0 (pid 1000) did not"
            assert (response.status_code, body["error_msg"]) == (503, text)
        else:
            assert (response.status_code, body["list"], body["total"]) == (200, [], 0)

    play(scene)


def test_viewers_look_but_see_no_data_and_end_nothing() -> None:
    async def scene(api: Scene) -> None:
        viewer, admin = {"X-API-KEY": "for-screen"}, {"X-API-KEY": "for-ops"}
        for path in ("", "/0-a", "/0-a/events"):
            assert (await api("GET", path)).json()["description"] == "missing apikey"
        answer = await api("DELETE", "/0-a", headers=viewer)
        assert (answer.status_code, answer.json()["description"]) == (401, "invalid method for role viewer")
        for where in ({"headers": viewer}, {"params": {"api_key": "for-screen", "data": "true"}}):
            answer = await api("GET", "/0-a/events?data=true", **where)
            text = "role viewer may not see data: leave out data=true, or use an admin key"
            assert (answer.status_code, answer.json()) == (403, {"error_msg": text})
        assert api.worker.told == []
        for key, with_data in ((viewer, False), (admin, False), (admin, True)):
            asking = api.start("GET", f"/0-a/events?data={str(with_data).lower()}", headers=key)
            command = await api.worker.hear(StartTail)
            assert command.with_data is with_data
            api.worker.say(TailStarted(command.number, "unknown"))
            assert (await asking).status_code == 404

    play(scene, keys=KEYS)


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "HEAD"])
@pytest.mark.parametrize("path", ["", "/0-a", "/0-a/events", "/0-a/more"])
def test_other_methods_are_not_found(method: str, path: str) -> None:
    async def scene(api: Scene) -> None:
        response = await api(method, path)
        assert response.status_code == 404
        if method != "HEAD":
            assert response.json() == {"error_msg": "not found"}

    play(scene)


def test_a_slash_at_the_end_is_ignored() -> None:
    async def scene(api: Scene) -> None:
        api.worker.answers_lists_with = [row("0-a")]
        assert (await api("GET", "/")).json()["total"] == 1
        assert (await api("GET", "/0-a/")).json()["id"] == "0-a"

    play(scene)


def test_the_operations_are_documented(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        paths = (await api("GET", "/openapi.json")).json()["paths"]
        assert set(paths["/headgate/streams"]) == {"get"}
        assert set(paths["/headgate/streams/{id}"]) == {"get", "delete"}
        tail = paths["/headgate/streams/{id}/events"]["get"]
        assert set(tail["responses"]) == {"200", "401", "403", "404", "409", "503"}
        assert set(tail["responses"]["200"]["content"]) == {"text/event-stream"}
        operations = [operation for path in paths.values() for operation in path.values()]
        assert all("422" not in operation["responses"] for operation in operations)
        names = [operation["operationId"] for operation in operations]
        assert len(names) == len(set(names))

    access = AccessRules()
    run(data_dir, scenario, access=access, extra=[stream_router(StreamDesk(), access)])
