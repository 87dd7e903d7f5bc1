from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.admin.api_under_test import Api, run

from headgate.config.change import KINDS
from headgate.config.resource import SINGULAR
from headgate.config.validation import MODELS


def _document(data_dir: Path) -> dict[str, Any]:
    documents: list[dict[str, Any]] = []

    async def scenario(api: Api) -> None:
        answer = await api("GET", "/openapi.json")
        assert answer.status_code == 200
        documents.append(answer.json())

    run(data_dir, scenario)
    return documents[0]


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(child) for child in node.values()))
    return set().union(*(_references(child) for child in node)) if isinstance(node, list) else set()


def test_every_operation_of_every_resource_is_there_with_its_statuses(data_dir: Path) -> None:
    paths = _document(data_dir)["paths"]

    for kind in KINDS:
        collection, item = paths[f"/apisix/admin/{kind}"], paths[f"/apisix/admin/{kind}/{{id}}"]
        assert set(collection) == ({"get", "put"} if kind == "global_rules" else {"get", "put", "post"})
        assert set(item) == {"get", "put", "patch", "delete"}
        assert {"200", "201", "400", "401", "403", "405", "412", "503"} == set(item["put"]["responses"])
        assert item["delete"]["operationId"] == f"delete_{SINGULAR[kind]}".replace(" ", "_")


def test_request_bodies_have_the_full_schema_of_their_model(data_dir: Path) -> None:
    document = _document(data_dir)

    for kind in KINDS:
        body = document["paths"][f"/apisix/admin/{kind}/{{id}}"]["put"]["requestBody"]
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][name]["properties"]) == set(MODELS[kind].model_fields)


def test_every_reference_leads_somewhere_and_nothing_of_the_framework_shows(data_dir: Path) -> None:
    document = _document(data_dir)
    schemas = document["components"]["schemas"]

    assert {reference.removeprefix("#/components/schemas/") for reference in _references(document)} <= set(schemas)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all("422" not in operation["responses"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_path_parameters_are_declared(data_dir: Path) -> None:
    for path, operations in _document(data_dir)["paths"].items():
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in operations.values():
            declared = {entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "path"}
            assert declared == wanted, path
