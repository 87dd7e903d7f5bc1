from __future__ import annotations

import pytest
from tests.docs.page import blocks, headings, names, rows, section

PAGE = """# Page

| a | b |
|---|---|
| `x` | 1 |

## One

| a | b |
|---|---|
| `y` | `2` |
| a | 4 |
| z | |

| other | b |
|---|---|
| w | 3 |

## Two

nothing
"""


def test_tables_are_found_by_their_first_title() -> None:
    assert rows(PAGE, "a") == [["x", "1"], ["y", "2"], ["a", "4"], ["z", ""]]
    assert names(section(PAGE, "One"), "a") == ["y", "a", "z"]
    assert names(section(PAGE, "Two"), "a") == []


def test_a_section_ends_at_the_next_heading() -> None:
    assert headings(PAGE) == ["One", "Two"]
    assert section(PAGE, "Two") == "Two\n\nnothing\n"


def test_a_heading_that_is_not_there_is_no_empty_section() -> None:
    with pytest.raises(AssertionError, match="0 headings 'Three'"):
        section(PAGE, "Three")


def test_blocks_are_found_by_their_language() -> None:
    text = "```json\n{}\n```\n\n```sh\nls\n```\n* a list:\n\n  ```json\n  {\n    1\n  }\n  ```\n"
    assert blocks(text, "json") == ["{}\n", "{\n  1\n}\n"]
    assert blocks(text, "yaml") == []
