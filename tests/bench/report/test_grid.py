from __future__ import annotations

from bench.report.grid import Grid

TALL = Grid(["", "cost", "rate"], [["one", "1.5", ""], ["two", "12.5", "3"]])


def test_text_is_aligned() -> None:
    assert TALL.as_text() == "     cost  rate\none  1.5\ntwo  12.5  3"


def test_text_is_turned_where_that_is_narrower() -> None:
    wide = Grid(["", "a long title", "another long title"], [["one", "1", "2"]])
    assert wide.as_text() == "                    one\na long title        1\nanother long title  2"


def test_markdown_has_figures_to_the_right() -> None:
    assert TALL.as_markdown() == ("|  | cost | rate |\n| --- | ---: | ---: |\n| one | 1.5 |  |\n| two | 12.5 | 3 |")


def test_markdown_has_words_to_the_left() -> None:
    grid = Grid(["peer", "version"], [["nginx", "1.22"]], words=True)
    assert grid.as_markdown().splitlines()[1] == "| --- | --- |"
