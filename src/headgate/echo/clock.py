"""The clock: what kljensen/golang-html5-sse-example answers.

One number for the whole process counts up from 0 at the start, and every client gets the same message for it; who
comes late starts with a larger number. Nothing, not even a head, is sent before the first message. There is no task
and no list of clients: message n is due n intervals after the start and its text follows from n alone.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headgate.echo.asgi import (
    Application,
    Log,
    Receive,
    Scope,
    Send,
    leaves_within,
    print_line,
    respond,
    send_piece,
    start_response,
)
from headgate.echo.pages import EVENTS_PAGE
from headgate.wire.headers import Headers

_STREAM = ((b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-cache"), (b"Connection", b"keep-alive"))
_HTML = (b"Content-Type", b"text/html; charset=utf-8")
_MOVED = b'<a href="%s">Moved Permanently</a>.\n\n'


def app(*, interval_s: float = 5.0, log: Log = print_line) -> Application:
    """Make the application, and start its count; ``interval_s`` is the time between two messages."""
    return _Clock(interval_s, log)


def format_go_time(moment_ns: int, since_start_s: float) -> str:
    """Write a moment (nanoseconds since 1970) as Go's time.Time prints: local zone, nanoseconds, monotonic reading."""
    seconds, nanoseconds = divmod(moment_ns, 10**9)
    local = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {local:%z %Z} m=+{since_start_s:.9f}"


@dataclass(frozen=True, slots=True)
class _Clock:
    interval_s: float
    log: Log
    started_s: float = field(default_factory=time.monotonic)
    started_ns: int = field(default_factory=time.time_ns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/events/"):
            await self._stream(receive, send)
        elif path == "/events":
            query = scope["query_string"]
            location = b"/events/?" + query if query else b"/events/"
            await respond(send, 301, Headers.of([_HTML, (b"Location", location)]), _MOVED % location)
        elif path == "/":
            await respond(send, 200, Headers.of([_HTML]), EVENTS_PAGE)
        else:
            await respond(send, 404, Headers())
        self.log(f"Finished HTTP request at {path}")

    async def _stream(self, receive: Receive, send: Send) -> None:
        number = math.floor((time.monotonic() - self.started_s) / self.interval_s) + 1
        has_head = False
        while not await leaves_within(receive, self._due_s(number) - time.monotonic()):
            if not has_head:
                await start_response(send, 200, Headers.of(_STREAM))
                has_head = True
            await send_piece(send, self._message(number))
            number += 1

    def _due_s(self, number: int) -> float:
        return self.started_s + number * self.interval_s

    def _message(self, number: int) -> bytes:
        since_start_s = number * self.interval_s
        moment = format_go_time(self.started_ns + round(since_start_s * 10**9), since_start_s)
        return f"data: Message: {number} - the time is {moment}\n\n".encode()
