from __future__ import annotations

from typing import Any

import pytest

from headgate.config.document import Document, DocumentError, Place
from headgate.config.problem import Path, Problem
from headgate.config.yaml_places import parse_yaml


def read(text: str) -> Document:
    return parse_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ("[true, False, TRUE]", [True, False, True]),
        ("[off, no, yes, on, y, n]", ["off", "no", "yes", "on", "y", "n"]),
        ("[1, -2, +3, 010, 0x1F, 0o17]", [1, -2, 3, 10, 31, 15]),
        ("[1.5, .5, 1., 1e3, -2.5E-1]", [1.5, 0.5, 1.0, 1000.0, -0.25]),
        ("[.inf, .nan, 1_000, 1:30, 2020-01-01, 0b1]", [".inf", ".nan", "1_000", "1:30", "2020-01-01", "0b1"]),
        ("['1', \"true\", '']", ["1", "true", ""]),
        ("a: !!str 1\nb: !!int '2'", {"a": "1", "b": 2}),
        ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("a: 0.0.0.0:9080", {"a": "0.0.0.0:9080"}),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    document = read(text)
    assert (document.value, document.flaws) == (value, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}", {"p": 3, "q": 2}),
        ("a: &x {p: 1, q: 2}\nb: {p: 3, <<: *x}", {"p": 3, "q": 2}),
        ("a: [&x {p: 1}, &y {p: 2, q: 2}]\nb: {<<: [*x, *y]}", {"p": 1, "q": 2}),
        ("a: [&x {p: 1}, &y {<<: *x, q: 2}]\nb: {<<: *y}", {"p": 1, "q": 2}),
        ("b: {'<<': 1}", {"<<": 1}),
    ],
)
def test_merge_keys_bring_in_what_the_mapping_does_not_say(text: str, value: Any) -> None:
    document = read(text)
    assert (document.value["b"], document.flaws) == (value, [])


TEXT = """\
# a comment
listen: [one,
  two]
http:
  - x: 1
    "y": {z: 2}
common: &c
  p: 1
  q: 1
user:
  <<: *c
  p: 2
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("listen",), (2, 1)),
        (("listen", 0), (2, 10)),
        (("listen", 1), (3, 3)),
        (("http", 0), (5, 5)),
        (("http", 0, "x"), (5, 5)),
        (("http", 0, "y"), (6, 5)),
        (("http", 0, "y", "z"), (6, 11)),
        (("user", "p"), (12, 3)),
        (("user", "q"), (9, 3)),
        (("common", "p"), (8, 3)),
    ],
)
def test_entries_have_the_place_of_their_key_and_items_their_own(path: Path, place: Place) -> None:
    assert read(TEXT).places[path] == place


@pytest.mark.parametrize(
    ("text", "value", "at", "problem"),
    [
        ("a: 1\na: 2", {"a": 1}, ("a",), (2, 1, "a", "the key stands twice, first on line 1")),
        (
            "x:\n  - {b: 1, b: 2}",
            {"x": [{"b": 1}]},
            ("x", 0, "b"),
            (2, 12, "x[0].b", "the key stands twice, first on line 2"),
        ),
        ("1: a\n'1': b", {"1": "a"}, ("1",), (2, 1, "1", "the key stands twice, first on line 1")),
        ("a: !mine x", {"a": "x"}, ("a",), (1, 4, "a", "cannot be read as !mine")),
        ("a: !!binary aGk=", {"a": "aGk="}, ("a",), (1, 4, "a", "cannot be read as binary")),
        ("a: !mine [1]", {"a": [1]}, ("a",), (1, 4, "a", "cannot be read as !mine")),
        ("a: !!set {b}", {"a": {"b": None}}, ("a",), (1, 4, "a", "cannot be read as set")),
        ("a: !!int x", {"a": "x"}, ("a",), (1, 4, "a", "cannot be read as int")),
        ("a: 1e999", {"a": "1e999"}, ("a",), (1, 4, "a", "cannot be read as float")),
        ("? [a]\n: 1", {}, (), (1, 3, "", "a key must be a text")),
        ("a: {<<: 1}", {"a": {}}, ("a",), (1, 9, "a", "<< takes a mapping or a list of mappings")),
    ],
)
def test_flaws_leave_the_rest_readable(text: str, value: Any, at: Path, problem: tuple[int, int, str, str]) -> None:
    document = read(text)
    assert document.value == value
    assert document.flaws == [(at, Problem("f.yaml", *problem))]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: [1,\nc: }", 3, 4, "invalid YAML: did not find expected node content"),
        ("a: 1\n b: 2", 2, 3, "invalid YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 2", 2, 1, "invalid YAML: found character that cannot start any token"),
        ("a: *nowhere", 1, 4, "invalid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", 2, 1, "invalid YAML: but found another document"),
        ("a: 1\nb: \x07", 2, 4, "invalid YAML: control characters are not allowed"),
        ("a: &x\n  - *x", 1, 4, "an alias refers to what it is part of"),
        ("a: &x {<<: *x}", 1, 4, "an alias refers to what it is part of"),
        ("[" * 50_000, 1, 1, "nested too deeply"),
        ("- " * 50_000, 1, 1, "nested too deeply"),
        (BOMB, 1, 22, "aliases make the document too large"),
    ],
    ids=range(11),
)
def test_a_text_that_is_no_document_is_refused_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(text)
    [problem] = caught.value.problems
    assert (problem.line, problem.column, problem.message) == (line, column, message)
