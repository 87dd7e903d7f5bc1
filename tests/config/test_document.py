from __future__ import annotations

import pytest

from headgate.config.document import Document, Place
from headgate.config.problem import Path, Problem

DOCUMENT = Document(
    "f.yaml", {"a": {"b": [1]}}, {(): (1, 1), ("a",): (2, 1), ("a", "b"): (3, 3), ("a", "b", 0): (3, 7)}
)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("a",), (2, 1)),
        (("a", "b", 0), (3, 7)),
        (("a", "b", 1), (3, 3)),
        (("a", "c", "d"), (2, 1)),
        (("x", 0), (1, 1)),
    ],
)
def test_a_path_that_is_not_in_the_text_has_the_place_of_what_is_around_it(path: Path, place: Place) -> None:
    assert DOCUMENT.place(path) == place


def test_a_problem_has_the_file_and_the_place_of_its_path() -> None:
    assert DOCUMENT.problem(("a", "b", 0), "bad") == Problem("f.yaml", 3, 7, "a.b[0]", "bad")
