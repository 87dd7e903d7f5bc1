"""Who may use the Admin API, and the headers that every answer of it carries.

With keys: a key in ``?api_key=``, else ``X-API-KEY``, else the cookie ``x_api_key`` (APISIX, Admin API), from anywhere;
a viewer's only for GET. Without keys: this machine's own programs only. A browser is such a program too, so a page from
elsewhere must not be able to use it: the Host has to be a local name (else DNS rebinding), the Origin our own, and
nothing may show that the request was passed on by a proxy.

Invariants: the rules run before any routing; without keys no CORS header is ever sent; keys are compared in constant
time; ``OPTIONS`` and ``HEAD /apisix/admin`` (liveness) need no key; ``GET`` and ``HEAD /headgate/ready`` are everybody's.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate.admin.answers import Outcome, error, respond
from headgate.admin.ready import PATH as READY_PATH
from headgate.config.settings import AdminKey

PREFIX = "/apisix/admin"

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(:[0-9]*)?", re.IGNORECASE)
_PROXY_FIELDS = frozenset({"forwarded", "x-real-ip", "via"})
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "*",
    "Access-Control-Max-Age": "3600",
}
_CORS_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, GET, PUT, OPTIONS, DELETE, PATCH",
    "Access-Control-Allow-Headers": "*",
}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules. No keys = open to local programs only. ``cors`` counts only with keys (APISIX: enable_admin_cors)."""

    keys: Sequence[AdminKey] = ()
    cors: bool = True

    def judge(self, request: HTTPConnection) -> Outcome | None:
        """Give the answer to a request that is not let in, or None for one that is."""
        if _is_readiness(request):
            return None
        if self.keys:
            return None if _needs_no_key(request) else self._judge_key(request)
        fault = _foreign(request)
        return None if fault is None else error(403, fault)

    def is_viewer(self, request: HTTPConnection) -> bool:
        """Say whether a request that was let in comes with a viewer's key."""
        given = _given_key(request) or ""
        return any(key.role == "viewer" and hmac.compare_digest(key.key.encode(), given.encode()) for key in self.keys)

    def headers(self, method: str) -> dict[str, str]:
        """Give the headers that the answer to ``method`` carries, let in or not."""
        if not (self.keys and self.cors):
            return {"Server": "headgate"}
        preflight = _CORS_PREFLIGHT if method == "OPTIONS" else {}
        return {"Server": "headgate", **_CORS, **preflight}

    def _judge_key(self, request: HTTPConnection) -> Outcome | None:
        given = _given_key(request)
        if given is None:
            return _unauthorized("missing apikey")
        # Every key is compared, so that the time taken does not tell which one was near.
        matches = [key for key in self.keys if hmac.compare_digest(key.key.encode(), given.encode())]
        if not matches:
            return _unauthorized("wrong apikey")
        if matches[0].role == "viewer" and request.scope.get("method", "GET") != "GET":
            return _unauthorized("invalid method for role viewer")
        return None


class AccessMiddleware:
    """Pure ASGI middleware: judges each request, answers those not let in, adds the headers to every answer."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one connection; lifespan events pass."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket" and self._rules.judge(HTTPConnection(scope)) is not None:
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        extra = self._rules.headers(scope["method"])
        refusal = self._rules.judge(request)
        if refusal is None and not _needs_no_key(request) and scope["path"].startswith(PREFIX):
            extra["X-API-VERSION"] = "v3"

        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(extra)
            await send(message)

        if refusal is not None:
            await respond(refusal)(scope, receive, add_headers)
        elif scope["method"] == "OPTIONS":
            await respond(Outcome(200))(scope, receive, add_headers)
        else:
            await self._app(scope, receive, add_headers)


def _unauthorized(description: str) -> Outcome:
    return Outcome(401, {"error_msg": "failed to check token", "description": description})


def _needs_no_key(request: HTTPConnection) -> bool:
    method = request.scope.get("method")
    return method == "OPTIONS" or (method == "HEAD" and request.scope["path"].rstrip("/") == PREFIX)


def _is_readiness(request: HTTPConnection) -> bool:
    return request.scope.get("method") in {"GET", "HEAD"} and request.scope["path"].rstrip("/") == READY_PATH


def _given_key(request: HTTPConnection) -> str | None:
    for place, name in (
        (request.query_params, "api_key"),
        (request.headers, "x-api-key"),
        (request.cookies, "x_api_key"),
    ):
        if name in place:
            return place[name]
    return None


def _foreign(request: HTTPConnection) -> str | None:
    """Say why a request does not come straight from a program of this machine, or None if it does."""
    headers = request.headers
    hosts = headers.getlist("host")
    if request.client is None or not _is_loopback(request.client.host):
        return "without admin keys the Admin API is open to this machine only: configure admin_keys"
    if len(hosts) != 1 or not _is_local_host(hosts[0]):
        return "Host must be localhost, a 127.0.0.0/8 address or [::1]: configure admin_keys to use another name"
    if any(origin != f"{request.url.scheme}://{hosts[0]}" for origin in headers.getlist("origin")):
        return "Origin is not the Admin API's own: configure admin_keys to call it from other pages"
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return "Sec-Fetch-Site shows a request from another page: configure admin_keys to call it from there"
    return _passed_on(headers)


def _passed_on(headers: Headers) -> str | None:
    for name in headers:
        if name in _PROXY_FIELDS or name.startswith("x-forwarded-"):
            return f"{name} shows that the request came through a proxy: configure admin_keys to put one in front"
    return None


def _is_local_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower()
    return name == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
