from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from headgate.admin.access import AccessMiddleware, AccessRules
from headgate.config.settings import AdminKey

ADMIN = AdminKey(name="ops", key="edd1c9f034335f136f87ad84b625c8f1", role="admin")
VIEWER = AdminKey(name="screen", key="4054f7cf07e344346cd3f287985e76a2", role="viewer")
KEYED = AccessRules(keys=(ADMIN, VIEWER))
KEYLESS = AccessRules()

Fields = list[tuple[str, str]]
LOCAL: Fields = [("host", "127.0.0.1:9180")]


class Answer:
    """A response as it was sent; ``served`` says whether the application behind the middleware made it."""

    def __init__(self, messages: list[Message]) -> None:
        start = messages[0]
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])
        self.served = self.headers.get("x-application") == "yes"


async def _application(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-application", b"yes")]})
    await send({"type": "http.response.body", "body": b""})


def _messages(rules: AccessRules, scope: Scope) -> list[Message]:
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the access rules read no body")

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(AccessMiddleware(_application, rules)(scope, receive, send))
    return messages


def _scope(method: str, path: str, fields: Fields, query: str, client: tuple[str, int] | None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "server": ("127.0.0.1", 9180),
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields],
        "client": client,
    }


def _ask(
    rules: AccessRules,
    method: str = "GET",
    path: str = "/apisix/admin/routes",
    *,
    fields: Fields | None = None,
    query: str = "",
    client: tuple[str, int] | None = ("127.0.0.1", 40000),
) -> Answer:
    return Answer(_messages(rules, _scope(method, path, LOCAL if fields is None else fields, query, client)))


def _key(key: str) -> Fields:
    return [*LOCAL, ("x-api-key", key)]


@pytest.mark.parametrize(
    ("method", "fields", "query"),
    [
        ("PUT", _key(ADMIN.key), ""),
        ("GET", _key(ADMIN.key), ""),
        ("GET", _key(VIEWER.key), ""),
        ("PUT", LOCAL, f"api_key={ADMIN.key}"),
        ("PUT", [*LOCAL, ("cookie", f"a=b; x_api_key={ADMIN.key}")], ""),
        ("PUT", _key("wrong"), f"api_key={ADMIN.key}"),
        ("PUT", [*_key(ADMIN.key), ("cookie", "x_api_key=wrong")], ""),
        ("PUT", [("host", "gateway.example"), ("via", "1.1 proxy"), ("x-api-key", ADMIN.key)], ""),
    ],
)
def test_a_key_lets_in_from_anywhere(method: str, fields: Fields, query: str) -> None:
    answer = _ask(KEYED, method, fields=fields, query=query, client=("203.0.113.9", 40000))

    assert answer.served
    assert answer.headers["x-api-version"] == "v3"


@pytest.mark.parametrize(
    ("method", "fields", "query", "description"),
    [
        ("GET", LOCAL, "", "missing apikey"),
        ("GET", _key("wrong"), "", "wrong apikey"),
        ("GET", _key(""), "", "wrong apikey"),
        ("GET", _key("grün"), "", "wrong apikey"),
        ("GET", _key(ADMIN.key[:-1]), "", "wrong apikey"),
        ("GET", _key(ADMIN.key), "api_key=wrong", "wrong apikey"),
        ("GET", _key(ADMIN.key), "api_key=", "wrong apikey"),
        ("GET", [*LOCAL, ("cookie", "x_api_key=wrong")], "", "wrong apikey"),
        ("PUT", _key(VIEWER.key), "", "invalid method for role viewer"),
        ("DELETE", LOCAL, f"api_key={VIEWER.key}", "invalid method for role viewer"),
        ("HEAD", _key(VIEWER.key), "", "invalid method for role viewer"),
    ],
)
def test_without_a_good_key_the_answer_is_401(method: str, fields: Fields, query: str, description: str) -> None:
    answer = _ask(KEYED, method, fields=fields, query=query)

    assert answer.status == 401
    assert json.loads(answer.body) == {"error_msg": "failed to check token", "description": description}
    assert answer.headers["content-type"] == "application/json"
    assert "x-api-version" not in answer.headers


