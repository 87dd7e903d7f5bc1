"""The paths of open streams: ``/headgate/streams``, ``/headgate/streams/<id>`` and ``/headgate/streams/<id>/events``.

Invariants: every answer comes in bounded time, with the workers named that did not answer; what passes on a stream is shown
only to who may write, and the rest of an event to everybody who is let in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from headgate.admin.access import AccessRules
from headgate.admin.answers import Outcome, Refusal, error, respond
from headgate.admin.listing import page_of
from headgate.admin.openapi import parameter, responses
from headgate.admin.stream_inquiry import NoSuchStream, Streams, TailRefused, Wanted, Worker
from headgate.admin.stream_tail import TailResponse

PATH = "/headgate/streams"

_MEDIA_TYPE = "text/event-stream"


class StreamEndpoints:
    """The endpoints for open streams."""

    def __init__(self, streams: Streams, access: AccessRules) -> None:
        self._streams = streams
        self._access = access

    async def list(self, request: Request) -> Response:
        """List the streams that the query asks for, the oldest first."""
        query = request.query_params
        try:
            page = page_of(query)
        except Refusal as refusal:
            return respond(refusal.outcome)
        wanted = Wanted(route=query.get("route"), client=query.get("client"), consumer=query.get("consumer"))
        listing = await self._streams.search(wanted, page.stop)
        body = {
            "list": listing.rows[page],
            "total": listing.total,
            "missing_workers": _named(listing.missing_workers),
        }
        return respond(Outcome(200, body))

    async def show(self, request: Request) -> Response:
        """Show one stream."""
        try:
            return respond(Outcome(200, await self._streams.get(request.path_params["id"])))
        except NoSuchStream as absent:
            return respond(_absent(absent))

    async def kill(self, request: Request) -> Response:
        """End a stream."""
        stream_id = request.path_params["id"]
        try:
            ending = await self._streams.kill(stream_id)
        except NoSuchStream as absent:
            return respond(_absent(absent))
        return respond(Outcome(200, {"id": stream_id, "ending": ending.value}))

    async def tail(self, request: Request) -> Response:
        """Show what passes on a stream, until it ends or the caller leaves."""
        with_data = request.query_params.get("data") == "true"
        if with_data and self._access.is_viewer(request):
            return respond(error(403, "role viewer may not see data: leave out data=true, or use an admin key"))
        try:
            tail = await self._streams.tail(request.path_params["id"], with_data=with_data)
        except NoSuchStream as absent:
            return respond(_absent(absent))
        except TailRefused as refused:
            return respond(error(503 if refused.is_busy else 409, str(refused)))
        return TailResponse(tail)


def _absent(absent: NoSuchStream) -> Outcome:
    """Answer 404, unless a worker that may have the stream did not answer: then 503."""
    if not absent.missing_workers:
        return error(404, "no such stream")
    names = ", ".join(f"worker {one.worker} (pid {one.pid})" for one in absent.missing_workers)
    body = {
        "error_msg": f"no such stream on the workers that answer; {names} did not",
        "missing_workers": _named(absent.missing_workers),
    }
    return Outcome(503, body)


def _named(workers: Sequence[Worker]) -> Sequence[dict[str, Any]]:
    return [asdict(worker) for worker in workers]


def stream_router(streams: Streams, access: AccessRules) -> APIRouter:
    """Make the routes for open streams; ``access`` are the rules that they stand behind."""
    router = APIRouter()
    endpoints = StreamEndpoints(streams, access)
    one = parameter("id", "path", "Id of the stream: X-Stream-Id, and id in the access log.")
    filters = [
        parameter("route", "query", "Id of the route."),
        parameter("client", "query", "Address of the client."),
        parameter("consumer", "query", "Name of the consumer; there are none yet."),
        parameter("page", "query", "Page, from 1; needs page_size."),
        parameter("page_size", "query", "Streams in one page, 10 to 500; needs page."),
    ]
    data = parameter("data", "query", '"true" shows the data of events; not for viewers.')
    for method, path, answer, summary, parameters, statuses in (
        ("GET", PATH, endpoints.list, "List open streams", filters, (200, 400, 401, 403)),
        ("GET", f"{PATH}/{{id}}", endpoints.show, "Get open stream", [one], (200, 401, 403, 404, 503)),
        ("DELETE", f"{PATH}/{{id}}", endpoints.kill, "Kill stream", [one], (200, 401, 403, 404, 503)),
        ("GET", f"{PATH}/{{id}}/events", endpoints.tail, "Tail stream", [one, data], (200, 401, 403, 404, 409, 503)),
    ):
        router.add_api_route(
            path,
            answer,
            methods=[method],
            tags=["open streams"],
            operation_id=summary.lower().replace(" ", "_"),
            summary=summary,
            response_class=Response,
            responses=_responses(statuses, is_tail=path.endswith("/events")),
            openapi_extra={"parameters": parameters},
        )
    return router


def _responses(statuses: Sequence[int], *, is_tail: bool) -> dict[int | str, dict[str, Any]]:
    texts = {
        200: "Done; the answer says what was found.",
        403: "Not from this machine and no keys configured; or a viewer asks for data.",
        404: "There is no such stream.",
        409: "The stream's events cannot be read.",
        503: "A worker that may have the stream does not answer, or has too many tails.",
    }
    described = responses([status for status in statuses if status not in texts])
    described |= {status: {"description": text} for status, text in texts.items() if status in statuses}
    for status, response in described.items():
        media_type = _MEDIA_TYPE if is_tail and status == 200 else "application/json"
        response["content"] = {media_type: {}}
    return described
