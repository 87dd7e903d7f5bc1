from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.config.change import Change
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.problem import Problem
from headgate.config.routes_file import (
    UNSERVED,
    RoutesFileError,
    RoutesFileResult,
    read_routes,
)


class OnePlugin:
    """A catalog that has one plugin, ``echo``, which takes any configuration but ``{"bad": …}``."""

    def check(self, name: str, conf: object) -> None:
        if name != "echo":
            raise InvalidConfiguration(f"unknown plugin [{name}]")
        if isinstance(conf, dict) and "bad" in conf:
            raise InvalidConfiguration("failed to check the configuration of plugin echo err: x", location=("bad",))

    def check_condition(self, expression: object) -> None:
        """Take any."""


def read(directory: Path, text: str, name: str = "routes.yaml", **environ: str) -> RoutesFileResult:
    path = directory / name
    path.write_text(text)
    return read_routes(path, OnePlugin(), environ)


NODES = {"127.0.0.1:1980": 1}

GOOD = """\
routes:
  - id: r1
    uri: /a
    service_id: s1
  - uri: /b
    upstream_id: 7
    plugins: {echo: {}}
  - id: 5
    uri: /c
    upstream: {nodes: {"127.0.0.1:1980": 1}}
services:
  - id: s1
    upstream_id: "7"
upstreams:
  - id: 7
    nodes: {"127.0.0.1:1980": 1}
global_rules:
  - plugins: {echo: {}}
#END
"""


def test_all_sections_are_read_each_after_what_it_refers_to(tmp_path: Path) -> None:
    result = read(tmp_path, GOOD)
    assert result.problems == ()
    assert result.changes == (
        Change("upstreams", "7", {"id": "7", "nodes": NODES}, 1, 1),
        Change("services", "s1", {"id": "s1", "upstream_id": "7"}, 2, 2),
        Change("global_rules", "arr_1", {"id": "arr_1", "plugins": {"echo": {}}}, 3, 3),
        Change("routes", "r1", {"id": "r1", "uri": "/a", "service_id": "s1"}, 4, 4),
        Change("routes", "arr_2", {"id": "arr_2", "uri": "/b", "upstream_id": 7, "plugins": {"echo": {}}}, 5, 5),
        Change("routes", "5", {"id": "5", "uri": "/c", "upstream": {"nodes": NODES}}, 6, 6),
    )


def test_json_needs_no_end_mark(tmp_path: Path) -> None:
    text = '{"routes": [{"uri": "/a", "plugins": {"echo": {}}}]}'
    [change] = read(tmp_path, text, "routes.json").changes
    assert (change.kind, change.id) == ("routes", "arr_1")