def test_liveness_and_options_need_no_key() -> None:
    for method, path in (("HEAD", "/apisix/admin"), ("HEAD", "/apisix/admin/"), ("OPTIONS", "/apisix/admin/routes")):
        answer = _ask(KEYED, method, path)

        assert answer.status == 200
        assert "x-api-version" not in answer.headers


@pytest.mark.parametrize("rules", [KEYLESS, KEYED])
@pytest.mark.parametrize(
    "fields", [LOCAL, [("host", "balancer.example"), ("origin", "http://elsewhere"), ("via", "x")]]
)
def test_readiness_is_everybodys_and_nothing_beside_it(rules: AccessRules, fields: Fields) -> None:
    far: tuple[str, int] = ("203.0.113.9", 40000)
    for method in ("GET", "HEAD"):
        answer = _ask(rules, method, "/headgate/ready", fields=fields, client=far)
        assert answer.served
        assert "x-api-version" not in answer.headers
    for method, path in (("POST", "/headgate/ready"), ("GET", "/headgate/ready/x"), ("GET", "/headgate/streams")):
        assert _ask(rules, method, path, fields=fields, client=far).status in {401, 403}


CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "*",
    "access-control-max-age": "3600",
}


def _cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("fields", [LOCAL, _key(ADMIN.key)])
def test_with_keys_every_answer_has_cors_headers(fields: Fields) -> None:
    assert _cors(_ask(KEYED, fields=fields)) == CORS


def test_a_preflight_says_what_is_allowed() -> None:
    answer = _ask(KEYED, "OPTIONS")

    assert _cors(answer) == {
        **CORS,
        "access-control-allow-methods": "POST, GET, PUT, OPTIONS, DELETE, PATCH",
        "access-control-allow-headers": "*",
    }
    assert (answer.body, answer.served) == (b"", False)


@pytest.mark.parametrize("rules", [KEYLESS, AccessRules(keys=(ADMIN,), cors=False)])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_without_keys_or_with_cors_off_there_is_no_cors_header(rules: AccessRules, method: str) -> None:
    answer = _ask(rules, method, fields=_key(ADMIN.key))

    assert answer.status == 200
    assert _cors(answer) == {}


def test_every_answer_names_the_server() -> None:
    for answer in (_ask(KEYED), _ask(KEYED, fields=_key(ADMIN.key)), _ask(KEYLESS), _ask(KEYLESS, fields=[])):
        assert answer.headers["server"] == "headgate"


@pytest.mark.parametrize(
    "fields",
    [
        [("host", "127.0.0.1:9180")],
        [("host", "127.0.0.1")],
        [("host", "127.8.9.10:1")],
        [("host", "localhost:9180")],
        [("host", "LocalHost")],
        [("host", "[::1]:9180")],
        [("host", "localhost:9180"), ("origin", "http://localhost:9180")],
        [*LOCAL, ("sec-fetch-site", "same-origin")],
        [*LOCAL, ("sec-fetch-site", "none")],
        [*LOCAL, ("content-type", "text/plain")],
    ],
)
def test_without_keys_local_programs_are_let_in(fields: Fields) -> None:
    answer = _ask(KEYLESS, "PUT", fields=fields)

    assert answer.served
    assert answer.headers["x-api-version"] == "v3"


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("127.3.2.1", 1), ("::1", 1)])
def test_without_keys_any_loopback_peer_is_let_in(client: tuple[str, int]) -> None:
    assert _ask(KEYLESS, client=client).served


