"""The echo server: what jmalloc/echo-server answers over HTTP/1.1.

The last element of the path chooses: ``.ws`` a WebSocket page, ``.sse`` an event stream, anything else the request
written out. A WebSocket is echoed on every path. Environment, read for each request: ``SEND_SERVER_HOSTNAME`` (the
request field ``X-Send-Server-Hostname`` goes before it), ``SEND_HEADER_<NAME>``, ``LOG_HTTP_HEADERS``,
``LOG_HTTP_BODY``, ``WEBSOCKET_ROOT``. Event ids count from 1 on each connection; Last-Event-ID is not looked at.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from headgate.echo.asgi import (
    Application,
    Log,
    Receive,
    Scope,
    Send,
    leaves_within,
    print_line,
    read_body,
    respond,
    send_piece,
    start_response,
)
from headgate.echo.pages import websocket_page
from headgate.echo.request_dump import dump_headers, dump_request, find_header, hex_dump, request_url
from headgate.wire.headers import Headers, valid_name

_HEADER_PREFIX = "SEND_HEADER_"


def app(*, interval_s: float = 1.0, environ: Mapping[str, str] = os.environ, log: Log = print_line) -> Application:
    """Make the application; ``interval_s`` is the time between two ``time`` events."""
    return _Echo(interval_s, environ, log)


def format_rfc3339(moment: datetime) -> str:
    """Write a moment in its own zone to the second, UTC as ``Z`` (Go's time.RFC3339)."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class _Echo:
    interval_s: float
    environ: Mapping[str, str]
    log: Log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self._log_request({**scope, "method": "GET"}, b"")
            await self._echo_websocket(scope, receive, send)
            return
        body = await read_body(receive)
        self._log_request(scope, body)
        last_element = scope["path"].rstrip("/").rpartition("/")[2]
        if last_element == ".ws":
            await self._send_page(scope, send)
        elif last_element == ".sse":
            await self._stream(scope, body, receive, send)
        else:
            await self._send_dump(scope, body, send)

    async def _send_dump(self, scope: Scope, body: bytes, send: Send) -> None:
        headers = self._headers()
        headers.add(b"Content-Type", b"text/plain")
        served_by = f"{_served_by()}\n\n".encode() if self._sends_hostname(scope) else b""
        await respond(send, 200, headers, served_by + dump_request(scope, body))

    async def _send_page(self, scope: Scope, send: Send) -> None:
        headers = self._headers()
        headers.set(b"Content-Type", b"text/html; charset=utf-8")
        directory = scope["path"].rstrip("/").rpartition("/")[0]
        elements = f"{self.environ.get('WEBSOCKET_ROOT', '')}/{directory}".split("/")
        await respond(send, 200, headers, websocket_page("/" + "/".join(filter(None, elements))))

    async def _stream(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        headers = self._headers()
        headers.set(b"Content-Type", b"text/event-stream")
        headers.set(b"Cache-Control", b"no-cache")
        headers.set(b"Connection", b"keep-alive")
        headers.set(b"Access-Control-Allow-Origin", b"*")
        await start_response(send, 200, headers)
        stream = _EventStream(scope, send, self.log)
        if self._sends_hostname(scope):
            await stream.send_event(b"server", socket.gethostname().encode())
        await stream.send_event(b"request", dump_request(scope, body))
        clock = asyncio.get_running_loop().time
        due = clock() + self.interval_s
        while not await leaves_within(receive, due - clock()):
            await stream.send_event(b"time", format_rfc3339(datetime.now(tz=UTC).astimezone()).encode())
            due = max(due + self.interval_s, clock())  # ticks that a slow client made us miss are not made up for

    async def _echo_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.log(f"{_remote(scope)} | upgraded to websocket")
        await send({"type": "websocket.send", "text": _served_by() if self._sends_hostname(scope) else ""})
        while (message := await receive())["type"] == "websocket.receive":
            text, octets = message.get("text"), message.get("bytes")
            seen = f"txt | {text}" if text is not None else f"bin | {len(octets or b'')} byte(s)"
            self.log(f"{_remote(scope)} | {seen}")
            await send({"type": "websocket.send", "text": text, "bytes": octets})

    def _headers(self) -> Headers:
        headers = Headers()
        for key, value in self.environ.items():
            name = key.removeprefix(_HEADER_PREFIX).replace("_", "-").encode()
            if key.startswith(_HEADER_PREFIX) and valid_name(name):
                headers.set(name, " ".join(value.splitlines()).encode())
        return headers

    def _sends_hostname(self, scope: Scope) -> bool:
        asked = find_header(scope, b"x-send-server-hostname").decode("latin-1")
        return (asked or self.environ.get("SEND_SERVER_HOSTNAME", "")).lower() != "false"

    def _log_request(self, scope: Scope, body: bytes) -> None:
        logs_headers, logs_body = self.environ.get("LOG_HTTP_HEADERS"), self.environ.get("LOG_HTTP_BODY")
        rule = "--------  " if logs_headers or logs_body else ""
        self.log(f"{rule}{_remote(scope)} | {scope['method']} {request_url(scope).decode('latin-1')}")
        if logs_headers:
            self.log("Headers\n" + dump_headers(scope).decode("latin-1").removesuffix("\n"))
        if logs_body and body:
            self.log(hex_dump(body).removesuffix("\n"))


@dataclass(slots=True)
class _EventStream:
    """One client's events: fields in the order event, data, id; each event sent by itself."""

    scope: Scope
    send: Send
    log: Log
    last_id: int = 0

    async def send_event(self, event: bytes, data: bytes) -> None:
        # Split at LF only, as the original does: a CR in an echoed body stays within its line.
        self.last_id += 1
        lines = [b"event: " + event, *(b"data: " + line for line in data.split(b"\n")), b"id: %d" % self.last_id]
        for line in lines:
            self.log(f"{_remote(self.scope)} | sse | {line.decode(errors='replace')}")
        await send_piece(self.send, b"\n".join(lines) + b"\n\n")


def _served_by() -> str:
    return f"Request served by {socket.gethostname()}"


def _remote(scope: Scope) -> str:
    host, port = scope["client"]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