@pytest.mark.parametrize("text", ["#END", "routes:\n#END", "routes: []  #END", "routes: []\n#END \r\n\n", "{}\n#END\n"])
def test_an_empty_file_that_is_ended_has_no_routes(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == RoutesFileResult((), ())


def test_variables_are_expanded(tmp_path: Path) -> None:
    text = """
upstreams:
  - id: ${{ID}}
    nodes: {"${{HOST}}:${{PORT:=1980}}": "${{WEIGHT:=1}}"}
#END
"""
    [change] = read(tmp_path, text, ID="12", HOST="127.0.0.1").changes
    assert change == Change("upstreams", "12", {"id": "12", "nodes": NODES}, 1, 1)


END_MARK = "the file does not end with #END, so it counts as still being written"


@pytest.mark.parametrize(
    ("name", "text", "line", "column", "message"),
    [
        ("r.yaml", "", 1, 1, END_MARK),
        ("r.yaml", "routes: []\n", 1, 11, END_MARK),
        ("r.yaml", "routes: []\n#END\n# more\n", 3, 7, END_MARK),
        ("r.yaml", "routes: []\n#end", 2, 5, END_MARK),
        ("r.yaml", "routes: [\n}\n#END", 2, 1, "invalid YAML: did not find expected node content"),
        ("r.yaml", "- uri: /a\n#END", 1, 1, "expected a mapping of sections, such as routes"),
        ("r.yaml", "routes: []\nroutes: []\n#END", 2, 1, "the key stands twice, first on line 1"),
        ("r.json", '{"routes": [],\n "routes": []}', 2, 2, "the key stands twice, first on line 1"),
        ("r.json", '{"routes": [}', 1, 13, "invalid JSON: Expecting value"),
        ("r.json", "", 1, 1, "invalid JSON: Expecting value"),
        ("r.json", "[]", 1, 1, "expected a mapping of sections, such as routes"),
    ],
)
def test_a_file_that_is_broken_as_a_whole_raises(
    tmp_path: Path, name: str, text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(RoutesFileError) as caught:
        read(tmp_path, text, name)
    [problem] = caught.value.problems
    assert (problem.line, problem.column, problem.message) == (line, column, message)


def test_a_file_that_is_not_there_raises(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(RoutesFileError) as caught:
        read_routes(path, OnePlugin(), {})
    assert caught.value.problems == [Problem(str(path), None, None, "", "cannot be read: No such file or directory")]


# Each case stands in a file whose first and last items are good and must be served all the same.
AROUND = """\
upstreams:
  - {id: first, nodes: {}}
%s
  - {id: last, nodes: {}}
#END
"""


@pytest.mark.parametrize(
    ("item", "line", "column", "path", "message"),
    [
        ("  - 5", 3, 5, "upstreams[1]", "expected a mapping"),
        ("  -", 3, 4, "upstreams[1]", "expected a mapping"),
        (
            "  - {nodes: {}, x: 1}",
            3,
            17,
            "upstreams[1].x",
            "invalid configuration: additional properties forbidden, found x",
        ),
        ("  - {}", 3, 5, "upstreams[1]", None),
        (
            "  - nodes: {}\n    retries: x",
            4,
            5,
            "upstreams[1].retries",
            'invalid configuration: property "retries" validation failed: wrong type: expected integer, got string',
        ),
        ("  - {id: a b, nodes: {}}", 3, 6, "upstreams[1].id", None),
        ("  - {id: , nodes: {}}", 3, 6, "upstreams[1].id", None),
        (
            "  - {id: first, nodes: {}}",
            3,
            6,
            "upstreams[1].id",
            "found duplicate id first in upstreams, first on line 2",
        ),
        ("  - {nodes: {}, nodes: {}}", 3, 17, "upstreams[1].nodes", "the key stands twice, first on line 3"),
        ("  - {nodes: !map2 {}}", 3, 13, "upstreams[1].nodes", "cannot be read as !map2"),
        (
            "  - nodes: {}\n    desc: ${{NONE}}",
            4,
            5,
            "upstreams[1].desc",
            "environment variable NONE is not set, and no default is given",
        ),
    ],
)
def test_a_bad_item_is_left_out_and_the_others_stay(
    tmp_path: Path, item: str, line: int, column: int, path: str, message: str | None
) -> None:
    result = read(tmp_path, AROUND % item)
    assert [change.id for change in result.changes] == ["first", "last"]
    [problem] = result.problems
    assert (problem.line, problem.column, problem.path) == (line, column, path)
    assert problem.message == message or (message is None and problem.message.startswith("invalid configuration: "))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("rotes: []\n#END", ['1:1: rotes: no such section; did you mean "routes"?']),
        (
            "routes: {}\nservices: 5\n#END",
            ["1:1: routes: expected a list of routes", "2:1: services: expected a list of services"],
        ),
        (
            "routes:\n  - uri: /a\n    plugins:\n      echo: {bad: 1}\n#END",
            ["4:14: routes[0].plugins.echo.bad: failed to check the configuration of plugin echo err: x"],
        ),
        (
            "routes:\n  - uri: /a\n    plugins:\n      ehco: {}\n#END",
            ["4:7: routes[0].plugins.ehco: unknown plugin [ehco]"],
        ),
    ],
)
def test_problems_of_sections_and_plugins(tmp_path: Path, text: str, problems: list[str]) -> None:
    result = read(tmp_path, text)
    assert result.changes == ()
    assert [str(problem) for problem in result.problems] == [f"{tmp_path / 'routes.yaml'}:{text}" for text in problems]


@pytest.mark.parametrize("section", UNSERVED)
def test_sections_that_are_not_served_are_named(tmp_path: Path, section: str) -> None:
    result = read(tmp_path, f"upstreams: [{{nodes: {{}}}}]\n{section}: []\n#END")
    assert len(result.changes) == 1
    [problem] = result.problems
    assert (problem.line, problem.path, problem.message) == (
        2,
        section,
        "headgate does not serve this section yet; it is left out",
    )


def test_a_generated_id_can_be_a_duplicate_too(tmp_path: Path) -> None:
    result = read(tmp_path, "upstreams:\n  - {id: arr_2, nodes: {}}\n  - {nodes: {}}\n#END")
    assert [change.id for change in result.changes] == ["arr_2"]
    [problem] = result.problems
    assert (problem.line, problem.column) == (3, 5)
    assert problem.message == "found duplicate id arr_2 in upstreams, first on line 2"


def test_the_same_id_in_two_sections_is_fine(tmp_path: Path) -> None:
    result = read(tmp_path, "upstreams: [{id: 1, nodes: {}}]\nservices: [{id: 1}]\n#END")
    assert (len(result.changes), result.problems) == (2, ())


@pytest.mark.parametrize(
    ("text", "good", "problems"),
    [
        (
            "routes:\n  - {uri: /a, upstream_id: 9}\n#END",
            [],
            [(2, 15, "routes[0].upstream_id", "failed to fetch upstream info by upstream id [9], response code: 404")],
        ),
        (
            "routes:\n  - {uri: /a, service_id: s}\nservices:\n  - {id: s, upstream_id: 9}\n#END",
            [],
            [
                (2, 15, "routes[0].service_id", "failed to fetch service info by service id [s], response code: 404"),
                (
                    4,
                    13,
                    "services[0].upstream_id",
                    "failed to fetch upstream info by upstream id [9], response code: 404",
                ),
            ],
        ),
        (
            "routes:\n  - {id: r, uri: /a, upstream_id: u}\nupstreams:\n  - {id: u, nodes: 5}\n#END",
            [],
            [
                (
                    2,
                    22,
                    "routes[0].upstream_id",
                    "failed to fetch upstream info by upstream id [u], response code: 404",
                ),
                (4, 13, "upstreams[0].nodes", None),
            ],
        ),
        ("routes:\n  - {id: r, uri: /a, upstream_id: arr_1}\nupstreams:\n  - {nodes: {}}\n#END", ["arr_1", "r"], []),
    ],
)
def test_what_refers_to_nothing_good_is_left_out(
    tmp_path: Path, text: str, good: list[str], problems: list[tuple[Any, ...]]
) -> None:
    result = read(tmp_path, text)
    assert [change.id for change in result.changes] == good
    for problem, (line, column, path, message) in zip(result.problems, problems, strict=True):
        assert (problem.line, problem.column, problem.path) == (line, column, path)
        assert message in {None, problem.message}
