"""The plugins as APISIX's own test-suite (``t/plugin``) sees them: what goes upstream and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.client import Client, Response, get, request
from tests.origin import Origin
from tests.running_program import Program

METHODS = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
REFUSED = "failed to check the configuration of plugin"


class Gateway:
    """The program with one upstream; each test writes route 1 anew."""

    def __init__(self, program: Program, origin: Origin) -> None:
        self.program = program
        self.origin = origin

    def route(self, plugins: dict[str, Any], uri: str = "/*", node: str | None = None) -> None:
        """Write the route."""
        self.program.route("1", uri, node or self.origin.address, plugins=plugins)

    def ask(self, method: str, target: str, *fields: str) -> Response:
        """Send a request on a connection of its own."""
        lines = (f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", "")
        return request(self.program.port, "\r\n".join(lines).encode())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Origin() as origin, Program(tmp_path_factory.mktemp("plugins")) as program:
        yield Gateway(program, origin)


# -- cors --------------------------------------------------------------------------------------------------------------

CREDENTIALS = {
    "allow_origins": "http://sub.domain.com,http://sub2.domain.com",
    "allow_methods": "GET,POST",
    "allow_headers": "headr1,headr2",
    "expose_headers": "ex-headr1,ex-headr2",
    "max_age": 50,
    "allow_credential": True,
}
ANY = {
    "allow_origins": "**",
    "allow_methods": "**",
    "allow_headers": "**",
    "expose_headers": "ex-headr1",
    "allow_credential": True,
}
ALL = ("Origin", "Methods", "Headers", "Expose-Headers", "Max-Age", "Credentials")


@dataclass(frozen=True, slots=True)
class Cors:
    """``allowed``: what the Access-Control fields say, in the order of ``ALL`` above; None = absent."""

    name: str
    config: dict[str, Any]
    fields: tuple[str, ...]
    allowed: tuple[str | None, ...]
    vary: str | None = None


PER_ORIGIN = ("GET,POST", "headr1,headr2", "ex-headr1,ex-headr2", "50", "true")
NOTHING = (None,) * 6
PATTERN = {"allow_origins_by_regex": [r".*\.test.com$"]}

CORS = (
    Cors("defaults", {}, ("Origin: http://a.com",), ("*", "*", "*", None, "5", None)),  # cors.t 7
    Cors("defaults, no Origin", {}, (), ("*", "*", "*", None, "5", None)),
    Cors(  # cors.t 9
        "one of two origins, beside a Vary of the upstream",
        CREDENTIALS,
        ("Origin: http://sub2.domain.com", "resp-vary: Via"),
        ("http://sub2.domain.com", *PER_ORIGIN),
        vary="Via, Origin",
    ),
    Cors("an origin that is not listed", CREDENTIALS, ("Origin: http://sub3.domain.com",), NOTHING, vary="Origin"),
    Cors(  # cors.t 12
        "whatever is asked for",
        ANY,
        (
            "Origin: https://sub.domain.com",
            "ExternalHeader1: val",
            "Access-Control-Request-Headers: req-header1,req-header2",
        ),
        ("https://sub.domain.com", METHODS, "req-header1,req-header2", "ex-headr1", "5", "true"),
        vary="Origin",
    ),
    Cors(
        "a pattern that fits",
        PATTERN,
        ("Origin: http://a.test.com",),
        ("http://a.test.com", "*", "*", None, "5", None),
        vary="Origin",
    ),  # cors.t 29-31
    Cors("a pattern that does not", PATTERN, ("Origin: http://a.test2.com",), NOTHING, vary="Origin"),
    Cors(
        "the upstream's own fields are replaced",
        {},
        ("Origin: http://a.com", "resp-Access-Control-Allow-Origin: http://up.com"),
        ("*", "*", "*", None, "5", None),
    ),
    Cors("no age", {"max_age": -1}, ("Origin: http://a.com",), ("*", "*", "*", None, None, None)),
)


@pytest.mark.parametrize("case", CORS, ids=lambda case: case.name)
def test_cors(gateway: Gateway, case: Cors) -> None:
    gateway.route({"cors": case.config})
    response = gateway.ask("GET", "/hello", *case.fields)
    assert (response.status, response.body) == (200, b"hello world\n")
    names = [f"Access-Control-{name if name.startswith(('Max', 'Exp')) else 'Allow-' + name}" for name in ALL]
    found = [response.head.get_all(name.encode()) for name in names]
    assert found == [[] if value is None else [value.encode()] for value in case.allowed]
    vary = b", ".join(response.head.get_all(b"vary"))
    assert vary == (case.vary or "").encode()


def test_cors_without_an_origin_allows_any_where_it_would_reflect(gateway: Gateway) -> None:
    """cors.t 13."""
    gateway.route({"cors": ANY})
    response = gateway.ask("GET", "/hello")
    assert response.get(b"access-control-allow-origin") == b"*"
    assert response.get(b"access-control-allow-methods") == METHODS.encode()
    assert b"access-control-allow-headers" not in response.head


def test_cors_answers_a_preflight_itself(gateway: Gateway) -> None:
    """cors.t 14."""
    gateway.route({"cors": {}})
    seen = len(gateway.origin.requests)
    response = gateway.ask("OPTIONS", "/hello", "Origin: http://a.com", "Access-Control-Request-Method: PUT")
    assert (response.status, response.body) == (200, b"")
    assert response.get(b"access-control-allow-methods") == b"*"
    assert len(gateway.origin.requests) == seen


def test_cors_is_on_the_gateways_own_answers_too(gateway: Gateway) -> None:
    """A page must be able to read why it failed (cors.t 16, with a dead upstream in place of a missing key)."""
    with Origin() as gone:
        dead = gone.address
    gateway.route({"cors": {}}, node=dead)
    response = gateway.ask("GET", "/hello", "Origin: http://a.com")
    assert (response.status, response.get(b"access-control-allow-origin")) == (502, b"*")


# -- request-id --------------------------------------------------------------------------------------------------------


def test_request_id_is_kept(gateway: Gateway) -> None:
    """request-id.t 14."""
    gateway.route({"request-id": {}})
    response = gateway.ask("GET", "/uri", "X-Request-ID: 123")
    assert response.get(b"x-request-id") == b"123"
    assert b"x-request-id: 123\n" in response.body


def test_request_ids_are_made_and_all_different(gateway: Gateway) -> None:
    gateway.route({"request-id": {}})
    seen = set()
    with Client(gateway.program.port) as client:
        for _ in range(180):
            client.get("/uri")
            response = client.read_response()
            identifier = response.get(b"x-request-id")
            assert identifier
            assert b"x-request-id: " + identifier in response.body
            seen.add(identifier)
    assert len(seen) == 180


# -- proxy-rewrite -----------------------------------------------------------------------------------------------------

REWRITES = (
    pytest.param(  # proxy-rewrite.t 6
        {"uri": "/plugin_proxy_rewrite", "host": "apisix.iresty.com"},
        ("GET", "/hello"),
        b"uri: /plugin_proxy_rewrite\nhost: apisix.iresty.com\nscheme: http\n",
        id="path and host",
    ),
    pytest.param(  # 16
        {"uri": "/plugin_proxy_rewrite_args"},
        ("GET", "/hello?q=apisix&a=iresty"),
        b"uri: /plugin_proxy_rewrite_args\na: iresty\nq: apisix\n",
        id="the client's arguments stay",
    ),
    pytest.param(  # 34
        {"uri": "/plugin_proxy_rewrite_args?q=apisix"},
        ("GET", "/hello?a=iresty"),
        b"uri: /plugin_proxy_rewrite_args\na: iresty\nq: apisix\n",
        id="both queries",
    ),
    pytest.param(  # 25
        {"uri": "/hello", "regex_uri": ["^/test/(.*)/(.*)/(.*)", "/${1}_${2}_${3}"]},
        ("GET", "/test/plugin/proxy/rewrite"),
        b"hello world\n",
        id="uri goes before regex_uri",
    ),
    pytest.param(
        {"regex_uri": ["^/test/(.*)/(.*)/(.*)", "/$1_$2_$3"]},
        ("GET", "/test/plugin/proxy/rewrite"),
        b"uri: /plugin_proxy_rewrite\nhost: localhost\nscheme: http\n",
        id="groups of a pattern",
    ),
    pytest.param({"uri": "/$arg_to"}, ("GET", "/x?to=hello"), b"hello world\n", id="a variable"),
    pytest.param({"method": "POST"}, ("GET", "/method"), b"POST\n", id="method"),
    pytest.param(
        {"headers": {"X-Api": ""}}, ("GET", "/field", "X-Api: 1"), b"[]\n", id="an empty header is removed"
    ),  # 20
    pytest.param({"headers": {"X-Api": "v2"}}, ("GET", "/field", "X-Api: 1"), b"[b'v2']\n", id="a header is set"),
    pytest.param(
        {"headers": {"add": {"X-Api": "$remote_addr"}}},
        ("GET", "/field", "X-Api: 1"),
        b"[b'1', b'127.0.0.1']\n",
        id="a header is added",
    ),
    pytest.param(
        {"headers": {"remove": ["X-Api"]}}, ("GET", "/field", "X-Api: 1"), b"[]\n", id="a header is taken out"
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _told(gateway: Gateway) -> None:
    async def method(received: Any, wire: Any) -> None:
        await wire.respond(200, received.method + b"\n")

    async def field(received: Any, wire: Any) -> None:
        await wire.respond(200, f"{received.get_all(b'x-api')}\n".encode())

    gateway.origin.on("/method", method)
    gateway.origin.on("/field", field)


@pytest.mark.parametrize(("config", "asked", "body"), REWRITES)
def test_proxy_rewrite(gateway: Gateway, config: dict[str, Any], asked: tuple[str, ...], body: bytes) -> None:
    gateway.route({"proxy-rewrite": config})
    method, target, *fields = asked
    response = gateway.ask(method, target, *fields)
    assert (response.status, response.body) == (200, body)


def test_a_rewritten_host_with_client_bytes_cannot_split_the_request(gateway: Gateway) -> None:
    gateway.route({"proxy-rewrite": {"uri": "/uri", "headers": {"set": {"X-From": "$arg_v"}}}})
    response = gateway.ask("GET", "/x?v=a%0d%0aX-Evil:%201")
    assert response.status in {200, 400}
    assert b"x-evil" not in response.body


# -- refused configurations --------------------------------------------------------------------------------------------

WRONG_TYPE = 'property "disable_proxy_buffering" validation failed: wrong type: expected boolean, got string'
NO_STAR = "you can not set '*' for other option when 'allow_credential' is true"


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("cors", {"allow_credential": True}, f"{REFUSED} cors err: {NO_STAR}"),  # cors.t 24-27
        ("cors", {**ANY, "allow_origins": "*"}, f"{REFUSED} cors err: {NO_STAR}"),
        ("cors", {**ANY, "allow_methods": "*"}, f"{REFUSED} cors err: {NO_STAR}"),
        ("cors", {**ANY, "allow_headers": "*"}, f"{REFUSED} cors err: {NO_STAR}"),
        ("cors", {"allow_origins_by_regex": ["("]}, f"{REFUSED} cors err: "),
        ("cors", {"max_age": "5"}, 'property "max_age" validation failed: wrong type: expected integer, got string'),
        ("proxy-rewrite", {"uri": "hello"}, 'property "uri" validation failed: failed to match pattern'),  # 29
        ("proxy-rewrite", {"headers": {"X-Api:Version": "v"}}, "invalid field character"),  # 31
        ("proxy-rewrite", {"headers": {"X-Api": "a\r\nb: c"}}, "invalid value character"),  # 32
        ("proxy-rewrite", {"regex_uri": ["^/a"]}, f"{REFUSED} proxy-rewrite err: "),
        ("proxy-rewrite", {"regex_uri": ["(?=a)b", "/c"]}, f"{REFUSED} proxy-rewrite err: "),
        ("proxy-rewrite", {}, f"{REFUSED} proxy-rewrite err: "),
        ("proxy-buffering", {"disable_proxy_buffering": "yes"}, f"{REFUSED} proxy-buffering err: {WRONG_TYPE}"),
        ("sse", {"proxy_read_timeout": -1}, f'{REFUSED} sse err: property "proxy_read_timeout" validation failed'),
        ("sse", {"cache_control": "a\r\nb: c"}, f"{REFUSED} sse err: "),
        ("sse", {"read_timeout": 1}, "additional properties forbidden, found read_timeout"),
        ("request-id", {"algorithm": "md5"}, "matches none of the enum values"),
        ("not-exist-plugin", {}, "unknown plugin [not-exist-plugin]"),
    ],
)
def test_a_configuration_that_is_refused(gateway: Gateway, name: str, config: dict[str, Any], text: str) -> None:
    gateway.route({})
    before = gateway.program.admin("GET", "routes/1").json
    document = {"uri": "/*", "plugins": {name: config}, "upstream": {"nodes": {gateway.origin.address: 1}}}
    answer = gateway.program.put("routes/1", document)
    assert (answer.status, text in answer.json["error_msg"]) == (400, True), answer
    assert gateway.program.admin("GET", "routes/1").json == before


# -- what holds for every plugin ---------------------------------------------------------------------------------------


def test_meta_switches_a_plugin_off_or_makes_it_depend(gateway: Gateway) -> None:
    gateway.route({"cors": {"_meta": {"disable": True}}})
    assert b"access-control-allow-origin" not in get(gateway.program.port, "/hello").head
    gateway.route({"cors": {"_meta": {"filter": [["arg_cors", "==", "1"]]}}})
    assert b"access-control-allow-origin" not in get(gateway.program.port, "/hello").head
    assert b"access-control-allow-origin" in get(gateway.program.port, "/hello?cors=1").head


def test_plugins_of_service_and_route_merge_by_name(gateway: Gateway) -> None:
    program = gateway.program
    service = {
        "plugins": {"cors": {"max_age": 1}, "request-id": {}},
        "upstream": {"nodes": {gateway.origin.address: 1}},
    }
    assert program.put("services/1", service).status == 201
    document = {"uri": "/hello", "service_id": "1", "plugins": {"cors": {"max_age": 2}}}
    assert program.put("routes/merged", document).status == 201
    response = get(program.port, "/hello")
    assert response.get(b"access-control-max-age") == b"2"
    assert response.get(b"x-request-id")
    assert program.put("services/1", {**service, "plugins": {}}).status == 200
    response = get(program.port, "/hello")
    assert (response.get(b"access-control-max-age"), response.get(b"x-request-id")) == (b"2", None)
    assert program.admin("DELETE", "routes/merged").status == 200


def test_a_global_rule_runs_for_every_route_and_before_it(gateway: Gateway) -> None:
    gateway.route({"proxy-rewrite": {"uri": "/uri"}})
    assert gateway.program.put("global_rules/1", {"plugins": {"request-id": {"header_name": "X-Global"}}}).status == 201
    try:
        response = gateway.ask("GET", "/anything")
        assert response.get(b"x-global")
        assert b"x-global: " in response.body
    finally:
        assert gateway.program.admin("DELETE", "global_rules/1").status == 200
