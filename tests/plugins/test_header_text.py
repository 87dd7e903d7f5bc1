from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from headgate.plugins.header_text import HeaderName, HeaderValue

NAME, VALUE = TypeAdapter[str](HeaderName), TypeAdapter[str](HeaderValue)


@pytest.mark.parametrize("text", ["X-Api-Version", "a", "!#$%&'*+-.^_`|~"])
def test_names(text: str) -> None:
    assert NAME.validate_python(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a\r\n", "é", "a\0"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValidationError, match="invalid field character"):
        NAME.validate_python(text)


@pytest.mark.parametrize("text", ["", "a b", "a\tb", "é"])
def test_values(text: str) -> None:
    assert VALUE.validate_python(text) == text


@pytest.mark.parametrize("text", ["a\r", "a\nb", "\0"])
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(ValidationError, match="invalid value character"):
        VALUE.validate_python(text)
