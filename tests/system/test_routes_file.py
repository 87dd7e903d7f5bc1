"""``--routes FILE``: the file is the configuration, a change of it is served, and a broken one changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client import Client, get
from tests.origin import Origin
from tests.running_program import Program

KEPT = "routes file not taken, serving on with what it said before"
LEFT_OUT = "in the routes file, left out"
TAKEN = "routes file taken"


class Gateway:
    """Two workers that serve a YAML file, with one upstream. ``log`` gives what was logged since the last :meth:`write`."""

    def __init__(self, program: Program, origin: Origin, file: Path) -> None:
        self.program = program
        self.origin = origin
        self.file = file
        self._seen = 0

    def write(self, text: str, *, end: str = "#END\n") -> None:
        """Replace the file as editors do: a new one moved into its place."""
        self._seen = len(self.program.log(""))
        written = self.file.with_suffix(".new")
        written.write_text(text.replace("NODE", self.origin.address) + end)
        written.replace(self.file)

    def log(self, event: str) -> list[str]:
        """Give what was logged with ``event`` since the last write: the problem, or nothing."""
        fresh = self.program.log("")[self._seen :]
        return [str(record.get("problem", "")) for record in fresh if record["event"] == event]

    def wait_log(self, event: str) -> list[str]:
        """Wait for such a record."""
        self.program.wait_for(lambda: bool(self.log(event)), event)
        return self.log(event)

    def serve(self, text: str) -> None:
        """Write the file and wait until it is taken."""
        self.write(text)
        self.wait_log(TAKEN)

    def statuses(self, *targets: str) -> list[int]:
        """Give the status of a request for each target, on each of several connections the same."""
        found = {tuple(get(self.program.port, target).status for target in targets) for _ in range(4)}
        assert len(found) == 1, found
        return list(found.pop())


def route(uri: str, more: str = "") -> str:
    """Make one item of the list of routes."""
    return f"  - uri: {uri}\n    upstream: {{type: roundrobin, nodes: {{'NODE': 1}}}}\n{more}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("routes-file")
    file = directory / "routes.yaml"
    with Origin() as origin:
        file.write_text("routes: []\n#END\n")
        environ = {"HELLO_PATH": "/hello", "RETRIES": "1"}
        with Program(directory, "--routes", str(file), workers=2, environ=environ) as program:
            yield Gateway(program, origin, file)


def test_a_change_of_the_file_is_served(gateway: Gateway) -> None:
    gateway.write("routes:\n" + route("/hello"))
    gateway.program.wait_for(lambda: get(gateway.program.port, "/hello").status == 200, "the first route")
    gateway.wait_log(TAKEN)
    gateway.serve("routes:\n" + route("/hello1"))
    assert gateway.statuses("/hello", "/hello1") == [404, 200]
    gateway.serve("routes:\n" + route("/hello") + route("/hello1"))
    assert gateway.statuses("/hello", "/hello1") == [200, 200]


def test_services_upstreams_and_global_rules(gateway: Gateway) -> None:
    gateway.serve(
        "upstreams:\n  - {id: u, nodes: {'NODE': 1}}\n"
        "services:\n  - {id: s, upstream_id: u, plugins: {request-id: {}}}\n"
        "global_rules:\n  - {id: g, plugins: {cors: {}}}\n"
        "routes:\n  - {uri: /hello, service_id: s}\n"
    )
    response = get(gateway.program.port, "/hello")
    assert response.status == 200
    assert response.get(b"access-control-allow-origin") == b"*"
    assert response.get(b"x-request-id")
    gateway.serve("routes: []\n")
    response = get(gateway.program.port, "/hello")
    assert (response.status, response.get(b"access-control-allow-origin")) == (404, None)


@pytest.mark.parametrize(
    ("text", "end", "problem"),
    [
        pytest.param("routes: []\n", "", r"routes.yaml:1:\d+: .*#END", id="no end mark"),
        pytest.param("", "", r"routes.yaml:1:1: .*#END", id="empty"),
        pytest.param("routes: [\n", "#END\n", r"routes.yaml:\d+:\d+: ", id="no YAML"),
        pytest.param("- a\n- b\n", "#END\n", r"routes.yaml:1:1: expected a mapping", id="a list"),
        pytest.param("routes: []\nroutes: []\n", "#END\n", r"routes.yaml:2:\d+: ", id="a section twice"),
        pytest.param("a: &a [*a]\n", "#END\n", r"routes.yaml:1:\d+: ", id="an alias"),
        pytest.param(
            "routes: !!python/object/apply:os.getcwd []\n", "#END\n", r"routes.yaml:1:\d+: ", id="a Python tag"
        ),
    ],
)
def test_a_broken_file_keeps_the_last_good_one(gateway: Gateway, text: str, end: str, problem: str) -> None:
    gateway.serve("routes:\n" + route("/hello"))
    gateway.write(text, end=end)
    problems = gateway.wait_log(KEPT)
    assert re.search(problem, problems[0]), problems
    assert gateway.statuses("/hello") == [200]
    listed = gateway.program.admin("GET", "routes").json
    assert [item["value"]["uri"] for item in listed["list"]] == ["/hello"]


def test_a_file_that_is_gone_keeps_the_last_good_one(gateway: Gateway) -> None:
    gateway.serve("routes:\n" + route("/hello"))
    gateway.write("")
    gateway.file.unlink()
    assert any("cannot be read" in problem for problem in _all_kept(gateway))
    assert gateway.statuses("/hello") == [200]


def _all_kept(gateway: Gateway) -> list[str]:
    gateway.program.wait_for(lambda: any("cannot be read" in one for one in gateway.log(KEPT)), "the loss of the file")
    return gateway.log(KEPT)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        pytest.param("    plugins: {not-exist-plugin: {}}\n", "unknown plugin [not-exist-plugin]", id="unknown plugin"),
        pytest.param("    nope: 1\n", "additional properties forbidden, found nope", id="unknown field"),
        pytest.param("    priority: high\n", 'property "priority" validation failed', id="wrong type"),
        pytest.param("    desc: '${{NOT_SET_ANYWHERE}}'\n", "NOT_SET_ANYWHERE", id="variable that is not set"),
        pytest.param("    service_id: nowhere\n", "service id [nowhere]", id="dangling reference"),
        pytest.param("    plugins: {cors: {allow_origins_by_regex: ['(']}}\n", "plugin cors", id="bad pattern"),
    ],
)
def test_a_bad_item_is_left_out_and_the_others_served(gateway: Gateway, item: str, problem: str) -> None:
    """As in APISIX (``t/config-center-yaml/route.t`` 5), with the place of what is wrong."""
    gateway.serve("routes:\n" + route("/hello") + route("/bad", item) + route("/hello1"))
    problems = gateway.log(LEFT_OUT)
    assert len(problems) == 1
    assert problem in problems[0]
    assert re.search(r"routes\.yaml:[4-6]:\d+: ", problems[0]), problems
    assert gateway.statuses("/hello", "/bad", "/hello1") == [200, 404, 200]


def test_an_item_that_cannot_be_proxied_is_left_out(gateway: Gateway) -> None:
    gateway.serve("routes:\n" + route("/hello") + "  - {uri: /bad, upstream: {scheme: grpc, nodes: {'NODE': 1}}}\n")
    assert gateway.program.log("left out")
    assert gateway.statuses("/hello", "/bad") == [200, 404]


def test_variables_of_the_environment(gateway: Gateway) -> None:
    retries = "  - {id: u, nodes: {'NODE': 1}, retries: '${{RETRIES}}'}\n"
    routes = "  - {uri: '${{HELLO_PATH}}', upstream_id: u, desc: '${{NOT_SET:=by default}}'}\n"
    gateway.serve(f"upstreams:\n{retries}routes:\n{routes}")
    assert gateway.statuses("/hello") == [200]
    value = gateway.program.admin("GET", "routes").json["list"][0]["value"]
    assert (value["uri"], value["desc"]) == ("/hello", "by default")
    assert gateway.program.admin("GET", "upstreams/u").json["value"]["retries"] == 1


def test_the_admin_api_shows_the_file_and_changes_nothing(gateway: Gateway) -> None:
    gateway.serve("routes:\n" + route("/hello", "    id: r1\n") + route("/hello1"))
    program = gateway.program
    listed = program.admin("GET", "routes").json
    assert {item["key"]: item["value"]["uri"] for item in listed["list"]} == {
        "/apisix/routes/r1": "/hello",
        "/apisix/routes/arr_2": "/hello1",
    }
    assert program.admin("GET", "routes/r1").json["value"]["uri"] == "/hello"
    document = {"uri": "/x", "plugins": {}}
    for method, path, body in (
        ("PUT", "routes/r1", document),
        ("POST", "routes", document),
        ("PATCH", "routes/r1", {"desc": "x"}),
        ("DELETE", "routes/r1", None),
        ("PUT", "global_rules/1", {"plugins": {}}),
    ):
        answer = program.admin(method, path, body)
        assert (answer.status, "routes file" in answer.json["error_msg"]) == (405, True), answer
    assert program.admin("GET", "routes").json == listed
    assert gateway.statuses("/hello", "/hello1", "/x") == [200, 200, 404]


def test_a_running_stream_survives_the_change_and_the_end_of_its_route(gateway: Gateway) -> None:
    steps = [b"data: %d\n\n" % number for number in range(3)]
    stream = gateway.origin.events("/events", steps=steps)
    gateway.serve("routes:\n" + route("/events", "    id: s\n"))
    with Client(gateway.program.port) as client:
        client.get("/events")
        assert client.read_head().status == 200
        assert client.read_event().data == steps[0]
        gateway.serve("routes:\n" + route("/events", "    id: s\n    plugins: {proxy-rewrite: {uri: /hello}}\n"))
        assert get(gateway.program.port, "/events").body == b"hello world\n"
        stream.confirm(0)
        assert client.read_event().data == steps[1]
        gateway.serve("routes: []\n")
        assert gateway.statuses("/events") == [404]
        stream.confirm(1)
        assert client.read_event().data == steps[2]
        stream.confirm(2)
        assert client.read_body() == b""


def test_json_needs_no_end_mark(tmp_path: Path) -> None:
    file = tmp_path / "routes.json"
    with Origin() as origin:

        def document(uri: str) -> str:
            return json.dumps({"routes": [{"uri": uri, "upstream": {"nodes": {origin.address: 1}}}]})

        file.write_text(document("/hello"))
        with Program(tmp_path, "--routes", str(file)) as program:
            assert get(program.port, "/hello").status == 200
            file.write_text(document("/hello1"))
            program.wait_for(lambda: get(program.port, "/hello1").status == 200, "the change")
            assert get(program.port, "/hello").status == 404
            file.write_text(document("/hello")[:-1])
            assert "routes.json:1:" in program.wait_log(KEPT)["problem"]
            assert get(program.port, "/hello1").status == 200


@pytest.mark.parametrize(
    ("content", "text"), [(None, "cannot be read"), ("routes: []\n", "#END")], ids=["missing", "no end mark"]
)
def test_a_broken_file_at_the_start_is_said_and_nothing_runs(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "routes.yaml"
    if content is not None:
        file.write_text(content)
    program = Program(tmp_path, "--routes", str(file))
    try:
        assert program.wait() == 1
        said = [line for line in program.errors if str(file) in line]
        assert len(said) == 1, program.errors
        assert text in said[0]
        assert not any("Traceback" in line for line in program.errors)
    finally:
        program.kill()