HOST = "Host must be localhost, a 127.0.0.0/8 address or [::1]: configure admin_keys to use another name"
ORIGIN = "Origin is not the Admin API's own: configure admin_keys to call it from other pages"
FETCH_SITE = "Sec-Fetch-Site shows a request from another page: configure admin_keys to call it from there"
PROXY = "{} shows that the request came through a proxy: configure admin_keys to put one in front"
PEER = "without admin keys the Admin API is open to this machine only: configure admin_keys"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], HOST),
        ([("host", "")], HOST),
        ([("host", "gateway.example")], HOST),
        ([("host", "gateway.example:9180")], HOST),
        ([("host", "localhost.example")], HOST),
        ([("host", "127.0.0.1.example")], HOST),
        ([("host", "127.1")], HOST),
        ([("host", "192.168.0.1")], HOST),
        ([("host", "[::2]")], HOST),
        ([("host", "::1")], HOST),
        ([("host", "localhost:x")], HOST),
        ([("host", "user@localhost")], HOST),
        ([("host", "localhost"), ("host", "gateway.example")], HOST),
        ([*LOCAL, ("origin", "http://gateway.example")], ORIGIN),
        ([*LOCAL, ("origin", "http://localhost:9180")], ORIGIN),
        ([*LOCAL, ("origin", "http://127.0.0.1:3000")], ORIGIN),
        ([*LOCAL, ("origin", "https://127.0.0.1:9180")], ORIGIN),
        ([*LOCAL, ("origin", "null")], ORIGIN),
        ([*LOCAL, ("origin", "http://127.0.0.1:9180"), ("origin", "http://gateway.example")], ORIGIN),
        ([*LOCAL, ("sec-fetch-site", "cross-site")], FETCH_SITE),
        ([*LOCAL, ("sec-fetch-site", "same-site")], FETCH_SITE),
        ([*LOCAL, ("forwarded", "for=127.0.0.1")], PROXY.format("forwarded")),
        ([*LOCAL, ("x-forwarded-for", "127.0.0.1")], PROXY.format("x-forwarded-for")),
        ([*LOCAL, ("x-forwarded-anything", "")], PROXY.format("x-forwarded-anything")),
        ([*LOCAL, ("x-real-ip", "127.0.0.1")], PROXY.format("x-real-ip")),
        ([*LOCAL, ("via", "1.1 proxy")], PROXY.format("via")),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/apisix/admin/routes"), ("OPTIONS", "/"), ("HEAD", "/apisix/admin")]
)
def test_without_keys_what_may_come_from_elsewhere_is_refused(
    fields: Fields, text: str, method: str, path: str
) -> None:
    answer = _ask(KEYLESS, method, path, fields=fields)

    assert (answer.status, json.loads(answer.body)) == (403, {"error_msg": text})
    assert _cors(answer) == {}
    assert "x-api-version" not in answer.headers


@pytest.mark.parametrize("client", [("192.168.0.7", 1), ("::ffff:192.168.0.7", 1), ("", 0), None])
def test_without_keys_a_peer_that_is_not_this_machine_is_refused(client: tuple[str, int] | None) -> None:
    answer = _ask(KEYLESS, client=client)

    assert (answer.status, json.loads(answer.body)) == (403, {"error_msg": PEER})


def test_only_the_admin_paths_have_an_api_version() -> None:
    assert "x-api-version" not in _ask(KEYLESS, path="/apisix/prometheus/metrics").headers


@pytest.mark.parametrize(
    ("rules", "fields", "first"),
    [
        (KEYLESS, LOCAL, "websocket.accept"),
        (KEYLESS, [("host", "gateway.example")], "websocket.close"),
        (KEYED, _key(VIEWER.key), "websocket.accept"),
        (KEYED, LOCAL, "websocket.close"),
    ],
)
def test_websockets_are_under_the_same_rules(rules: AccessRules, fields: Fields, first: str) -> None:
    scope = _scope("GET", "/apisix/admin/streams", fields, "", ("127.0.0.1", 1))
    del scope["method"]

    assert _messages(rules, {**scope, "type": "websocket", "scheme": "ws"})[0]["type"] == first
