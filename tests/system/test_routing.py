"""Which route takes a request: the cases of APISIX's own test-suite (``t/router``, ``t/node``), and its documented rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from tests.client import Response, request
from tests.origin import Origin, Received, Wire
from tests.running_program import Program

NOT_FOUND = b'{"error_msg":"404 Route Not Found"}\n'
HELLO = "hello world"
ANY = "any path"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and what answers it: a number is the upstream (its port comes back), a text the body, None no route."""

    target: str
    answer: int | str | None
    host: str = "127.0.0.1"
    method: str = "GET"
    fields: tuple[str, ...] = ()
    body: str = ""

    def raw(self) -> bytes:
        """Give the request's bytes."""
        length = (f"Content-Length: {len(self.body)}",) if self.body else ()
        lines = (f"{self.method} {self.target} HTTP/1.1", f"Host: {self.host}", *self.fields, *length, "", self.body)
        return "\r\n".join(lines).encode()


@dataclass(frozen=True, slots=True)
class Case:
    """Resources in the order in which they are written, and requests. ``node``: the upstream by number, from 0."""

    name: str
    resources: tuple[tuple[str, Document], ...]
    asks: tuple[Ask, ...]


def route(node: int | None, uri: str, **more: object) -> Document:
    """Make a route; ``fill_in`` puts the upstream's address in the number's place."""
    return {"uri": uri, **({} if node is None else {"upstream": node}), **more}


def routes(*documents: Document) -> tuple[tuple[str, Document], ...]:
    """Number routes from 1."""
    return tuple((f"routes/{number}", document) for number, document in enumerate(documents, 1))


def agent(text: str) -> tuple[str, ...]:
    """Make a User-Agent field."""
    return (f"User-Agent: {text}",)


ANDROID = [["http_user_agent", "~*", "android"]]
NO_ANDROID = [["http_user_agent", "!", "~*", "android"]]
FORM = ("Content-Type: application/x-www-form-urlencoded",)

