"""The Admin API's answers for resources, as APISIX documents and tests them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.admin.api_under_test import NODES, ROUTE, Api, run

from headgate.admin.resources import Resources

NOT_FOUND = {"message": "Key not found"}


def error(text: str) -> dict[str, str]:
    return {"error_msg": text}


def invalid(text: str) -> dict[str, str]:
    return error(f"invalid configuration: {text}")


def test_a_route_from_its_first_put_to_its_deletion(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        document = {**ROUTE, "methods": ["GET"], "desc": "new"}
        times = {"create_time": 1_700_000_000, "update_time": 1_700_000_000}

        answer = await api("PUT", "/routes/1", document)
        value = {**document, "id": "1", **times}
        assert (answer.status_code, answer.json()) == (201, {"key": "/apisix/routes/1", "value": value})

        api.now += 5
        answer = await api("PUT", "/routes/1", ROUTE)
        value = {**ROUTE, "id": "1", **times, "update_time": 1_700_000_005}
        assert (answer.status_code, answer.json()) == (200, {"key": "/apisix/routes/1", "value": value})

        answer = await api("GET", "/routes/1")
        shown = {"key": "/apisix/routes/1", "value": value, "createdIndex": 1, "modifiedIndex": 2}
        assert (answer.status_code, answer.json()) == (200, shown)
        assert (await api("GET", "/routes")).json() == {"list": [shown], "total": 1}

        answer = await api("DELETE", "/routes/1")
        assert (answer.status_code, answer.json()) == (200, {"deleted": "1", "key": "/apisix/routes/1"})
        assert (await api("GET", "/routes/1")).status_code == 404
        assert api.store.load() == []

    run(data_dir, scenario)


def test_post_gives_ids_that_outlive_deletions_and_restarts(data_dir: Path) -> None:
    made = []

    async def scenario(api: Api) -> None:
        answer = await api("POST", "/routes", ROUTE)
        assert answer.status_code == 201
        value = answer.json()["value"]
        assert answer.json()["key"] == f"/apisix/routes/{value['id']}"
        assert len(value["id"]) == 20
        assert value["id"].isdigit()
        made.append(value["id"])
        assert (await api("DELETE", f"/routes/{value['id']}")).status_code == 200

    for _ in range(3):
        run(data_dir, scenario)

    assert made == sorted(set(made))


def test_post_never_takes_an_id_that_is_there(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/routes/00000000000000000002", ROUTE)

        assert (await api("POST", "/routes", ROUTE)).json()["value"]["id"] == "00000000000000000003"

    run(data_dir, scenario)


def test_an_id_from_the_body_keeps_its_type_and_one_from_the_path_is_text(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("PUT", "/routes", {**ROUTE, "id": 1})
        assert (answer.status_code, answer.json()["value"]["id"]) == (201, 1)
        assert (await api("GET", "/routes/1")).json()["value"]["id"] == 1

        answer = await api("PUT", "/routes/1", {**ROUTE, "id": 1})
        assert (answer.status_code, answer.json()["value"]["id"]) == (200, "1")

    run(data_dir, scenario)


def test_bodies_end_with_one_newline_and_are_application_json(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        for answer in (
            await api("GET", "/routes"),
            await api("GET", "/routes/1"),
            await api("PUT", "/routes/1", ROUTE),
        ):
            assert answer.headers["content-type"] == "application/json"
            assert answer.content.endswith(b"}\n")

    run(data_dir, scenario)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_is_json_whatever_its_type(data_dir: Path, content_type: str) -> None:
    async def scenario(api: Api) -> None:
        body = json.dumps(ROUTE).encode()

        assert (await api("PUT", "/routes/1", body, headers={"content-type": content_type})).status_code == 201

    run(data_dir, scenario)


UNCHANGED: list[tuple[str, str, object, int, object]] = [
    # collection and item
    ("GET", "/routes/absent", None, 404, NOT_FOUND),
    ("DELETE", "/routes/not_found", None, 404, NOT_FOUND),
    ("PATCH", "/routes/absent", {"desc": "x"}, 404, NOT_FOUND),
    ("PATCH", "/routes/absent/uri", "/x", 404, NOT_FOUND),
    ("DELETE", "/routes", None, 400, error("missing route id")),
    ("PATCH", "/services", {"desc": "x"}, 400, error("missing service id")),
    ("GET", "/routes/1/upstream", None, 404, error("not found")),
    ("PUT", "/routes/1/upstream", NODES, 404, error("not found")),
    ("TRACE", "/routes/1", None, 404, error("not found")),
    ("PUT", "/routs/1", ROUTE, 404, error("Unsupported resource type: routs")),
    ("GET", "", None, 404, error("not found")),
    ("GET", "/", None, 404, error("not found")),
    ("POST", "/global_rules", {"plugins": {}}, 405, error("not supported `POST` method for global rule")),
    ("POST", "/global_rules/1", {"plugins": {}}, 405, error("not supported `POST` method for global rule")),
    # ids
    ("PUT", "/routes", ROUTE, 400, error("missing route id")),
    ("PUT", "/services", {}, 400, error("missing service id")),
    ("PUT", "/upstreams", NODES, 400, error("missing upstream id")),
    ("PUT", "/global_rules", {"plugins": {}}, 400, error("missing global rule id")),
    ("PUT", "/routes/1", {**ROUTE, "id": 3}, 400, error("wrong route id")),
    ("PUT", "/upstreams/1", {**NODES, "id": "2"}, 400, error("wrong upstream id")),
    ("POST", "/routes", {**ROUTE, "id": 1}, 400, error("wrong route id, do not need it")),
    ("POST", "/routes/1", ROUTE, 400, error("wrong route id, do not need it")),
    ("POST", "/services", {"id": "x"}, 400, error("wrong service id, do not need it")),
    (
        "PUT",
        "/routes/*invalid",
        ROUTE,
        400,
        invalid('property "id" validation failed: object matches none of the required'),
    ),
    (
        "PUT",
        "/routes/" + "x" * 65,
        ROUTE,
        400,
        invalid('property "id" validation failed: object matches none of the required'),
    ),
    (
        "PUT",
        "/routes",
        {**ROUTE, "id": 0},
        400,
        invalid('property "id" validation failed: object matches none of the required'),
    ),
    (
        "PUT",
        "/routes",
        {**ROUTE, "id": True},
        400,
        invalid('property "id" validation failed: object matches none of the required'),
    ),
    # bodies
    ("PUT", "/routes/1", None, 400, error("missing configurations")),
    ("POST", "/routes", b"", 400, error("missing configurations")),
    ("PATCH", "/routes/kept", None, 400, error("missing new configuration")),
    ("PUT", "/routes/1", b"[]", 400, None),
    ("PUT", "/routes/1", b'"text"', 400, invalid("wrong type: expected object, got string")),
    ("PUT", "/routes/1", b"null", 400, None),
    (
        "PUT",
        "/routes/1",
        b'{"uri": "/a", "uri": "/b"}',
        400,
        {"error_msg": 'invalid request body: duplicate key "uri"', "req_body": '{"uri": "/a", "uri": "/b"}'},
    ),
    (
        "PATCH",
        "/routes/kept",
        b'{"desc": NaN}',
        400,
        {"error_msg": "invalid request body: NaN is not a JSON number", "req_body": '{"desc": NaN}'},
    ),
    (
        "PUT",
        "/routes/1",
        b" " * 1_678_025,
        400,
        error("invalid request body: request size 1678025 is greater than the maximum size 1572864 allowed"),
    ),
    # times
    ("PUT", "/routes/1", {**ROUTE, "create_time": 1}, 400, error("the property is forbidden:  create_time")),
    ("POST", "/routes", {**ROUTE, "update_time": 1}, 400, error("the property is forbidden:  update_time")),
    (
        "PUT",
        "/routes/1",
        {**ROUTE, "upstream": {**NODES, "create_time": 1}},
        400,
        error("the property is forbidden:  upstream.create_time"),
    ),
    # validation
    ("PUT", "/routes/1", {**ROUTE, "methods": ["GET", "GET"]}, 400, None),
    ("PUT", "/routes/1", {**ROUTE, "host": "a.*.foo.com"}, 400, None),
    ("PUT", "/routes/1", {**ROUTE, "uris": ["/b"]}, 400, None),
    ("PUT", "/routes/1", {**ROUTE, "host": "a", "hosts": ["b"]}, 400, error("only one of host or hosts is allowed")),
    (
        "PUT",
        "/routes/1",
        {**ROUTE, "status": 100},
        400,
        invalid('property "status" validation failed: matches none of the enum values'),
    ),
    ("PUT", "/routes/1", {**ROUTE, "plugins": {"x": {}}}, 400, error("unknown plugin [x]")),
    (
        "PUT",
        "/routes/1",
        {**ROUTE, "vars": [["a", "=", "b"]]},
        400,
        error("failed to validate the 'vars' expression: invalid operator '='"),
    ),
    (
        "PUT",
        "/upstreams/1",
        {**NODES, "_service_name": "x"},
        400,
        invalid("additional properties forbidden, found _service_name"),
    ),
    (
        "PATCH",
        "/routes/kept",
        {"status": 3},
        400,
        invalid('property "status" validation failed: matches none of the enum values'),
    ),
    (
        "PATCH",
        "/routes/kept/status",
        3,
        400,
        invalid('property "status" validation failed: matches none of the enum values'),
    ),
    ("PATCH", "/routes/kept/uri/x", 3, 400, error("invalid sub-path: /uri/x")),
    ("PATCH", "/routes/kept", [], 400, error("invalid configuration")),
    ("PATCH", "/routes/kept", b'"text"', 400, error("invalid configuration")),
    ("PATCH", "/routes/kept", b"null", 400, error("invalid configuration")),
    ("PATCH", "/routes/kept", {"id": "other"}, 400, error("wrong route id")),
    # references
    (
        "PUT",
        "/routes/1",
        {"uri": "/", "service_id": "invalid_id$"},
        400,
        invalid('property "service_id" validation failed: object matches none of the required'),
    ),
    (
        "PUT",
        "/routes/1",
        {"uri": "/", "service_id": 99999999999999},
        400,
        error("failed to fetch service info by service id [99999999999999], response code: 404"),
    ),
    (
        "PUT",
        "/routes/1",
        {"uri": "/", "upstream_id": "99999999"},
        400,
        error("failed to fetch upstream info by upstream id [99999999], response code: 404"),
    ),
    (
        "PATCH",
        "/services/kept",
        {"upstream_id": "gone"},
        400,
        error("failed to fetch upstream info by upstream id [gone], response code: 404"),
    ),
    (
        "PUT",
        "/routes/1",
        {**ROUTE, "plugin_config_id": "not_found"},
        400,
        error("failed to fetch plugin config info by plugin config id [not_found], response code: 404"),
    ),
    (
        "PUT",
        "/upstreams/1",
        {**NODES, "scheme": "https", "tls": {"client_cert_id": 1}},
        400,
        error("failed to fetch ssl info by ssl id [1], response code: 404"),
    ),
    (
        "DELETE",
        "/upstreams/kept",
        None,
        400,
        error("can not delete this upstream, route [kept] is still using it now"),
    ),
    (
        "DELETE",
        "/upstreams/kept?force=anyvalue",
        None,
        400,
        error("can not delete this upstream, route [kept] is still using it now"),
    ),
    (
        "DELETE",
        "/upstreams/7",
        None,
        400,
        error("can not delete this upstream, service [kept] is still using it now"),
    ),
    (
        "DELETE",
        "/services/kept",
        None,
        400,
        error("can not delete this service directly, route [of-service] is still using it now"),
    ),
    (
        "PUT",
        "/global_rules/2",
        {"plugins": {"cors": {}}},
        400,
        error("plugin 'cors' already exists in global rule with id 'kept'"),
    ),
    # arguments
    ("PUT", "/routes/1?ttl=xxx", ROUTE, 400, error("invalid argument ttl: should be a number")),
    ("POST", "/routes?ttl=", ROUTE, 400, error("invalid argument ttl: should be a number")),
    ("PATCH", "/routes/kept?ttl=nan", {}, 400, error("invalid argument ttl: should be a number")),
    ("PUT", "/routes/1?ttl=0", ROUTE, 400, error("invalid argument ttl: should be greater than 0")),
    ("PUT", "/routes/1?ttl=-5", ROUTE, 400, error("invalid argument ttl: should be greater than 0")),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "expected"), UNCHANGED)
def test_answers_that_change_nothing(
    data_dir: Path, method: str, path: str, body: object, status: int, expected: object
) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/upstreams/kept", NODES)
        await api.put("/upstreams/7", NODES)
        await api.put("/services/kept", {"upstream_id": 7})
        await api.put("/routes/kept", {"uri": "/", "upstream_id": "kept"})
        await api.put("/routes/of-service", {"uri": "/", "service_id": "kept"})
        await api.put("/global_rules/kept", {"plugins": {"cors": {}}})
        before, rounds = api.store.load(), len(api.published)

        answer = await api(method, path, body)

        assert answer.status_code == status
        if expected is not None:
            assert answer.json() == expected
        assert set(answer.json()) <= {"error_msg", "message", "req_body"}
        assert (api.store.load(), len(api.published)) == (before, rounds)

    run(data_dir, scenario)


@pytest.mark.parametrize("path", ["/routes", "/routes/", "/services", "/upstreams", "/global_rules"])
def test_an_empty_collection_is_an_empty_list(data_dir: Path, path: str) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("GET", path)

        assert (answer.status_code, answer.json()) == (200, {"list": [], "total": 0})

    run(data_dir, scenario)


def test_page_size_is_refused_in_plain_text(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        answer = await api("GET", "/routes/?page=1&page_size=2")

        assert (answer.status_code, answer.text) == (400, "page_size must be between 10 and 500")

    run(data_dir, scenario)


def test_lists_take_filters_and_pages_from_the_query(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        for number in range(1, 13):
            await api.put(f"/routes/r{number}", {**ROUTE, "name": f"n{number}", "labels": {"env": "production"}})

        page = (await api("GET", "/routes?page=2&page_size=10")).json()
        assert ([item["value"]["id"] for item in page["list"]], page["total"]) == (["r11", "r12"], 12)
        assert (await api("GET", "/routes?label=env")).json()["total"] == 12
        assert (await api("GET", "/routes?label=production")).json()["total"] == 0
        assert (await api("GET", "/routes?name=n1$&uri=index")).json()["total"] == 1

    run(data_dir, scenario)


@pytest.mark.parametrize(
    ("path", "patch", "expected"),
    [
        ("/routes/1", {"desc": "new route"}, {"desc": "new route"}),
        ("/routes/1/", {"desc": "new route"}, {"desc": "new route"}),
        (
            "/routes/1",
            {"upstream": {"nodes": {"127.0.0.1:8080": None, "127.0.0.2:8080": 1}}},
            {"upstream": {"type": "roundrobin", "nodes": {"127.0.0.2:8080": 1}}},
        ),
        ("/routes/1", {"plugins": {"sse": None}}, {"plugins": {"cors": {}}}),
        ("/routes/1", {"plugins": {}}, {"plugins": {}}),
        ("/routes/1", {}, {}),
        ("/routes/1/methods", ["POST"], {"methods": ["POST"]}),
        ("/routes/1/uri", "/patch_uri_test", {"uri": "/patch_uri_test"}),
        ("/routes/1/status", 0, {"status": 0}),
        (
            "/routes/1/plugins/sse",
            {"proxy_read_timeout": 9},
            {"plugins": {"sse": {"proxy_read_timeout": 9}, "cors": {}}},
        ),
        (
            "/routes/1/upstream/nodes/127.0.0.1:8080",
            5,
            {"upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:8080": 5}}},
        ),
        ("/routes/1", {"create_time": 5, "update_time": 6}, {"create_time": 5, "update_time": 6}),
        ("/routes/1", {"create_time": None, "update_time": None}, {}),
    ],
)
def test_patch(data_dir: Path, path: str, patch: object, expected: dict[str, Any]) -> None:
    async def scenario(api: Api) -> None:
        document = {**ROUTE, "methods": ["GET"], "plugins": {"sse": {}, "cors": {}}}
        before = (await api.put("/routes/1", document)).json()["value"]
        api.now += 60

        answer = await api("PATCH", path, json.dumps(patch).encode())

        value = {**before, "update_time": 1_700_000_060, **expected}
        assert (answer.status_code, answer.json()) == (200, {"key": "/apisix/routes/1", "value": value})
        shown = (await api("GET", "/routes/1")).json()
        assert (shown["value"], shown["createdIndex"], shown["modifiedIndex"]) == (value, 1, 2)

    run(data_dir, scenario)


def test_an_empty_service_can_be_filled_by_patch(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        assert (await api("PUT", "/services/1", {})).status_code == 201
        patch = {"plugins": {"cors": {}}, "upstream": NODES}

        answer = await api("PATCH", "/services/1", patch)

        assert answer.status_code == 200
        assert {**answer.json()["value"], **patch} == answer.json()["value"]

    run(data_dir, scenario)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/routes/a-b-c-ABC_0123", ROUTE),
        ("/routes/1", {**ROUTE, "host": "*.foo.com"}),
        ("/upstreams/1", {**NODES, "type": "unknown"}),
        ("/services/1", {}),
        ("/global_rules/1", {"plugins": {"request-id": {}}}),
    ],
)
def test_what_apisix_accepts(data_dir: Path, path: str, document: dict[str, Any]) -> None:
    async def scenario(api: Api) -> None:
        await api.put(path, document)

        value = (await api("GET", path)).json()["value"]
        assert {**value, **document} == value

    run(data_dir, scenario)


def test_force_deletes_what_is_referred_to(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/upstreams/u", NODES)
        await api.put("/services/s", {"upstream_id": "u"})
        await api.put("/routes/r", {"uri": "/", "service_id": "s"})

        assert (await api("DELETE", "/upstreams/u?force=true")).status_code == 200
        assert (await api("DELETE", "/services/s?force=true")).status_code == 200

    run(data_dir, scenario)


def test_a_global_rule_may_be_written_again_with_its_own_plugins(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/global_rules", {"id": 1, "plugins": {"cors": {}}})
        await api.put("/global_rules/1", {"plugins": {"cors": {}, "request-id": {}}})

        assert (await api("PATCH", "/global_rules/1/plugins/cors", {"max_age": 6})).status_code == 200

    run(data_dir, scenario)


def test_a_time_to_live_ends_for_readers_at_once_and_in_the_store_by_a_write(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/routes/1?ttl=1.5", ROUTE)
        assert api.resources.next_expiry() == api.now + 1.5
        api.now += 1.4
        assert (await api("GET", "/routes/1")).status_code == 200

        api.now += 0.1
        answer = await api("GET", "/routes/1")
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
        assert (await api("GET", "/routes")).json() == {"list": [], "total": 0}

        await api.queue.expire()
        assert api.store.load() == []
        assert [change.value for change in api.published[-1]] == [None]

    run(data_dir, scenario)


def test_a_time_to_live_survives_a_restart_and_ends_with_the_next_write(data_dir: Path) -> None:
    async def write(api: Api) -> None:
        await api.put("/routes/1?ttl=60", ROUTE)
        await api.put("/routes/2?ttl=60", ROUTE)
        await api("PATCH", "/routes/2", {"desc": "kept"})

    async def read(api: Api) -> None:
        assert api.resources.next_expiry() == api.now + 60
        api.now += 60
        assert [item["value"]["id"] for item in (await api("GET", "/routes")).json()["list"]] == ["2"]

    run(data_dir, write)
    run(data_dir, read)


def test_what_has_expired_can_be_made_anew(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/routes/1?ttl=1", ROUTE)
        api.now += 2

        answer = await api("PUT", "/routes/1", ROUTE)

        assert (answer.status_code, answer.json()["value"]["create_time"]) == (201, 1_700_000_002)

    run(data_dir, scenario)


def test_the_etag_guards_writes(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        made = await api("PUT", "/routes/1", ROUTE, headers={"If-None-Match": "*"})
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        again = await api("PUT", "/routes/1", ROUTE, headers={"If-None-Match": "*"})
        text = "/apisix/routes/1 is at modifiedIndex 1, If-None-Match excludes *"
        assert (again.status_code, again.json()) == (412, error(text))
        assert (await api("GET", "/routes/1")).headers["etag"] == '"1"'

        changed = await api("PATCH", "/routes/1", {"desc": "x"}, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        for method, path, body in (
            ("PUT", "/routes/1", ROUTE),
            ("PATCH", "/routes/1", {"desc": "y"}),
            ("PATCH", "/routes/1/desc", "y"),
            ("DELETE", "/routes/1", None),
        ):
            moved = await api(method, path, body, headers={"If-Match": '"1"'})
            assert moved.status_code == 412
            assert "is at modifiedIndex 2" in moved.json()["error_msg"]
        assert (await api("DELETE", "/routes/1", headers={"If-Match": '"2"'})).status_code == 200
        assert (await api("DELETE", "/routes/1", headers={"If-Match": '"2"'})).status_code == 404
        assert (await api("PUT", "/routes/1", ROUTE, headers={"If-Match": "*"})).status_code == 412

    run(data_dir, scenario)


def test_every_write_is_compiled_stored_and_published_before_its_answer(data_dir: Path) -> None:
    async def scenario(api: Api) -> None:
        await api.put("/routes/1", ROUTE)

        (item,) = api.store.load()
        assert api.compiled == [[item.change()]]
        assert api.published == [[item.change()]]
        assert isinstance(api.resources, Resources)
        assert api.resources.get("routes", "1") == item

    run(data_dir, scenario)


def test_everything_is_there_after_a_restart(data_dir: Path) -> None:
    shown = []

    async def write(api: Api) -> None:
        await api.put("/upstreams/u", NODES)
        await api.put("/routes/1", {"uri": "/", "upstream_id": "u"})
        shown.append((await api("GET", "/routes")).json())

    async def read(api: Api) -> None:
        assert (await api("GET", "/routes")).json() == shown[0]

    run(data_dir, write)
    run(data_dir, read)
