"""The OpenAPI document: which operations there are, what each takes and which statuses it answers.

Invariants: the schemas are those of the models that validate the documents, so the two cannot differ; no operation
has FastAPI's own 422, which is never sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from headgate.config.change import Kind
from headgate.config.resource import SINGULAR
from headgate.config.validation import MODELS

_LIST_PARAMETERS: Mapping[str, str] = {
    "page": "Page, from 1; needs page_size.",
    "page_size": "Resources in one page, 10 to 500; needs page.",
    "name": "Regular expression (RE2) to find in the name.",
    "label": "Key of a label.",
    "uri": "Regular expression (RE2) to find in uri or one of uris.",
    "filter": "URL-encoded fields that have to be equal, such as service_id=1&upstream_id=2 (routes).",
}

_TEXTS = {
    200: "Done; the answer shows the resource.",
    201: "Made; the answer shows the resource.",
    400: "Refused; error_msg says why.",
    401: "No key or a wrong one.",
    403: "Not from this machine and no keys configured.",
    404: "There is no such resource.",
    405: "The configuration comes from a routes file.",
    412: "If-Match or If-None-Match does not hold.",
    503: "The store cannot be written.",
}
_STATUSES: Mapping[tuple[str, bool], tuple[int, ...]] = {
    ("GET", False): (200, 400, 401, 403),
    ("PUT", False): (200, 201, 400, 401, 403, 405, 412, 503),
    ("POST", False): (201, 400, 401, 403, 405, 412, 503),
    ("GET", True): (200, 401, 403, 404),
    ("PUT", True): (200, 201, 400, 401, 403, 405, 412, 503),
    ("PATCH", True): (200, 400, 401, 403, 404, 405, 412, 503),
    ("DELETE", True): (200, 400, 401, 403, 404, 405, 412, 503),
}
"""The documented operations: method and whether the path has an id, with the statuses that it can answer."""

_NAMES = {"GET": "get", "PUT": "put", "POST": "post", "PATCH": "patch", "DELETE": "delete"}


def document_resource(router: APIRouter, kind: Kind, answer: Callable[[Request], Awaitable[Response]]) -> None:
    """Add the documented operations of a kind to ``router``; ``answer`` serves all of them."""
    for (method, has_id), statuses in _STATUSES.items():
        if method == "POST" and kind == "global_rules":
            continue
        word = SINGULAR[kind] if has_id else kind
        verb = _NAMES[method] if has_id or method != "GET" else "list"
        router.add_api_route(
            f"/{kind}/{{id}}" if has_id else f"/{kind}",
            answer,
            methods=[method],
            tags=[kind],
            operation_id=f"{verb}_{word}".replace(" ", "_"),
            summary=f"{verb} {word}".replace("_", " ").capitalize(),
            response_class=Response,
            status_code=statuses[0],
            responses=responses(statuses),
            openapi_extra=_extra(kind, method, has_id=has_id),
        )


def responses(statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    """Give FastAPI's ``responses`` for statuses that answer JSON."""
    return {status: {"description": _TEXTS[status], "content": {"application/json": {}}} for status in statuses}


def parameter(name: str, place: str, description: str) -> dict[str, Any]:
    """Describe a text parameter; ``place`` is path, query or header."""
    schema = {"type": "string"}
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


def document_app(app: FastAPI) -> None:
    """Make the application's OpenAPI document hold the resources' schemas."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            _, models = models_json_schema(
                [(model, "validation") for model in MODELS.values()], ref_template="#/components/schemas/{model}"
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(models["$defs"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # the way that FastAPI documents


def _extra(kind: Kind, method: str, *, has_id: bool) -> dict[str, Any]:
    with_body = method not in {"GET", "DELETE"}
    parameters = [parameter("id", "path", "Id of the resource.")] if has_id else []
    if method == "GET" and not has_id:
        parameters += [parameter(name, "query", text) for name, text in _LIST_PARAMETERS.items()]
    if with_body:
        parameters.append(parameter("ttl", "query", "Seconds after which the resource expires."))
    if method == "DELETE":
        parameters.append(parameter("force", "query", '"true" deletes a resource that others refer to.'))
    if method != "GET":
        parameters.append(parameter("If-Match", "header", "ETag (modifiedIndex) that the resource must have."))
        parameters.append(parameter("If-None-Match", "header", '"*" = only if there is no such resource yet.'))
    return {"parameters": parameters, **(_body(kind, method) if with_body else {})}


def _body(kind: Kind, method: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{MODELS[kind].__name__}"}
    schema = {"type": "object", "description": "What to merge in; null deletes."} if method == "PATCH" else reference
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