CASES = (
    Case(
        "host and path must both match",  # t/router/radixtree-host-uri.t 1-6
        routes(route(0, "/hello", host="foo.com")),
        (
            Ask("/not_found", None),
            Ask("/hello", None),
            Ask("/hello", None, host="not_found.com"),
            Ask("/not_found", None, host="foo.com"),
            Ask("/hello", HELLO, host="foo.com"),
            Ask("/hello", HELLO, host="foo.com:9080"),
        ),
    ),
    Case(
        "a wildcard host takes any name below it",  # t/node/wildcard-host.t 3-6
        routes(route(0, "/hello", host="*.foo.com")),
        (
            Ask("/hello", None),
            Ask("/hello", None, host="foo.com"),
            Ask("/hello", HELLO, host="www.foo.com"),
            Ask("/hello", HELLO, host="a.b.foo.com"),
            Ask("/hello", HELLO, host=".foo.com"),
        ),
    ),
    Case(
        "an exact host goes before a wildcard, the longer wildcard before the shorter, any before none",
        routes(
            route(0, "/server_port"),
            route(1, "/server_port", host="*.com"),
            route(2, "/server_port", host="*.test.com"),
            route(0, "/server_port", host="a.test.com"),
        ),
        (
            Ask("/server_port", 0, host="a.test.com"),
            Ask("/server_port", 2, host="b.test.com"),
            Ask("/server_port", 1, host="test.com"),
            Ask("/server_port", 0, host="test.org"),
        ),
    ),
    Case(
        "a route with a host goes before one without",  # t/router/radixtree-host-uri2.t 1
        routes(route(1, "/server_port", host="test.com"), route(0, "/server_port")),
        (Ask("/server_port", 1, host="test.com"), Ask("/server_port", 0, host="other.com")),
    ),
    Case(
        "host routes that fail on another condition leave the request to those without a host",
        routes(route(1, "/server_port", host="test.com", methods=["POST"]), route(0, "/server_port")),
        (Ask("/server_port", 0, host="test.com"), Ask("/server_port", 1, host="test.com", method="POST")),
    ),
    Case(
        "hosts are compared without case",  # t/router/radixtree-host-uri2.t 12, 13
        routes(route(0, "/hello", host="test.coM")),
        (Ask("/hello", HELLO, host="tEst.com"),),
    ),
    Case(
        "the exact path goes first, then the longest prefix",  # t/router/radixtree-uri-multiple.t 5-7
        routes(route(0, "/server_port"), route(1, "/server_port/*"), route(2, "/server_port/hello")),
        (Ask("/server_port", 0), Ask("/server_port/route2", 1), Ask("/server_port/hello", 2)),
    ),
    Case(
        "an exact path wins whatever the priority",
        routes(route(0, "/server_port*", priority=100), route(1, "/server_port")),
        (Ask("/server_port", 1), Ask("/server_ports", 0)),
    ),
    Case(
        "priority decides between equal paths",  # t/router/radixtree-uri-priority.t 1-3
        routes(route(0, "/server_port*", priority=2), route(1, "/server_port*", priority=1)),
        (Ask("/server_port/aa", 0),),
    ),
    Case(
        "priority decides whatever the order of writing",  # t/router/radixtree-uri-priority.t 4-6
        routes(route(0, "/server_port*", priority=2), route(1, "/server_port*", priority=3)),
        (Ask("/server_port/aa", 1),),
    ),
    Case(
        "a slash at the end makes another path",  # t/router/radixtree-uri-sanity.t 14, 15
        routes(route(0, "/hello")),
        (Ask("/hello", HELLO), Ask("/hello/", None)),
    ),
    Case(
        "routes match on the normalised path",
        routes(route(0, "/hello")),
        (
            Ask("/%68ello", ANY),
            Ask("//hello", ANY),
            Ask("/a/../hello", ANY),
            Ask("/./hello?a=/../b", ANY),
            Ask("/hello%2Fx", None),
        ),
    ),
    Case(
        "several paths",
        routes({"uris": ["/hello", "/server_port/*"], "upstream": 0}),
        (Ask("/hello", HELLO), Ask("/server_port/x", 0), Ask("/server_port", None)),
    ),
    Case(
        "a method that no route takes is a miss",  # t/router/radixtree-method.t 1, 2
        routes(route(0, "/hello", methods=["GET"])),
        (Ask("/hello", None, method="PURGE"), Ask("/hello", None, method="POST"), Ask("/hello", HELLO)),
    ),
    Case(
        "methods of a route",  # t/router/radixtree-method.t 3, 4
        routes(route(0, "/hello", methods=["GET", "PURGE"])),
        (Ask("/hello", HELLO, method="PURGE"), Ask("/hello", HELLO)),
    ),
    Case(
        "vars: a pattern without case on a header",  # t/router/radixtree-uri-vars.t 1-4
        routes(route(0, "/hello", vars=ANDROID)),
        (
            Ask("/hello", None, fields=agent("ios")),
            Ask("/hello", None),
            Ask("/hello", HELLO, fields=agent("android")),
            Ask("/hello", HELLO, fields=agent("Android")),
        ),
    ),
    Case(
        "vars: the same, negated",  # t/router/radixtree-uri-vars.t 5-7
        routes(route(0, "/hello", vars=NO_ANDROID)),
        (
            Ask("/hello", HELLO, fields=agent("ios")),
            Ask("/hello", None, fields=agent("android")),
            Ask("/hello", None, fields=agent("Android")),
        ),
    ),
    Case(
        "vars: an argument",  # t/node/vars.t 1-4
        routes(route(0, "/hello", vars=[["arg_k", "==", "v"]])),
        (Ask("/hello?k=not-hit", None), Ask("/hello", None), Ask("/hello?k=v", HELLO)),
    ),
    Case(
        "vars: cookie, list, or",
        routes(route(0, "/hello", vars=[["OR", ["cookie_a", "in", ["1", "2"]], ["arg_n", ">", 5]]])),
        (
            Ask("/hello", HELLO, fields=("Cookie: b=9; a=2",)),
            Ask("/hello?n=6", HELLO),
            Ask("/hello?n=5", None, fields=("Cookie: a=3",)),
        ),
    ),
    Case(
        "vars: a field of a posted form, whose body still reaches the upstream",
        routes(route(0, "/echo", vars=[["post_arg.model", "==", "small"]])),
        (
            Ask("/echo", "model=small&x=1", method="POST", fields=FORM, body="model=small&x=1"),
            Ask("/echo", None, method="POST", fields=FORM, body="model=large&x=1"),
        ),
    ),
    Case(
        "vars: of two candidates the one whose condition holds",
        routes(
            route(0, "/server_port", vars=[["http_x_version", "==", "2"]], priority=1),
            route(1, "/server_port"),
        ),
        (Ask("/server_port", 0, fields=("X-Version: 2",)), Ask("/server_port", 1, fields=("X-Version: 3",))),
    ),
    Case(
        "client addresses",
        routes(route(0, "/server_port", remote_addrs=["10.0.0.0/8"], priority=1), route(1, "/server_port")),
        (Ask("/server_port", 1),),
    ),
    Case(
        "a client address that matches",
        routes(route(0, "/server_port", remote_addr="127.0.0.0/8", priority=1), route(1, "/server_port")),
        (Ask("/server_port", 0),),
    ),
    Case(
        "several hosts",  # t/node/hosts.t
        routes(route(0, "/hello", hosts=["foo.com", "*.bar.com"])),
        (
            Ask("/hello", None, host="not_found.com"),
            Ask("/hello", HELLO, host="foo.com"),
            Ask("/hello", HELLO, host="www.bar.com"),
        ),
    ),
    Case(
        "a route's own hosts go before its service's",  # t/router/radixtree-uri-host.t 22
        (
            ("services/1", {"hosts": ["bar.com"], "upstream": 0}),
            ("routes/1", route(None, "/hello", hosts=["foo.com"], service_id="1")),
        ),
        (Ask("/hello", HELLO, host="foo.com"), Ask("/hello", None, host="bar.com")),
    ),
    Case(
        "a service's hosts hold for routes without",
        (
            ("services/1", {"hosts": ["bar.com"], "upstream": 0}),
            ("routes/1", route(None, "/hello", service_id="1")),
        ),
        (Ask("/hello", HELLO, host="bar.com"), Ask("/hello", None, host="foo.com")),
    ),
    Case(
        "a route's upstream goes before its service's, a named upstream serves both",
        (
            ("upstreams/1", {"nodes": 2}),
            ("services/1", {"upstream_id": "1"}),
            ("routes/1", route(None, "/server_port", service_id="1")),
            ("routes/2", route(1, "/server_port/own", service_id="1")),
        ),
        (Ask("/server_port", 2), Ask("/server_port/own", 1)),
    ),
    Case(
        "a route that is switched off is not there",  # t/node/route-status.t 3, 4
        routes(route(0, "/server_port", status=0, priority=9), route(1, "/server_port*")),
        (Ask("/server_port", 1),),
    ),
    Case(
        "global rules answer where no route does",
        (("global_rules/1", {"plugins": {"cors": {}}}),),
        (Ask("/hello", None), Ask("/hello", "", method="OPTIONS")),
    ),
)


