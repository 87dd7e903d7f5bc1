from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
import structlog
from fastapi import APIRouter, HTTPException
from tests.admin.api_under_test import BASE, CATALOG, ROUTE, Api, run

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.admin.resource_routes import READ_ONLY
from headgate.admin.resources import Resources
from headgate.config.change import Change
from headgate.config.settings import AdminKey

ADMIN = AdminKey(name="ops", key="secret-of-ops", role="admin")
VIEWER = AdminKey(name="screen", key="secret-of-screen", role="viewer")


def test_liveness(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("HEAD", "")

        assert (answer.status_code, answer.content) == (200, b"")

    run(data_dir, scenario, access=AccessRules(keys=(ADMIN,)))


@pytest.mark.parametrize("resource", ["consumers", "ssls", "plugin_metadata/x", "stream_routes/1", "secrets/vault/1"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE"])
def test_resources_that_are_not_served_say_so(data_dir: Path, method: str, resource: str) -> None:
    async def scenario(api: Api) -> None:
        answer = await api(method, f"/{resource}")

        name = resource.partition("/")[0]
        text = f"resource {name} is not served by this version of headgate"
        assert (answer.status_code, answer.json()) == (501, {"error_msg": text})

    run(data_dir, scenario)


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/apisix", "/apisix/administrator", "//"])
def test_paths_outside_the_api_are_404_in_its_shape(data_dir: Path, path: str) -> None:
    async def scenario(api: Api) -> None:
        for method in ("GET", "POST", "PURGE"):
            answer = await api.client.request(method, f"http://127.0.0.1:9180{path}")

            assert (answer.status_code, answer.json()) == (404, {"error_msg": "not found"})

    run(data_dir, scenario)


def test_keys_open_the_api_as_apisix_has_it(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        assert (await api("PUT", "/routes/1", ROUTE)).status_code == 401
        assert (await api("PUT", "/routes/1", ROUTE, headers={"X-API-KEY": "wrong"})).status_code == 401
        assert (await api("PUT", "/routes/1", ROUTE, headers={"X-API-KEY": ADMIN.key})).status_code == 201
        assert (await api("GET", "/routes/1", headers={"X-API-KEY": VIEWER.key})).status_code == 200
        assert (await api("PUT", f"/plugins/reload?api_key={ADMIN.key}")).text == "done"
        assert (await api("PUT", f"/plugins/reload?api_key={VIEWER.key}")).status_code == 401
        assert (await api("GET", "/openapi.json")).status_code == 401

        answer = await api("GET", "/routes", headers={"X-API-KEY": ADMIN.key})
        headers = {"server": "headgate", "x-api-version": "v3", "access-control-allow-origin": "*"}
        assert {name: answer.headers[name] for name in headers} == headers
        assert (await api("OPTIONS", "/routes/1")).status_code == 200

    run(data_dir, scenario, access=AccessRules(keys=(ADMIN, VIEWER)))


def test_extra_routers_stand_behind_the_same_rules(data_dir: Path) -> None:
    extra = APIRouter()

    @extra.get("/apisix/prometheus/metrics")
    async def metrics() -> str:
        return "some"

    async def scenario(api: Api) -> None:
        url = "http://127.0.0.1:9180/apisix/prometheus/metrics"
        assert (await api.client.get(url)).text == '"some"'
        assert (await api.client.get(url, headers={"Via": "1.1 proxy"})).status_code == 403

    run(data_dir, scenario, extra=[extra])


def test_whatever_goes_wrong_is_in_the_shape_of_the_api(data_dir: Path) -> None:
    extra = APIRouter()

    @extra.get("/typed")
    async def typed(number: int) -> int:
        return number

    @extra.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @extra.get("/defect")
    async def defect() -> None:
        raise RuntimeError("secret")

    async def scenario(api: Api) -> None:
        for path, status, text in (
            ("/typed?number=x", 400, "invalid request: query number"),
            ("/teapot", 418, "short and stout"),
            ("/defect", 500, "internal error; see headgate's log"),
        ):
            answer = await api.client.get(f"http://127.0.0.1:9180{path}")

            assert (answer.status_code, answer.json()) == (status, {"error_msg": text})
            assert answer.headers["server"] == "headgate"

    with structlog.testing.capture_logs() as logs:
        run(data_dir, scenario, extra=[extra])
    assert [log["event"] for log in logs] == ["admin_request_failed"]


def test_a_store_that_fails_answers_503_and_nothing_has_changed(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        api.store.close()

        assert (await api("PUT", "/routes/1", ROUTE)).status_code == 503
        assert (await api("GET", "/routes")).json() == {"list": [], "total": 0}

    run(data_dir, scenario)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/routes", 200),
        ("GET", "/routes/1", 200),
        ("POST", "/schema/validate/routes", 200),
        ("PUT", "/plugins/reload", 200),
        ("PUT", "/routes/1", 405),
        ("POST", "/routes", 405),
        ("PATCH", "/routes/1", 405),
        ("PATCH", "/routes/1/uri", 405),
        ("DELETE", "/routes/1", 405),
        ("DELETE", "/routes/absent", 405),
        ("PUT", "/routs/1", 404),
    ],
)
def test_without_a_committer_the_api_only_reads(method: str, path: str, status: int) -> None:
    resources = Resources()
    resources.replace_all([Change("routes", "1", {**ROUTE, "id": "1"})])
    app = create_app(resources=resources, committer=None, plugins=CATALOG, access=AccessRules())

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
            answer = await client.request(method, BASE + path, json=None if method == "GET" else ROUTE)

            assert answer.status_code == status
            if status == 405:
                assert answer.json() == {"error_msg": READ_ONLY}

    asyncio.run(main())
