"""What the Admin API says is done is done: live for the very next request on every worker, or refused and nothing changed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Answer, Program


class Gateway:
    """Two workers and an upstream whose ``/headers`` tells which version of a route a request met."""

    def __init__(self, program: Program, origin: Origin) -> None:
        self.program = program
        self.origin = origin

    def document(self, uri: str, version: object) -> dict[str, Any]:
        """Make a route whose answers carry ``X-Version``."""
        plugins = {"proxy-rewrite": {"uri": f"/headers?X-Version={version}"}}
        return {"uri": uri, "plugins": plugins, "upstream": {"nodes": {self.origin.address: 1}}}

    def put(self, identifier: str, version: object, **more: object) -> Answer:
        """Write the route to the path of its id."""
        answer = self.program.put(f"routes/{identifier}", {**self.document(f"/{identifier}", version), **more})
        assert answer.status in {200, 201}, answer
        return answer

    def version(self, identifier: str) -> str | None:
        """Ask for a route's version on a new connection; None = no route."""
        response = get(self.program.port, f"/{identifier}")
        assert response.status in {200, 404}
        value = response.get(b"x-version")
        return None if value is None else value.decode()

    def versions(self, identifier: str, requests: int = 8) -> set[str | None]:
        """Ask several times."""
        return {self.version(identifier) for _ in range(requests)}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Origin() as origin, Program(tmp_path_factory.mktemp("admin"), workers=2) as program:
        yield Gateway(program, origin)


# -- live at once ------------------------------------------------------------------------------------------------------


def test_a_write_is_live_for_the_very_next_request_on_every_worker(gateway: Gateway) -> None:
    for version in range(20):
        gateway.put("live", version)
        assert gateway.versions("live") == {str(version)}
    rewrite = {"plugins": {"proxy-rewrite": {"uri": "/headers?X-Version=patched"}}}
    assert gateway.program.admin("PATCH", "routes/live", rewrite).status == 200
    assert gateway.versions("live") == {"patched"}
    assert gateway.program.admin("DELETE", "routes/live").status == 200
    assert gateway.versions("live") == {None}
    answered = {record["id"].partition("-")[0] for record in gateway.program.records if record.get("target") == "/live"}
    assert answered == {"0", "1"}, "requests reached one worker only"


def test_a_write_is_answered_only_when_every_worker_has_it(gateway: Gateway) -> None:
    program = gateway.program
    gateway.put("slow", "old")
    with Client(program.port) as client:
        client.get("/slow?which-worker")
        client.read_response()
        record = program.wait_record(lambda record: record.get("target") == "/slow?which-worker")
        awake = int(record["id"].split("-")[1][:-6], 16)
        (asleep,) = set(program.children("worker")) - {awake}
        answered: list[Answer] = []
        writer = threading.Thread(target=lambda: answered.append(gateway.put("slow", "new")))
        os.kill(asleep, signal.SIGSTOP)
        try:
            writer.start()
            version: bytes | None = b"old"
            while version == b"old":
                client.get("/slow")
                version = client.read_response().get(b"x-version")
            assert program.admin("GET", "routes/slow").json["value"]["plugins"] == {
                "proxy-rewrite": {"uri": "/headers?X-Version=new"}
            }
            assert answered == []
        finally:
            os.kill(asleep, signal.SIGCONT)
        writer.join()
    assert [answer.status for answer in answered] == [200]
    assert gateway.versions("slow") == {"new"}
    assert asleep in program.children("worker")


def test_a_change_of_a_service_and_of_an_upstream_is_live_at_once(gateway: Gateway) -> None:
    program = gateway.program
    nodes = {"nodes": {gateway.origin.address: 1}}
    assert program.put("upstreams/shared", nodes).status == 201
    assert program.put("services/shared", {"upstream_id": "shared"}).status == 201
    assert program.put("routes/shared", {"uri": "/shared", "service_id": "shared"}).status == 201
    for version in range(5):
        plugins = {"proxy-rewrite": {"uri": f"/headers?X-Version={version}"}}
        assert program.admin("PATCH", "services/shared", {"plugins": plugins}).status == 200
        assert gateway.versions("shared") == {str(version)}
        assert program.put("upstreams/shared", {"nodes": {}}).status == 200
        assert get(program.port, "/shared").status == 503
        assert program.put("upstreams/shared", nodes).status == 200
        assert gateway.versions("shared") == {str(version)}


