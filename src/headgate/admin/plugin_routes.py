"""What there is to configure: the plugins, the schemas, and checking a document without storing it.

Invariants: nothing here changes anything; ``PUT /plugins/reload`` answers as APISIX does, and there is nothing for it
to do, as plugins are loaded when the process starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from headgate.admin.answers import Outcome, Refusal, error, respond
from headgate.admin.body import MISSING, read_document
from headgate.admin.openapi import parameter, responses
from headgate.admin.unserved import unserved
from headgate.config.change import KINDS, Kind
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.resource import SINGULAR
from headgate.config.validation import MODELS, validate
from headgate.plugins.catalog import Catalog

_PREFIX = "invalid configuration: "
_METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "TRACE"]


class PluginEndpoints:
    """The endpoints for plugins and schemas."""

    def __init__(self, plugins: Catalog) -> None:
        self._plugins = plugins

    async def names(self, request: Request) -> Response:
        """List the plugins' names, the highest priority first; a plugin of the stream subsystem there is none."""
        subsystem = request.query_params.get("subsystem", "http")
        if subsystem not in {"http", "stream"}:
            return respond(Outcome(400, "invalid subsystem passed"))
        return respond(Outcome(200, self._plugins.names_by_priority() if subsystem == "http" else []))

    async def plugin(self, request: Request) -> Response:
        """Show one plugin's schema or, with ``?all=true``, everything about all of them."""
        subsystem = request.query_params.get("subsystem", "http")
        if subsystem not in {"http", "stream"}:
            return respond(error(400, f"unsupported subsystem: {subsystem}"))
        if request.query_params.get("all") == "true":
            return respond(Outcome(200, self._all() if subsystem == "http" else {}))
        name = request.path_params.get("name", "")
        if subsystem == "stream" or name not in self._plugins:
            return respond(error(404, f"plugin not found in subsystem {subsystem}"))
        if request.query_params.get("schema_type") == "consumer":
            return respond(error(400, "not found schema"))
        return respond(Outcome(200, self._plugins.schema(name)))

    async def reload(self, request: Request) -> Response:
        """Answer ``done``."""
        if request.method == "PUT":
            return respond(Outcome(200, "done"))
        text = f"please use PUT method to reload the plugins, {request.method} method is not allowed."
        return respond(error(405, text))

    async def schema(self, request: Request) -> Response:
        """Show the JSON schema of a resource, named in the singular (APISIX) or as in the paths."""
        name = request.path_params["resource"]
        kind = _kinds().get(name)
        if kind is None:
            return respond(error(400, f"not found schema: {name}"))
        return respond(Outcome(200, MODELS[kind].model_json_schema()))

    async def check(self, request: Request) -> Response:
        """Check a document as a PUT would, but for its references: 200 and nothing, or 400 and why."""
        name = request.path_params["resource"]
        if name not in KINDS:
            return respond(unserved(name))
        try:
            document = await read_document(request)
            if document is MISSING:
                return respond(error(400, "missing configurations"))
            validate(_kinds()[name], document, self._plugins)
        except Refusal as refusal:
            return respond(refusal.outcome)
        except InvalidConfiguration as fault:
            return respond(error(400, fault.text.removeprefix(_PREFIX)))
        return respond(Outcome(200))

    def _all(self) -> dict[str, Any]:
        return {
            name: {"priority": plugin.priority, "version": plugin.version, "schema": self._plugins.schema(name)}
            for name in self._plugins.names_by_priority()
            for plugin in (self._plugins.plugin(name),)
        }


def plugin_router(plugins: Catalog) -> APIRouter:
    """Make the routes for plugins and schemas."""
    router = APIRouter()
    endpoints = PluginEndpoints(plugins)
    # Before the routes that would take "reload" for the name of a plugin.
    router.add_route("/plugins/reload", endpoints.reload, methods=_METHODS)
    subsystem = parameter("subsystem", "query", "http (default) or stream.")
    name = parameter("name", "path", "Name of the plugin.")
    every = parameter("all", "query", '"true" shows schema, priority and version of all plugins.')
    resource = parameter("resource", "path", "Kind of resource, such as routes.")
    for method, path, answer, summary, parameters, statuses in (
        ("GET", "/plugins/list", endpoints.names, "List plugins", [subsystem], (200, 400)),
        ("PUT", "/plugins/reload", endpoints.reload, "Reload plugins", [], (200,)),
        ("GET", "/plugins", endpoints.plugin, "Get all plugins", [every, subsystem], (200, 400, 404)),
        ("GET", "/plugins/{name}", endpoints.plugin, "Get plugin", [name, subsystem], (200, 400, 404)),
        ("GET", "/schema/plugins", endpoints.plugin, "Get all plugin schemas", [every, subsystem], (200, 400, 404)),
        ("GET", "/schema/plugins/{name}", endpoints.plugin, "Get plugin schema", [name, subsystem], (200, 400, 404)),
        ("GET", "/schema/{resource}", endpoints.schema, "Get schema", [resource], (200, 400)),
        ("POST", "/schema/validate/{resource}", endpoints.check, "Validate document", [resource], (200, 400, 404)),
    ):
        router.add_api_route(
            path,
            answer,
            methods=[method],
            tags=["plugins and schemas"],
            operation_id=summary.lower().replace(" ", "_"),
            summary=summary,
            response_class=Response,
            responses=responses((*statuses, 401, 403)),
            openapi_extra={"parameters": parameters},
        )
    return router


def _kinds() -> Mapping[str, Kind]:
    """Give the kinds by their names in paths and in the singular."""
    singular = {SINGULAR[kind].replace(" ", "_"): kind for kind in KINDS}
    return {**singular, **{kind: kind for kind in KINDS}}