class Gateway:
    """The program with three upstreams. ``fill_in`` makes their numbers addresses."""

    def __init__(self, program: Program, origins: list[Origin]) -> None:
        self.program = program
        self.origins = origins

    def fill_in(self, document: Document) -> Document:
        """Put addresses in the place of numbers."""
        for key, wrap in (("upstream", True), ("nodes", False)):
            number = document.get(key)
            if isinstance(number, int):
                nodes = {self.origins[number].address: 1}
                document = {**document, key: {"type": "roundrobin", "nodes": nodes} if wrap else nodes}
        return document

    def ask(self, ask: Ask) -> Response:
        """Send a request on a connection of its own."""
        return request(self.program.port, ask.raw())


async def any_path(request: Received, wire: Wire) -> None:
    """Answer paths that only a normalising reader takes for one of the fixture's."""
    del request
    await wire.respond(200, ANY.encode())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin()) for _ in range(3)]
        origins[0].on("*", any_path)
        yield Gateway(stack.enter_context(Program(tmp_path_factory.mktemp("routing"))), origins)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_route_that_takes_a_request(gateway: Gateway, case: Case) -> None:
    written = []
    try:
        for path, document in case.resources:
            answer = gateway.program.put(path, gateway.fill_in(document))
            assert answer.status == 201, answer
            written.append(path)
        for ask in case.asks:
            response = gateway.ask(ask)
            if ask.answer is None:
                assert (response.status, response.body) == (404, NOT_FOUND), ask
                continue
            port = gateway.origins[ask.answer].port if isinstance(ask.answer, int) else None
            expected = ask.answer if port is None else str(port)
            assert (response.status, response.body.decode().strip()) == (200, expected), ask
    finally:
        for path in reversed(written):
            assert gateway.program.admin("DELETE", path).status == 200


def test_a_route_is_switched_off_and_on_by_a_patch(gateway: Gateway) -> None:
    program = gateway.program
    program.route("switch", "/hello", gateway.origins[0].address)
    for status, answer in ((0, 404), (1, 200), (0, 404)):
        assert program.admin("PATCH", "routes/switch", {"status": status}).status == 200
        assert gateway.ask(Ask("/hello", None)).status == answer
    assert program.admin("DELETE", "routes/switch").status == 200


def test_the_upstream_gets_the_target_as_the_client_wrote_it(gateway: Gateway) -> None:
    program, origin = gateway.program, gateway.origins[0]
    program.route("raw", "/old_uri/*", origin.address)
    seen = len(origin.requests)
    for target in ("/old_uri/%41%20b/../c%2f", "//old_uri/./x?q=%zz&&a=/../", "/old_uri/;p=1?a=b?c"):
        gateway.ask(Ask(target, None))
        assert origin.request(seen).target == target.encode()
        seen += 1
    assert program.admin("DELETE", "routes/raw").status == 200
