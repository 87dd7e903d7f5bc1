from __future__ import annotations

import pytest

from headgate.config.problem import ConfigurationError, Path, Problem, dotted, in_order


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.yaml", 3, 5, "http.x", "bad"), "a.yaml:3:5: http.x: bad"),
        (Problem("a.yaml", 3, 5, "", "bad"), "a.yaml:3:5: bad"),
        (Problem("HEADGATE_ADMIN", None, None, "admin", "bad"), "HEADGATE_ADMIN: admin: bad"),
        (Problem("a.yaml", None, None, "", "cannot be read"), "a.yaml: cannot be read"),
    ],
)
def test_a_problem_reads_as_place_path_message(problem: Problem, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("listen",), "listen"),
        (("listen", 0), "listen[0]"),
        (("routes", 2, "plugins", "a-b"), "routes[2].plugins.a-b"),
        ((0, "a"), "[0].a"),
    ],
)
def test_a_path_is_written_as_people_do(path: Path, text: str) -> None:
    assert dotted(path) == text


def test_problems_come_in_the_order_of_the_text() -> None:
    later, sooner = Problem("f", 10, 1, "", "later"), Problem("f", 9, 30, "", "sooner")
    without_place = Problem("HEADGATE_X", None, None, "", "no place")
    assert in_order([later, sooner, without_place]) == [without_place, sooner, later]


def test_an_error_says_all_its_problems() -> None:
    error = ConfigurationError([Problem("f", 1, 1, "", "one"), Problem("f", 2, 1, "", "two")])
    assert str(error) == "f:1:1: one\nf:2:1: two"
