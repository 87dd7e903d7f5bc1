"""The last catch: whatever goes wrong in the application answers 500 in the Admin API's shape and is logged once.

Invariant: no traceback and no exception text reaches a client. A client that leaves before its body is read is not an
error and gets no answer.
"""

from __future__ import annotations

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate.admin.answers import error, respond

_log = structlog.get_logger(__name__)


class FaultMiddleware:
    """Pure ASGI middleware around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; answer 500 if it fails before its response has started."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("admin_request_failed", method=scope["method"], path=scope["path"])
            if started:
                raise  # the server cuts the connection, which is all that can still be said
            await respond(error(500, "internal error; see headgate's log"))(scope, receive, send)
