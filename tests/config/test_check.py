from __future__ import annotations

from pathlib import Path

import pytest

from headgate.config.change import Change
from headgate.config.check import check_file, is_routes_file
from headgate.config.invalid_configuration import InvalidConfiguration


class NoPlugins:
    """A catalog without any plugin."""

    def check(self, name: str, conf: object) -> None:
        del conf
        msg = f"unknown plugin [{name}]"
        raise InvalidConfiguration(msg)

    def check_condition(self, expression: object) -> None:
        """Take any."""


@pytest.mark.parametrize(
    ("name", "text", "routes"),
    [
        ("a.yaml", "listen: []", False),
        ("a.yaml", "routes: routes.yaml", False),
        ("a.json", '{"routes": "routes.yaml"}', False),
        ("a.yaml", "listn: []", False),
        ("a.yaml", "", False),
        ("a.yaml", "upstream: {}\nroutes: a.yaml", False),
        ("a.yaml", "routes: []", True),
        ("a.yaml", "routes:", True),
        ("a.yaml", "upstreams: []", True),
        ("a.yaml", "consumers: []", True),
        ("a.yaml", "listen: []\nroutes: []\nupstreams: []", True),
        ("a.yaml", "listen: []\nadmin: x\nupstreams: []", False),
        ("a.yaml", "rotes: []\n#END", True),
        ("a.json", '{"rotes": []}', True),
        ("a.yaml", "- a", False),
    ],
)
def test_top_level_keys_tell_the_two_kinds_apart(tmp_path: Path, name: str, text: str, routes: bool) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert is_routes_file(path) is routes


@pytest.mark.parametrize(
    ("name", "text", "problems"),
    [
        ("headgate.yaml", "listen: [127.0.0.1:1]\n", []),
        (
            "headgate.yaml",
            "listen: [x]\nworkers: ${{N}}\n",
            [
                '1:10: listen[0]: expected "HOST:PORT" with a port of 0 to 65535, such as "127.0.0.1:9080" or "[::1]:9080"',
                "2:1: workers: expected a whole number, got a text",
            ],
        ),
        ("any.yaml", "upstreams:\n  - nodes: {'a:1': 1}\n#END\n", []),
        (
            "any.yaml",
            "upstreams:\n  - nodes: {'a:1': ${{N}}}\n  - nodes: {'a:1': '${{N}}'}\nconsumers: []\n#END\n",
            ["2:21: invalid YAML: did not find expected ',' or '}'"],
        ),
        (
            "any.yaml",
            "upstreams:\n  - nodes: {'a:1': '${{N}}'}\n  - nodes: {'a:1': '${{M}}'}\nconsumers: []\n#END\n",
            [
                "3:13: upstreams[1].nodes.a:1: environment variable M is not set, and no default is given",
                "4:1: consumers: headgate does not serve this section yet; it is left out",
            ],
        ),
        ("any.yaml", "routes: []\n", ["1:11: the file does not end with #END, so it counts as still being written"]),
        ("any.json", '{"routes": [}', ["1:13: invalid JSON: Expecting value"]),
    ],
)
def test_every_problem_is_given_with_its_place(tmp_path: Path, name: str, text: str, problems: list[str]) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert [str(problem) for problem in check_file(path, NoPlugins(), {"N": "1"})] == [f"{path}:{p}" for p in problems]


def test_variables_count_as_they_would_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "headgate.yaml"
    path.write_text("admin: 0.0.0.0:9180\n")
    keys = '[{"name": "ops", "key": "secret", "role": "admin"}]'
    assert len(check_file(path, NoPlugins(), {})) == 1
    assert check_file(path, NoPlugins(), {"HEADGATE_ADMIN_KEYS": keys}) == []


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    [problem] = check_file(path, NoPlugins(), {})
    assert str(problem) == f"{path}: cannot be read: No such file or directory"


def test_what_is_valid_but_does_not_compile_is_a_problem_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "global_rules:\n  - {id: 1, plugins: {}}\n"
        "upstreams:\n  - id: 1\n    scheme: grpc\n    nodes: {'127.0.0.1:1': 1}\n#END\n"
    )

    def admit(change: Change) -> None:
        if change.kind == "upstreams":
            raise InvalidConfiguration("does not compile", location=("scheme",))

    problems = check_file(file, NoPlugins(), {}, admit=admit)
    assert [str(problem) for problem in problems] == [f"{file}:5:5: upstreams[0].scheme: does not compile"]