def test_a_global_rule_is_live_at_once(gateway: Gateway) -> None:
    for age in (1, 2):
        answer = gateway.program.put("global_rules/1", {"plugins": {"cors": {"max_age": age}}})
        assert answer.status in {200, 201}
        found = {get(gateway.program.port, "/no-route").get(b"access-control-max-age") for _ in range(8)}
        assert found == {b"%d" % age}
    assert gateway.program.admin("DELETE", "global_rules/1").status == 200
    assert {get(gateway.program.port, "/no-route").get(b"access-control-max-age") for _ in range(8)} == {None}


@pytest.mark.parametrize(
    ("path", "body", "version", "labels"),
    [
        ("", {"labels": {"b": "2"}}, "first", {"a": "1", "b": "2"}),
        ("", {"labels": {"a": None}}, "first", {}),
        ("", {"labels": {}}, "first", {}),
        ("", {"labels": None}, "first", None),
        ("/", {"labels": {"a": "3"}}, "first", {"a": "3"}),
        ("/labels", {"c": "4"}, "first", {"c": "4"}),
        ("/labels/c", "4", "first", {"a": "1", "c": "4"}),
        ("/plugins/proxy-rewrite/uri", "/headers?X-Version=second", "second", {"a": "1"}),
        ("", {"plugins": {"proxy-rewrite": {"uri": "/headers?X-Version=2"}}}, "2", {"a": "1"}),
        ("", {"status": 0}, None, {"a": "1"}),
        ("/methods", ["POST"], None, {"a": "1"}),
        ("/uri", "/elsewhere", None, {"a": "1"}),
    ],
)
def test_every_form_of_patch(
    gateway: Gateway, path: str, body: object, version: str | None, labels: dict[str, str] | None
) -> None:
    gateway.program.admin("DELETE", "routes/patch")
    gateway.put("patch", "first", labels={"a": "1"})
    answer = gateway.program.admin("PATCH", f"routes/patch{path}", json.dumps(body))
    assert answer.status == 200, answer
    assert answer.json["value"].get("labels") == labels
    stored = gateway.program.admin("GET", "routes/patch").json
    assert stored["value"] == answer.json["value"]
    assert gateway.version("patch") == version


def test_a_route_with_a_time_to_live_goes_by_itself(gateway: Gateway) -> None:
    answer = gateway.program.admin("PUT", "routes/ttl?ttl=1", gateway.document("/ttl", 1))
    assert (answer.status, gateway.version("ttl")) == (201, "1")
    gateway.program.wait_for(lambda: gateway.versions("ttl", 4) == {None}, "the end of a route with ttl=1")
    answer = gateway.program.admin("GET", "routes/ttl")
    assert (answer.status, answer.json) == (404, {"message": "Key not found"})


# -- conditions and many writers ---------------------------------------------------------------------------------------


def test_a_write_whose_condition_does_not_hold_changes_nothing(gateway: Gateway) -> None:
    program = gateway.program
    first = gateway.put("condition", 1).headers["etag"]
    second = gateway.put("condition", 2).headers["etag"]
    assert first != second
    document = gateway.document("/condition", 3)
    for method, headers in (
        ("PUT", {"If-Match": first}),
        ("PATCH", {"If-Match": first}),
        ("DELETE", {"If-Match": first}),
        ("PUT", {"If-None-Match": "*"}),
    ):
        body = None if method == "DELETE" else document
        assert program.admin(method, "routes/condition", body, headers).status == 412
        assert gateway.version("condition") == "2"
    assert program.admin("PUT", "routes/condition", document, {"If-Match": second}).status == 200
    assert gateway.version("condition") == "3"


