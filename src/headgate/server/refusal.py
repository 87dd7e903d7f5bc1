"""Refusals that an EventSource survives.

A browser's EventSource takes any status but 200 for the end, for good (WHATWG HTML §9.2.3), and cannot see which one it
was. So where a route asks for it, "later" is said in a stream: a reconnection time, an event ``refused``, the end.
Answers that mean "never" or "not you" keep their status.
"""

from __future__ import annotations

import json

from headgate.plugins.api import Answer
from headgate.server.upstream_head import asks_for_events
from headgate.stream.event_stream_relay import jittered_ms
from headgate.stream.policy import Refusals, StreamPolicy
from headgate.wire.request import Request, ResponseHead
from headgate.wire.response_head import reason_of
from headgate.wire.sse import encode_event

TURNED = frozenset({429, 502, 503, 504})
"""The statuses that mean "later"."""

MAX_RETRY_S = 3600.0

_FIELDS = (
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
)


def is_turned(status: int, request: Request, policy: StreamPolicy) -> bool:
    """Say whether this refusal goes to this client as an event."""
    if policy.refusals is Refusals.STATUS or status not in TURNED or request.method == b"HEAD":
        return False
    return policy.refusals is Refusals.SSE or is_event_source(request)


def is_event_source(request: Request) -> bool:
    """Say whether a browser's EventSource asks, or a script of a page that asks for the same.

    ``Sec-Fetch-Mode: cors`` is what it sends (Fetch Metadata); over plain HTTP to another host than localhost browsers
    leave it out, and then Origin or Referer and a browser's User-Agent tell.
    """
    headers = request.headers
    if request.method != b"GET" or not asks_for_events(request):
        return False
    mode = headers.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"cors"
    comes_from_a_page = b"origin" in headers or b"referer" in headers
    return comes_from_a_page and (headers.get(b"user-agent") or b"").startswith(b"Mozilla/")


def of(head: ResponseHead) -> Answer:
    """Give an upstream's refusal as an answer without its body."""
    return Answer(head.status, headers=tuple((name, value) for _, name, value in head.headers))


def as_event(answer: Answer, policy: StreamPolicy) -> Answer:
    """Give the stream that says it. A Retry-After in seconds is the least time to wait then, up to an hour.

    Of the answer's fields only those go on that let a page of another origin hear of it (Fetch, "CORS protocol").
    """
    wait = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
    least_s = min(float(wait), MAX_RETRY_S) if wait.isdigit() and len(wait) < 10 else 0.0
    said = json.dumps({"status": answer.status, "reason": reason_of(answer.status).decode()}, separators=(",", ":"))
    retry_ms = jittered_ms(max(policy.retry_s, least_s))
    lets_in = tuple(field for field in answer.headers if _lets_in(field[0].lower()))
    return Answer(200, encode_event(said, event="refused", retry_ms=retry_ms), _FIELDS + lets_in)


def _lets_in(name: bytes) -> bool:
    return name == b"vary" or name.startswith(b"access-control-")
