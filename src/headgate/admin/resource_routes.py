"""The paths of the resources: ``/apisix/admin/routes``, ``/apisix/admin/routes/1`` and so on.

Invariants: every method of every path is answered here or by the catch-all in ``app``, so the framework's own errors
never show. A write is judged by :mod:`headgate.admin.writes` inside the queue; reads never wait for one.
"""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from headgate.admin.answers import Outcome, Refusal, error, key_not_found, refuse, respond, shown
from headgate.admin.body import MISSING, read_document
from headgate.admin.listing import list_items
from headgate.admin.openapi import document_resource
from headgate.admin.preconditions import Preconditions
from headgate.admin.resources import Resources
from headgate.admin.write_queue import Committer
from headgate.admin.writes import Writer, WriteRequest
from headgate.config.change import KINDS, Kind
from headgate.config.resource import SINGULAR

READ_ONLY = "the configuration comes from a routes file and the Admin API only shows it: change the file instead"

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
WITHOUT_BODY = ("GET", "DELETE")

_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,9})?|\.\d{1,9})")


class ResourceEndpoints:
    """The endpoints of one kind. ``committer`` None = read-only."""

    def __init__(self, kind: Kind, resources: Resources, committer: Committer | None, writer: Writer) -> None:
        self._kind = kind
        self._resources = resources
        self._committer = committer
        self._writes = {"PUT": writer.put, "POST": writer.post, "PATCH": writer.patch, "DELETE": writer.delete}

    async def answer(self, request: Request) -> Response:
        """Answer any method on a path of this kind."""
        try:
            return respond(await self._outcome(request))
        except Refusal as refusal:
            return respond(refusal.outcome)

    async def _outcome(self, request: Request) -> Outcome:
        method = request.method
        sub_path = _sub_path(request)
        if method not in METHODS or (sub_path and method != "PATCH"):
            return error(404, "not found")
        if method == "POST" and self._kind == "global_rules":
            return error(405, f"not supported `POST` method for {SINGULAR[self._kind]}")
        if method == "GET":
            return self._read(request)
        if self._committer is None:
            return error(405, READ_ONLY)
        write = await self._write_request(request, sub_path)
        operation = self._writes[method]
        return await self._committer.commit(lambda state: operation(write, state))

    def _read(self, request: Request) -> Outcome:
        resource_id = request.path_params.get("id")
        _ttl_s(request)
        if resource_id is None:
            return list_items(self._kind, self._resources.all(self._kind), request.query_params)
        item = self._resources.get(self._kind, resource_id)
        return key_not_found() if item is None else shown(item)

    async def _write_request(self, request: Request, sub_path: tuple[str, ...]) -> WriteRequest:
        document = MISSING if request.method in WITHOUT_BODY else await read_document(request)
        return WriteRequest(
            kind=self._kind,
            resource_id=request.path_params.get("id"),
            document=document,
            sub_path=sub_path,
            ttl_s=_ttl_s(request),
            force=request.query_params.get("force") == "true",
            preconditions=Preconditions(request.headers.get("if-match"), request.headers.get("if-none-match")),
        )


def resource_router(resources: Resources, committer: Committer | None, writer: Writer) -> APIRouter:
    """Make the routes of all four kinds; ``committer`` None = read-only."""
    router = APIRouter()
    for kind in KINDS:
        answer = ResourceEndpoints(kind, resources, committer, writer).answer
        document_resource(router, kind, answer)
        # What is not documented is still answered in the API's own words.
        for path in (f"/{kind}", f"/{kind}/{{id}}", f"/{kind}/{{id}}/{{sub_path:path}}"):
            router.add_route(path, answer, methods=[*METHODS, "HEAD", "TRACE"])
    return router


def _sub_path(request: Request) -> tuple[str, ...]:
    text = request.path_params.get("sub_path", "").strip("/")
    return tuple(text.split("/")) if text else ()


def _ttl_s(request: Request) -> float | None:
    """Read ``?ttl=``; APISIX checks it on every method."""
    text = request.query_params.get("ttl")
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise refuse(400, "invalid argument ttl: should be a number")
    if float(text) <= 0:
        raise refuse(400, "invalid argument ttl: should be greater than 0")
    return float(text)
