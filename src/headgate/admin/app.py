"""The Admin API as one ASGI application.

Invariants: a request passes the access rules first; every answer, error answers included, is in the API's own shape;
the application does no I/O of its own but what its committer does. Serve it with the server's own ``Server`` header
switched off.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate import __version__
from headgate.admin.access import PREFIX, AccessMiddleware, AccessRules
from headgate.admin.answers import Outcome, error, respond
from headgate.admin.faults import FaultMiddleware
from headgate.admin.openapi import document_app
from headgate.admin.plugin_routes import plugin_router
from headgate.admin.resource_routes import resource_router
from headgate.admin.resources import Resources
from headgate.admin.unserved import unserved
from headgate.admin.write_queue import Committer
from headgate.admin.writes import Writer
from headgate.plugins.catalog import Catalog

_METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PURGE"]


def create_app(
    *,
    resources: Resources,
    committer: Committer | None,
    plugins: Catalog,
    access: AccessRules,
    extra: Sequence[APIRouter] = (),
) -> FastAPI:
    """Make the application.

    ``committer`` None makes the API read-only (the configuration comes from a routes file). ``extra`` routers are
    mounted at the top, behind the same access rules. The OpenAPI document is at ``/apisix/admin/openapi.json``.
    """
    app = FastAPI(
        title="headgate Admin API",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # FastAPI's page loads its scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _raised, RequestValidationError: _unfit},
    )
    app.include_router(resource_router(resources, committer, Writer(plugins)), prefix=PREFIX)
    app.include_router(plugin_router(plugins), prefix=PREFIX)
    for router in extra:
        app.include_router(router)
    app.add_route("/{path:path}", _rest, methods=_METHODS, include_in_schema=False)
    app.add_middleware(_TrailingSlashMiddleware)
    app.add_middleware(FaultMiddleware)
    app.add_middleware(AccessMiddleware, rules=access)
    document_app(app)
    return app


async def _rest(request: Request) -> Response:
    """Answer what no route takes: liveness, resources that are not served, anything else."""
    path = request.url.path
    if path == PREFIX and request.method == "HEAD":
        return respond(Outcome(200))
    resource, _, _ = path.removeprefix(f"{PREFIX}/").partition("/")
    if path.startswith(f"{PREFIX}/") and resource not in {"plugins", "schema"}:
        return respond(unserved(resource))
    return respond(error(404, "not found"))


async def _raised(_: Request, fault: Exception) -> Response:
    """Answer what an extra router raises for its client."""
    assert isinstance(fault, HTTPException)
    return respond(error(fault.status_code, str(fault.detail)))


async def _unfit(_: Request, fault: Exception) -> Response:
    """Answer a request that does not fit the parameters an extra router declares; ours declare none."""
    assert isinstance(fault, RequestValidationError)
    places = ", ".join(" ".join(str(step) for step in problem["loc"]) for problem in fault.errors())
    return respond(error(400, f"invalid request: {places}"))


class _TrailingSlashMiddleware:
    """Takes ``/routes/`` for ``/routes``, as APISIX does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self._app(scope, receive, send)
