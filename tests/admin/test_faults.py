from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from headgate.admin.faults import FaultMiddleware


def _run(scope: dict[str, Any], *, before: Message | None, fault: Exception) -> list[Message]:
    sent: list[Message] = []

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        if before is not None:
            await send(before)
        raise fault

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        asyncio.run(FaultMiddleware(application)(scope, receive, send))
    except type(fault) as raised:
        sent.append({"type": "raised", "fault": raised})
    return sent


HTTP = {"type": "http", "method": "GET", "path": "/apisix/admin/routes"}
START = {"type": "http.response.start", "status": 200, "headers": []}


def test_a_defect_answers_500_without_its_text_and_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        start, body = _run(HTTP, before=None, fault=RuntimeError("secret"))

    assert start["status"] == 500
    assert body["body"] == b'{"error_msg":"internal error; see headgate\'s log"}\n'
    (log,) = logs
    assert (log["event"], log["log_level"], log["path"]) == ("admin_request_failed", "error", "/apisix/admin/routes")


def test_a_defect_after_the_response_has_started_cuts_it() -> None:
    fault = RuntimeError("late")

    with structlog.testing.capture_logs() as logs:
        assert _run(HTTP, before=START, fault=fault) == [START, {"type": "raised", "fault": fault}]

    assert len(logs) == 1


def test_a_client_that_left_is_no_defect() -> None:
    with structlog.testing.capture_logs() as logs:
        assert _run(HTTP, before=None, fault=ClientDisconnect()) == []

    assert logs == []


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_pass_untouched(kind: str) -> None:
    fault = RuntimeError("theirs")

    assert _run({"type": kind}, before=None, fault=fault) == [{"type": "raised", "fault": fault}]
