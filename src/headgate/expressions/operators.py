"""The comparison operators of conditions: each makes, from the value written, a test of a variable's bytes.

Semantics are lua-resty-expr's. An absent variable (None) fails every test but ``==`` with null and ``~=``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from headgate.expressions.addresses import compile_addresses
from headgate.expressions.pattern import compile_pattern

Test = Callable[[bytes | None], bool]

_NUMBER = re.compile(rb"\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*")
"""Linear on any input: no two repeats beside each other can take the same byte."""


def _number(value: bytes | None) -> float | None:
    """Read a decimal number; what Python alone would take for one (``1_0``, ``nan``) is none."""
    return None if value is None or _NUMBER.fullmatch(value) is None else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> bytes:
    """Give a scalar as the bytes that a variable would hold."""
    match value:
        case str():
            return value.encode()
        case bool():
            return b"true" if value else b"false"
        case int() | float():
            return str(value).encode()
        case _:
            raise ValueError("invalid value, expected a string or a number")


def _bound(value: object) -> float:
    number = _number(_text(value))
    if number is None:
        raise ValueError(f"invalid value, expected a number, got '{value}'")
    return number


def _equal(value: object) -> Test:
    if value is None:
        return lambda given: given is None
    if _is_number(value):
        number = _bound(value)
        return lambda given: _number(given) == number
    text = _text(value)
    return lambda given: given == text


def _unequal(value: object) -> Test:
    equal = _equal(value)
    return lambda given: not equal(given)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object], Test]:
    """Make an ordering operator: both sides as numbers, false when either is none."""

    def make(value: object) -> Test:
        bound = _bound(value)

        def test(given: bytes | None) -> bool:
            number = _number(given)
            return number is not None and compare(number, bound)

        return test

    return make


def _pattern(value: object, *, ignore_case: bool) -> Test:
    if not isinstance(value, str):
        raise ValueError("invalid value, expected a pattern")
    pattern = compile_pattern(value, ignore_case=ignore_case)
    return lambda given: given is not None and pattern.matches(given)


def _among(value: object) -> Test:
    items = _items(value)
    texts = frozenset(_text(item) for item in items if not _is_number(item))
    numbers = frozenset(_bound(item) for item in items if _is_number(item))

    def test(given: bytes | None) -> bool:
        return given is not None and (given in texts or (bool(numbers) and _number(given) in numbers))

    return test


def _has(value: object) -> Test:
    """Test list membership; a variable's list is its comma-separated members (RFC 9110 §5.6.1)."""
    member = _text(value)
    return lambda given: given is not None and member in [part.strip(b" \t") for part in given.split(b",")]


def _in_networks(value: object) -> Test:
    texts = [value] if isinstance(value, str) else _items(value)
    addresses = compile_addresses([_text(item).decode() for item in texts])
    return lambda given: given is not None and addresses.contain(given.decode("latin-1"))


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("invalid value, expected a list")
    return value


OPERATORS: dict[str, Callable[[object], Test]] = {
    "==": _equal,
    "~=": _unequal,
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    "~~": lambda value: _pattern(value, ignore_case=False),
    "~*": lambda value: _pattern(value, ignore_case=True),
    "in": _among,
    "has": _has,
    "ipmatch": _in_networks,
}
"""By name in lower case. Each raises ValueError for a value that it cannot take."""
