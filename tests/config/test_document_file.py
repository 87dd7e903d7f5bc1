from __future__ import annotations

from pathlib import Path

import pytest

from headgate.config.document import DocumentError
from headgate.config.document_file import is_json, parse_document, read_text
from headgate.config.problem import Problem


@pytest.mark.parametrize(("name", "json"), [("a.json", True), ("a.JSON", True), ("a.yaml", False), ("json", False)])
def test_the_name_says_whether_a_file_is_json(name: str, json: bool) -> None:
    assert is_json(Path(name)) is json


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9")
    assert read_text(path) == "a: é"


def test_the_kind_of_file_chooses_the_parser() -> None:
    text = '{"a": "\\ud83d\\ude00"}'  # one character in JSON, two surrogates that YAML refuses
    assert parse_document(text, Path("a.json")).value == {"a": "\N{GRINNING FACE}"}
    with pytest.raises(DocumentError, match="invalid YAML"):
        parse_document(text, Path("a.yaml"))


def test_a_byte_that_is_not_utf8_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(DocumentError) as caught:
        read_text(path)
    assert caught.value.problems == [Problem(str(path), 2, 4, "", "not UTF-8")]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DocumentError) as caught:
            read_text(path)
        assert caught.value.problems == [Problem(str(path), None, None, "", f"cannot be read: {why}")]
