from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.admin.api_under_test import CATALOG, ROUTE, Api, run

from headgate.config.validation import MODELS

NO_PLUGIN = {"error_msg": "plugin not found in subsystem http"}
RELOAD = "please use PUT method to reload the plugins, {} method is not allowed."


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/plugins/list", 200, CATALOG.names_by_priority()),
        ("GET", "/plugins/list?subsystem=http", 200, CATALOG.names_by_priority()),
        ("GET", "/plugins/list?subsystem=stream", 200, []),
        ("GET", "/plugins/sse", 200, CATALOG.schema("sse")),
        ("GET", "/plugins/sse?subsystem=http", 200, CATALOG.schema("sse")),
        ("GET", "/schema/plugins/sse", 200, CATALOG.schema("sse")),
        ("GET", "/plugins/nobody", 404, NO_PLUGIN),
        ("GET", "/schema/plugins/nobody", 404, NO_PLUGIN),
        ("GET", "/plugins", 404, NO_PLUGIN),
        ("GET", "/plugins/sse?subsystem=stream", 404, {"error_msg": "plugin not found in subsystem stream"}),
        ("GET", "/plugins/sse?subsystem=mail", 400, {"error_msg": "unsupported subsystem: mail"}),
        ("GET", "/plugins/sse?schema_type=consumer", 400, {"error_msg": "not found schema"}),
        ("GET", "/plugins?all=true&subsystem=stream", 200, {}),
        ("GET", "/plugins/reload", 405, {"error_msg": RELOAD.format("GET")}),
        ("POST", "/plugins/reload", 405, {"error_msg": RELOAD.format("POST")}),
        ("DELETE", "/plugins/reload", 405, {"error_msg": RELOAD.format("DELETE")}),
        ("PUT", "/plugins/sse", 404, {"error_msg": "not found"}),
        ("POST", "/plugins", 404, {"error_msg": "not found"}),
        ("GET", "/schema/route", 200, MODELS["routes"].model_json_schema()),
        ("GET", "/schema/routes", 200, MODELS["routes"].model_json_schema()),
        ("GET", "/schema/service", 200, MODELS["services"].model_json_schema()),
        ("GET", "/schema/upstream", 200, MODELS["upstreams"].model_json_schema()),
        ("GET", "/schema/global_rule", 200, MODELS["global_rules"].model_json_schema()),
        ("GET", "/schema/nothing", 400, {"error_msg": "not found schema: nothing"}),
        ("PUT", "/schema/route", 404, {"error_msg": "not found"}),
        ("GET", "/schema", 404, {"error_msg": "not found"}),
    ],
)
def test_plugins_and_schemas(data_dir: Path, method: str, path: str, status: int, expected: object) -> None:
    async def scenario(api: Api) -> None:
        answer = await api(method, path)

        assert (answer.status_code, answer.json()) == (status, expected)

    run(data_dir, scenario)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/plugins/list?subsystem=mail", 400, "invalid subsystem passed"), ("/plugins/reload", 200, "done")],
)
def test_answers_in_plain_text(data_dir: Path, path: str, status: int, text: str) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("PUT" if path.endswith("reload") else "GET", path)

        assert (answer.status_code, answer.text) == (status, text)

    run(data_dir, scenario)


def test_all_plugins_show_schema_priority_and_version(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        plugins: dict[str, dict[str, Any]] = (await api("GET", "/plugins?all=true")).json()

        assert list(plugins) == CATALOG.names_by_priority()
        assert plugins["sse"]["priority"] == 1005
        assert plugins["sse"]["schema"] == CATALOG.schema("sse")
        assert plugins["sse"]["version"] == CATALOG.plugin("sse").version

    run(data_dir, scenario)


@pytest.mark.parametrize(
    ("resource", "body", "status", "text"),
    [
        ("routes", ROUTE, 200, None),
        ("services", {}, 200, None),
        ("routes", {**ROUTE, "upstream_id": "need-not-exist"}, 200, None),
        (
            "routes",
            {**ROUTE, "uri": 666},
            400,
            'property "uri" validation failed: wrong type: expected string, got number',
        ),
        ("routes", {**ROUTE, "status": 3}, 400, 'property "status" validation failed: matches none of the enum values'),
        ("routes", {**ROUTE, "plugins": {"x": {}}}, 400, "unknown plugin [x]"),
        ("routes", None, 400, "missing configurations"),
        ("routes", b'"text"', 400, "wrong type: expected object, got string"),
        ("routs", ROUTE, 404, "Unsupported resource type: routs"),
        ("consumers", ROUTE, 501, "resource consumers is not served by this version of headgate"),
    ],
)
def test_validation_without_storing(data_dir: Path, resource: str, body: object, status: int, text: str | None) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("POST", f"/schema/validate/{resource}", body)

        assert answer.status_code == status
        if text is None:
            assert answer.content == b""
        else:
            assert answer.json() == {"error_msg": text}
        assert api.store.load() == []

    run(data_dir, scenario)


def test_validation_answers_malformed_json_as_a_put_does(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("POST", "/schema/validate/routes", b"{,")

        assert (answer.status_code, answer.json()["req_body"]) == (400, "{,")
        assert answer.json()["error_msg"].startswith("invalid request body: ")

    run(data_dir, scenario)
