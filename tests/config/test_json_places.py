from __future__ import annotations

import pytest

from headgate.config.document import DocumentError, Place
from headgate.config.json_places import parse_json
from headgate.config.problem import Path, Problem

TEXT = """\
{"listen": [1, "two, [3]: \\"{\\"", {}],
\t"b\\u0041": {"c": [[true], null]},
  "last": -1.5e3}
"""


def test_values_are_those_of_the_standard_library() -> None:
    document = parse_json(TEXT, "f.json")
    assert document.value == {"listen": [1, 'two, [3]: "{"', {}], "bA": {"c": [[True], None]}, "last": -1500.0}
    assert document.flaws == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("listen",), (1, 2)),
        (("listen", 0), (1, 13)),
        (("listen", 1), (1, 16)),
        (("listen", 2), (1, 35)),
        (("bA",), (2, 2)),
        (("bA", "c"), (2, 14)),
        (("bA", "c", 0, 0), (2, 21)),
        (("bA", "c", 1), (2, 28)),
        (("last",), (3, 3)),
    ],
)
def test_entries_have_the_place_of_their_key_and_items_their_own(path: Path, place: Place) -> None:
    assert parse_json(TEXT, "f.json").place(path) == place


@pytest.mark.parametrize(
    ("text", "at", "line", "column", "first"),
    [
        ('{"a": 1,\n "a": 2}', ("a",), 2, 2, 1),
        ('{"a": 1, "\\u0061": 2}', ("a",), 1, 10, 1),
        ('[\n{"x": {"b": {"c": 1}, "b": 2}}]', (0, "x", "b"), 2, 23, 2),
    ],
)
def test_a_key_that_stands_twice_is_a_flaw(text: str, at: Path, line: int, column: int, first: int) -> None:
    [(path, problem)] = parse_json(text, "f.json").flaws
    assert path == at
    assert (problem.line, problem.column) == (line, column)
    assert problem.message == f"the key stands twice, first on line {first}"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "invalid JSON: Expecting value"),
        ('{"a": 1,\n "b": }', 2, 7, "invalid JSON: Expecting value"),
        ("{'a': 1}", 1, 2, "invalid JSON: Expecting property name enclosed in double quotes"),
        ("[1] 2", 1, 5, "invalid JSON: Extra data"),
        ('{"a": NaN}', 1, 1, "invalid JSON: NaN is no JSON number"),
        ("[-Infinity]", 1, 1, "invalid JSON: -Infinity is no JSON number"),
        ("[1e999]", 1, 1, "invalid JSON: 1e999 is no JSON number"),
        ("[" * 500 + "]" * 500, 1, 1, "nested too deeply"),
        ("[" * 100_000, 1, 1, "nested too deeply"),
    ],
    ids=range(9),
)
def test_what_is_no_json_is_refused_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_json(text, "f.json")
    assert caught.value.problems == [Problem("f.json", line, column, "", message)]


def test_places_are_not_looked_for_until_one_is_asked_for() -> None:
    document = parse_json(TEXT, "f.json")
    assert document.places == {}
    assert document.problem(("last",), "bad") == Problem("f.json", 3, 3, "last", "bad")
    assert document.places[("bA", "c", 1)] == (2, 28)


@pytest.mark.parametrize("deep", ['{"a":' * 100 + "1" + "}" * 100, "[" * 100 + "{}" + "]" * 100])
def test_levels_are_counted_with_places_and_without(deep: str) -> None:
    assert parse_json(deep, "f.json").flaws == []
    for text in (f"[{deep}]", f'[{deep}, {{"twice": 1, "twice": 2}}]'):
        with pytest.raises(DocumentError) as caught:
            parse_json(text, "f.json")
        assert caught.value.problems == [Problem("f.json", 1, 1, "", "nested too deeply")]
