from __future__ import annotations

from typing import Any

import pytest

from headgate.config.problem import Path
from headgate.config.variables import ExpansionError, expand

ENVIRON = {
    "HOST": "example.com",
    "PORT": "1980",
    "EMPTY": "",
    "YES": "true",
    "RATE": "-0.5",
    "NUL": "null",
    "X": "${{HOST}}",
}


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("${{HOST}}", "example.com"),
        ("${{ HOST }}", "example.com"),
        ("${{HOST}}:${{PORT}}", "example.com:1980"),
        ("${{PORT}}", 1980),
        ("1${{PORT}}", 11980),
        ("${{RATE}}", -0.5),
        ("${{YES}}", True),
        ("${{NUL}}", "null"),
        ("${{EMPTY}}", ""),
        ("${{EMPTY:=x}}", ""),
        ("${{NONE:=x y}}", "x y"),
        ("${{NONE:= x }}", "x"),
        ("${{NONE:=}}", ""),
        ("${{NONE:=8}}", 8),
        ("${{NONE:=007}}", "007"),
        ("${{HOST:=x}}", "example.com"),
        ("${{X}}", "${{HOST}}"),
        ("1980", "1980"),
        ("$HOST ${HOST} {{HOST}} ${{}}", "$HOST ${HOST} {{HOST}} ${{}}"),
        ({"nodes": {"${{HOST}}:${{PORT}}": "${{NONE:=1}}"}}, {"nodes": {"example.com:1980": 1}}),
        (["${{PORT}}", 1, None, True, 1.5], [1980, 1, None, True, 1.5]),
    ],
)
def test_variables_are_expanded_as_apisix_does(value: Any, expanded: Any) -> None:
    result = expand(value, ENVIRON)
    assert (result, type(result)) == (expanded, type(expanded))


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ("${{NONE}}", (), "environment variable NONE is not set, and no default is given"),
        ({"a": [1, "x${{NONE}}"]}, ("a", 1), "environment variable NONE is not set, and no default is given"),
        ({"${{NONE}}": 1}, ("${{NONE}}",), "environment variable NONE is not set, and no default is given"),
        (
            {"example.com": 1, "${{HOST}}": 2},
            ("${{HOST}}",),
            'the key "example.com" stands twice once variables are expanded',
        ),
    ],
)
def test_what_cannot_be_expanded_is_refused_with_its_path(value: Any, path: Path, message: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(value, ENVIRON)
    assert (caught.value.path, str(caught.value)) == (path, message)


def test_the_given_data_is_left_as_it_is() -> None:
    value = {"a": ["${{HOST}}"]}
    expand(value, ENVIRON)
    assert value == {"a": ["${{HOST}}"]}