def test_writers_at_the_same_time_lose_nothing(gateway: Gateway) -> None:
    gateway.put("many", 0, labels={"made": "by"})
    faults: list[str] = []

    def write(writer: int) -> None:
        for number in range(10):
            name = f"many-{writer}-{number}"
            gateway.put(name, number)
            if gateway.version(name) != str(number):
                faults.append(f"{name} was not live when its PUT was answered")
            answer = gateway.program.admin("PATCH", "routes/many", {"labels": {name: str(number)}})
            if answer.status != 200:
                faults.append(str(answer))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert faults == []
    names = {f"many-{writer}-{number}": str(number) for writer in range(8) for number in range(10)}
    assert gateway.program.admin("GET", "routes/many").json["value"]["labels"] == {"made": "by", **names}
    listed = gateway.program.admin("GET", "routes").json["list"]
    assert names.keys() <= {item["value"]["id"] for item in listed}
    indexes = [item["modifiedIndex"] for item in listed]
    assert len(set(indexes)) == len(indexes)


def test_a_condition_lets_one_of_many_writers_through(gateway: Gateway) -> None:
    tag = gateway.put("race", "before").headers["etag"]
    statuses: list[int] = []

    def write(version: int) -> None:
        answer = gateway.program.admin("PUT", "routes/race", gateway.document("/race", version), {"If-Match": tag})
        statuses.append(answer.status)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 7


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"upstream": {"nodes": {"127.0.0.1:1": 1}, "scheme": "grpc"}}, "is not proxied"),
        ({"vars": [["arg_a", "~~", "(?<=a)b"]]}, "vars"),
        ({"plugins": {"cors": {"allow_origins_by_regex": ["(?!a)"]}}}, "plugin cors"),
        ({"plugins": {"nowhere": {}}}, "unknown plugin [nowhere]"),
        ({"service_id": "nowhere"}, "failed to fetch service info by service id [nowhere], response code: 404"),
        ({"filter_func": "function(vars) return true end"}, "filter_func"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_write_that_cannot_be_served_changes_nothing(
    gateway: Gateway, method: str, change: dict[str, Any], text: str
) -> None:
    gateway.put("bad", "good")
    before = gateway.program.admin("GET", "routes/bad").json
    document = {**gateway.document("/bad", "bad"), **change}
    answer = gateway.program.admin(method, "routes/bad", document)
    assert (answer.status, text in answer.json["error_msg"]) == (400, True), answer
    assert gateway.program.admin("GET", "routes/bad").json == before
    assert gateway.versions("bad", 4) == {"good"}


def test_a_second_global_rule_with_the_same_plugin_changes_nothing(gateway: Gateway) -> None:
    program = gateway.program
    assert program.put("global_rules/one", {"plugins": {"cors": {"max_age": 7}}}).status == 201
    answer = program.put("global_rules/two", {"plugins": {"cors": {"max_age": 8}}})
    assert answer.status == 400, answer
    assert program.admin("GET", "global_rules/two").status == 404
    assert get(program.port, "/no-route").get(b"access-control-max-age") == b"7"
    assert program.admin("DELETE", "global_rules/one").status == 200


# -- the API's own description -----------------------------------------------------------------------------------------


def test_the_openapi_document_holds_the_full_schemas_of_requests(gateway: Gateway) -> None:
    answer = gateway.program.admin("GET", "openapi.json")
    assert answer.status == 200
    document = answer.json
    assert document["openapi"].startswith("3.")
    for reference in _references(document):
        assert _resolve(document, reference), reference
    for kind, keys in (
        (
            "routes",
            {"uri", "uris", "host", "hosts", "methods", "vars", "plugins", "upstream", "upstream_id", "timeout"},
        ),
        ("services", {"hosts", "plugins", "upstream", "upstream_id"}),
        ("upstreams", {"nodes", "type", "retries", "timeout", "scheme", "pass_host", "keepalive_pool", "tls"}),
        ("global_rules", {"plugins"}),
    ):
        operation = document["paths"][f"/apisix/admin/{kind}/{{id}}"]["put"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        schema = _resolve(document, schema["$ref"])
        assert keys <= schema["properties"].keys()
        assert schema["additionalProperties"] is False
        assert {"200", "201", "400", "412"} <= operation["responses"].keys()


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def _resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    node: Any = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    assert isinstance(node, dict)
    return node
