"""Whatever is sent to it gets one clear answer, and nothing else notices.

After each case the gateway must answer a good request, on the proxy and on the Admin API, and a stream that was opened
before the first case must bring its next event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.client import Client, get
from tests.origin import Origin, Received, Steps, Wire
from tests.running_program import Program

STEPS = [b"data: %d\n\n" % number for number in range(500)]


class Gateway:
    """The program, its upstream, and the stream that everything leaves unhurt."""

    def __init__(self, program: Program, origin: Origin, stream: Steps, client: Client) -> None:
        self.program = program
        self.origin = origin
        self._stream = stream
        self._client = client
        self._seen = 0

    def check_unhurt(self) -> None:
        """See that good requests are served and that the stream goes on."""
        assert get(self.program.port, "/hello").body == b"hello world\n"
        assert self.program.admin("GET", "routes/good").status == 200
        self._stream.confirm(self._seen)
        self._seen += 1
        assert self._client.read_event().data == STEPS[self._seen]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    environ = {"HEADGATE_HTTP_HEAD_TIMEOUT_S": "1"}
    directory = tmp_path_factory.mktemp("bad-input")
    with Origin() as origin, Program(directory, workers=1, environ=environ) as program, Client(program.port) as client:
        stream = origin.events("/events", steps=STEPS)
        program.route("good", "/*", origin.address)
        client.get("/events")
        assert client.read_head().status == 200
        assert client.read_event().data == STEPS[0]
        yield Gateway(program, origin, stream, client)


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    yield running
    running.check_unhurt()
    assert running.program.children("worker"), "the worker is gone"
    faults = [record for record in running.program.log("") if record["level"] in {"error", "critical"}]
    assert faults == []


# -- requests ----------------------------------------------------------------------------------------------------------

GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REQUESTS = (
    # The request line (RFC 9112 §3).
    (b"GET /hello\r\n\r\n", 400, "the request line is malformed"),
    (b"GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"GET /he llo HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"GET /hello#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"G@T /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b" GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"GET /hello http/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
    (b"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505, "only HTTP/1.0 and HTTP/1.1 are served here"),
    (b"GET /hello HTTP/1.2\r\nHost: a\r\n\r\n", 505, "only HTTP/1.0 and HTTP/1.1 are served here"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "only HTTP/1.0 and HTTP/1.1 are served here"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, 400, "NUL"),
    # The target.
    (b"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target does not start with /"),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the target * is for OPTIONS only"),
    (b"GET ftp://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target does not start with /"),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "CONNECT is not served"),
    (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the path has a bad percent-escape"),
    (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the path holds a NUL"),
    (b"GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the path climbs above the root"),
    (b"GET /a/%2e%2e/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the path climbs above the root"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "the request target is too long"),
    (b"GET /" + b"a" * 90000, 414, "the request target is too long"),
    # Host (RFC 9112 §3.2).
    (b"GET /hello HTTP/1.1\r\n\r\n", 400, "no Host"),
    (b"GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 400, "the Host is empty"),
    (GET + b"Host: b\r\n\r\n", 400, "more than one Host"),
    (b"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "the host is empty or malformed"),
    (b"GET /hello HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "the host is empty or malformed"),
    (b"GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "the host is empty or malformed"),
    (b"GET /hello HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, "the host's port is above 65535"),
    (b"GET http:///hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the host is empty or malformed"),
    # Fields (RFC 9112 §5).
    (GET + b"X-A : 1\r\n\r\n", 400, "a header name is followed by a space"),
    (GET + b"X-A: 1\r\n folded\r\n\r\n", 400, "a header field is folded over two lines"),
    (GET + b"X-A\r\n\r\n", 400, "a header line has no colon"),
    (GET + b": 1\r\n\r\n", 400, "a header name is malformed"),
    (GET + b"X\xc3\xa4: 1\r\n\r\n", 400, "a header name is malformed"),
    (GET + b"X-A: \x01\r\n\r\n", 400, "a header value holds a control character"),
    (GET + b"X-A: a\0b\r\n\r\n", 400, "NUL"),
    (GET + b"X-A: a\rb\r\n\r\n", 400, "bare CR or LF"),
    (b"GET /hello HTTP/1.1\nHost: a\n\n", 400, "bare"),
    (GET + b"X-A: 1\n\r\n", 400, "bare"),
    (GET + b"X-A: 1\r\n" * 101 + b"\r\n", 431, "more than 100 header fields"),
    (GET + b"X-A: " + b"a" * 40000 + b"\r\n\r\n", 431, "the head is longer than 32768 bytes"),
    (GET + b"X-A: " + b"a" * 1024 * 1024, 431, "the head is longer than 32768 bytes"),
    (GET + b"Expect: 200-ok\r\n\r\n", 417, "the only expectation served is 100-continue"),
    # Framing (RFC 9112 §6): whatever two readers could take differently.
    (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        400,
        "both Content-Length and Transfer-Encoding",
    ),
    (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "both Content-Length and Transfer-Encoding",
    ),
    (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "more than one Content-Length"),
    (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length: +3\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length: -3\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length: 0x3\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length: 3_0\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length:\r\n\r\nabc", 400, "the Content-Length is not a number"),
    (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, "the Content-Length is not a number"),
    (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "more than one Transfer-Encoding",
    ),
    (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "the only transfer coding served is chunked"),
    (POST + b"Transfer-Encoding: identity\r\n\r\n", 501, "the only transfer coding served is chunked"),
    (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501, "the only transfer coding served is chunked"),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding on HTTP/1.0"),
    (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400, "a framing line ends with a bare LF"),
    (CHUNKED + b"zz\r\n", 400, "a chunk size is malformed"),
    (CHUNKED + b"-1\r\n", 400, "a chunk size is malformed"),
    (CHUNKED + b"0x3\r\nabc\r\n", 400, "a chunk size is malformed"),
    (CHUNKED + b"11111111111111111\r\n", 400, "a chunk size is malformed"),
    (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", 400, "a chunk is longer than its size"),
    (CHUNKED + b"3;" + b"e" * 5000 + b"\r\nabc\r\n", 400, "a framing line is too long"),
    (CHUNKED + b"0\r\nbad trailer\r\n\r\n", 400, "a trailer field is malformed"),
    # Time.
    (b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ", 408, "the request head did not come in time"),
)


@pytest.mark.parametrize(("raw", "status", "detail"), REQUESTS, ids=lambda value: repr(value)[:60])
def test_a_malformed_request_is_refused_and_its_connection_closed(
    gateway: Gateway, raw: bytes, status: int, detail: str
) -> None:
    with Client(gateway.program.port) as client:
        client.send(raw)
        response = client.read_response()
        assert (response.status, response.get(b"connection")) == (status, b"close")
        assert response.get(b"content-type") == b"application/json"
        assert detail in json.loads(response.body)["error_msg"]
        assert client.read_end() == "fin"


def test_what_follows_a_malformed_request_is_not_a_request(gateway: Gateway) -> None:
    """Smuggling: the second request stands where only one of two readers would find it."""
    seen = len(gateway.origin.requests)
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    framing = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(smuggled)
    with Client(gateway.program.port) as client:
        client.send(POST + framing + smuggled)
        assert client.read_response().status == 400
        assert client.read_end() == "fin"
    assert [request.path for request in gateway.origin.requests[seen:]] == []


@pytest.mark.parametrize("sent", [b"", b"GET", GET, POST + b"Content-Length: 100\r\n\r\nhalf", CHUNKED + b"5\r\nab"])
def test_a_client_that_leaves_in_the_middle(gateway: Gateway, sent: bytes) -> None:
    for leave in (Client.close, Client.reset, Client.half_close):
        with Client(gateway.program.port) as client:
            client.send(sent)
            leave(client)


# -- upstreams ---------------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"

GARBAGE = (
    (b"\x15\x03\x01\x00\x02\x02\x50", "another protocol"),
    (b"220 mail.example ESMTP\r\n", "a mail server"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server"),
    (b"HTTP/1.1 abc OK\r\n\r\n", "no status"),
    (b"HTTP/1.1 99 Low\r\n\r\n", "a status below 100"),
    (b"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n", "a status above 599"),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "another version"),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "an upgrade nobody asked for"),
    (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "two lengths"),
    (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "a length and chunks"),
    (OK + b"Content-Length: x\r\n\r\n", "a length that is no number"),
    (OK + b"Content-Length: -1\r\n\r\n", "a negative length"),
    (OK + b"Transfer-Encoding: gzip\r\n\r\n", "another coding"),
    (OK + b"Bad Name: 1\r\n\r\n", "a bad field name"),
    (OK + b"X-A: a\0b\r\n\r\n", "a NUL"),
    (OK + b"X-A: " + b"a" * 1024 * 1024 + b"\r\n\r\n", "a head of 1 MiB"),
    (OK + b"X-A: 1\r\n" * 100_000, "a head without end"),
    (b"HTTP/1.1 103 Early\r\n\r\n" * 20_000, "interim heads without end"),
    (OK + b"X-A: 1\r\n", "an unfinished head"),
    (b"", "nothing"),
)


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for raw, name in GARBAGE])
def test_an_upstream_that_speaks_no_http_is_answered_with_502(gateway: Gateway, raw: bytes) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(raw)
        wire.fin()

    gateway.origin.on("/garbage", answer)
    response = get(gateway.program.port, "/garbage")
    assert response.status == 502
    assert b"502 Bad Gateway" in response.body


@pytest.mark.parametrize(
    ("raw", "ending"),
    [
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "upstream_protocol_error"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", "upstream_protocol_error"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "upstream_eof"),
        (OK + b"Content-Length: 10\r\n\r\nabc", "upstream_eof"),
    ],
)
def test_a_body_that_breaks_is_broken_for_the_client_too(gateway: Gateway, raw: bytes, ending: str) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(raw)
        wire.fin()

    gateway.origin.on("/broken", answer)
    before = len(gateway.program.records)
    with Client(gateway.program.port) as client:
        client.get("/broken")
        assert client.read_head().status == 200
        rest = client.read_rest()
        assert not rest.endswith(b"0\r\n\r\n")
        assert len(rest) < 25
    program = gateway.program
    program.wait_for(
        lambda: any(record.get("target") == "/broken" for record in program.records[before:]), "the record"
    )
    ended = next(record for record in program.records[before:] if record.get("target") == "/broken")
    assert ended["ending"] == ending


def test_an_upstream_whose_name_there_is_not(gateway: Gateway) -> None:
    for name in ("no-such-host.invalid", "a" * 63 + ".invalid", "xn--.invalid"):
        gateway.program.route("bad", "/bad", f"{name}:80")
        assert get(gateway.program.port, "/bad").status == 503
    assert gateway.program.admin("DELETE", "routes/bad").status == 200


# -- the Admin API -----------------------------------------------------------------------------------------------------

NODES = {"nodes": {"127.0.0.1:1": 1}}
ROUTE: dict[str, Any] = {"uri": "/x", "upstream": NODES}
DEEP = '{"uri":"/x","labels":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"
BODY = "invalid request body: "
CONFIGURATION = "invalid configuration: "

DOCUMENTS = (
    ("", "missing configurations"),
    ("{", BODY),
    ("nonsense", BODY),
    ('{"uri":"/x",}', BODY),
    ("{'uri': '/x'}", BODY),
    ('{"uri":"/x","uri":"/y"}', BODY + 'duplicate key "uri"'),
    ('{"uri":"/x","priority":NaN}', BODY + "NaN"),
    ('{"uri":"/x","priority":-Infinity}', BODY),
    ('{"uri":"/x","priority":1e999}', BODY + "number out of range"),
    ('{"uri":"/x","priority":' + "9" * 5000 + "}", BODY + "number out of range"),
    ('{"uri":"/x","desc":"\\ud800"}', BODY + "not valid UTF-8"),
    (DEEP, BODY + "nested deeper than 64 levels"),
    ("[" * 200_000, BODY),
    ("[]", CONFIGURATION),
    ('"text"', CONFIGURATION),
    ("null", CONFIGURATION),
    ({"upstream": NODES}, CONFIGURATION),
    ({"uri": "/x"}, CONFIGURATION),
    ({**ROUTE, "uri": 666}, 'property "uri" validation failed'),
    ({**ROUTE, "uri": ""}, 'property "uri" validation failed'),
    ({**ROUTE, "uri": "/" + "x" * 4096}, 'property "uri" validation failed'),
    ({**ROUTE, "uris": ["/y"]}, "value should match only one schema"),
    ({**ROUTE, "host": "a.*.com"}, 'property "host" validation failed'),
    ({**ROUTE, "host": "a", "hosts": ["b"]}, "only one of host or hosts is allowed"),
    ({**ROUTE, "methods": ["FETCH"]}, 'property "methods" validation failed'),
    ({**ROUTE, "methods": ["GET", "GET"]}, 'property "methods" validation failed'),
    ({**ROUTE, "priority": "1"}, "wrong type: expected integer, got string"),
    ({**ROUTE, "priority": True}, "wrong type: expected integer, got boolean"),
    ({**ROUTE, "status": 100}, 'property "status" validation failed: matches none of the enum values'),
    ({**ROUTE, "labels": {"a": 1}}, 'property "labels" validation failed'),
    ({**ROUTE, "remote_addr": "10.0.0.0/99"}, 'property "remote_addr" validation failed'),
    ({**ROUTE, "timeout": {"connect": 1, "send": 1, "read": 0}}, 'property "timeout" validation failed'),
    ({**ROUTE, "nope": 1}, "additional properties forbidden, found nope"),
    ({**ROUTE, "create_time": 1}, "the property is forbidden:"),
    ({**ROUTE, "id": "other"}, "wrong route id"),
    ({**ROUTE, "plugins": {"nope": {}}}, "unknown plugin [nope]"),
    ({**ROUTE, "plugins": {"cors": []}}, "cors"),
    ({**ROUTE, "plugins": {"cors": {"nope": 1}}}, "additional properties forbidden, found nope"),
    ({**ROUTE, "plugins": []}, 'property "plugins" validation failed'),
    ({**ROUTE, "upstream": {"nodes": {"127.0.0.1:1": -1}}}, 'property "upstream" validation failed'),
    ({**ROUTE, "upstream": {"nodes": {"127.0.0.1:99999": 1}}}, "invalid port 99999"),
    ({**ROUTE, "upstream": {"nodes": {"::1:80": 1}}}, "IPv6 address must be enclosed with '[' and ']'"),
    ({**ROUTE, "upstream": {"nodes": {"a b:80": 1}}}, "invalid node address"),
    ({**ROUTE, "upstream": {"nodes": {"a\r\nb:80": 1}}}, "invalid node address"),
    ({**ROUTE, "upstream": {}}, 'property "upstream" validation failed'),
    ({**ROUTE, "upstream_id": "nowhere"}, "upstream id [nowhere], response code: 404"),
    ({**ROUTE, "service_id": "a/b"}, 'property "service_id" validation failed'),
    ({**ROUTE, "vars": [["arg_a", "=", "b"]]}, "failed to validate the 'vars' expression: invalid operator '='"),
    ({**ROUTE, "vars": [["http_x", "~~", "(a"]]}, "failed to validate the 'vars' expression"),
    ({**ROUTE, "vars": [["http_x", "~~", "x" * 5000]]}, "failed to validate the 'vars' expression"),
    ({**ROUTE, "vars": [["http_x", "~~", "(((a{1000}){1000}){1000})"]]}, "failed to validate the 'vars' expression"),
    ({**ROUTE, "filter_func": "function() while true do end end"}, "filter_func"),
)


@pytest.mark.parametrize(("document", "text"), DOCUMENTS, ids=lambda value: str(value)[:50])
def test_a_bad_document_is_refused(gateway: Gateway, document: object, text: str) -> None:
    answer = gateway.program.put("routes/bad", document)
    assert (answer.status, text in answer.json["error_msg"]) == (400, True), answer
    assert gateway.program.admin("GET", "routes/bad").status == 404


def test_a_body_over_the_limit_is_refused_unread(gateway: Gateway) -> None:
    for size in (1_572_865, 1_678_025):
        answer = gateway.program.put("routes/bad", " " * size)
        text = f"invalid request body: request size {size} is greater than the maximum size 1572864 allowed"
        assert (answer.status, answer.json["error_msg"]) == (400, text)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("PUT", "routes/*invalid", 400, ""),
        ("PUT", "routes/" + "a" * 65, 400, ""),
        ("PUT", "routes/%00", 400, ""),
        ("PUT", "routes/1?ttl=xxx", 400, "invalid argument ttl: should be a number"),
        ("PUT", "routes/1?ttl=-1", 400, "invalid argument ttl"),
        ("PUT", "routs/1", 404, "Unsupported resource type: routs"),
        ("PUT", "consumers/jack", 501, "resource consumers is not served"),
        ("POST", "routes/1", 400, "wrong route id, do not need it"),
        ("POST", "global_rules", 405, "not supported `POST` method for global rule"),
        ("TRACE", "routes/1", 404, "not found"),
        ("GET", "/", 404, "not found"),
        ("GET", "/apisix/admin/../../etc/passwd", 404, ""),
        ("GET", "routes?page=1&page_size=2", 400, None),
        ("GET", "routes?name=(", 400, "invalid argument name"),
        ("GET", "routes?uri=" + "(a*)*" * 50 + "$", 200, None),
    ],
)
def test_a_bad_call(gateway: Gateway, method: str, path: str, status: int, text: str | None) -> None:
    body = {"uri": "/x", "plugins": {}} if method in {"PUT", "POST"} else None
    answer = gateway.program.admin(method, path, body)
    assert answer.status == status, answer
    if text is not None:
        assert text in answer.json["error_msg"]


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\0\0", b"GET /apisix/admin/routes HTTP/9\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n", b"GET "]
)
def test_bytes_that_are_no_request_do_the_admin_api_no_harm(gateway: Gateway, raw: bytes) -> None:
    with Client(gateway.program.admin_port) as client:
        client.send(raw)
        client.half_close()
        assert not client.read_rest().startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)(.*)(.*)(.*)(.*)x$"])
def test_a_pattern_that_would_run_for_ever_elsewhere_runs_in_linear_time(gateway: Gateway, pattern: str) -> None:
    """Such a pattern keeps a backtracking engine busy for years with the header below."""
    route = {
        "uri": "/evil",
        "vars": [["http_x_evil", "~~", pattern]],
        "upstream": {"nodes": {gateway.origin.address: 1}},
    }
    assert gateway.program.put("routes/evil", route).status == 201
    with Client(gateway.program.port, timeout_s=10) as client:
        client.get("/evil", (b"X-Evil", b"a" * 5000 + b"!"))
        assert client.read_response().status == 404
    assert gateway.program.admin("DELETE", "routes/evil").status == 200
