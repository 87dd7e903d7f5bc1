"""Configuration files as they are read from disk: JSON where the name ends in ``.json``, YAML otherwise; UTF-8."""

from __future__ import annotations

from pathlib import Path

from headgate.config.document import Document, DocumentError
from headgate.config.json_places import parse_json
from headgate.config.problem import Problem


def is_json(path: Path) -> bool:
    """Say whether a file is JSON, by its name."""
    return path.suffix.lower() == ".json"


def read_text(path: Path) -> str:
    """Read a file, without a byte order mark. Raises DocumentError with the place of a byte that is not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), None, None, "", f"cannot be read: {error.strerror}")
        raise DocumentError([problem]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before) - before.rfind(b"\n")
        problem = Problem(str(path), before.count(b"\n") + 1, column, "", "not UTF-8")
        raise DocumentError([problem]) from None


def parse_document(text: str, path: Path) -> Document:
    """Read the text of a file by the file's kind. Raises DocumentError."""
    if is_json(path):
        return parse_json(text, str(path))
    from headgate.config.yaml_places import parse_yaml  # noqa: PLC0415 - few processes ever read YAML

    return parse_yaml(text, str(path))
