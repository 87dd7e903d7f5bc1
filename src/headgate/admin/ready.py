"""``GET /headgate/ready``: whether new connections are welcome here, for whoever balances them over several nodes.

Invariant: it says the same to everyone, from anywhere, with or without a key, and says nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Response

from headgate.admin.answers import Outcome, respond

PATH = "/headgate/ready"

Status = Literal["starting", "ready", "draining"]


@dataclass(slots=True)
class Readiness:
    """What is answered; ``starting`` until everything was ready once."""

    status: Status = "starting"


def create_ready_router(readiness: Readiness) -> APIRouter:
    """Give the router with ``GET`` and ``HEAD /headgate/ready``: 200 while ready, else 503."""
    router = APIRouter()

    async def ready() -> Response:
        answer = respond(Outcome(200 if readiness.status == "ready" else 503, {"status": readiness.status}))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    for method in ("GET", "HEAD"):
        router.add_api_route(
            PATH,
            ready,
            methods=[method],
            operation_id=f"{method.lower()}_ready",
            summary="Whether new connections are welcome",
            tags=["health"],
            response_class=Response,
            responses={
                200: {"description": "Everything serves.", "content": {"application/json": {}}},
                503: {
                    "description": "Starting, or draining: send new connections elsewhere.",
                    "content": {"application/json": {}},
                },
            },
        )
    return router
