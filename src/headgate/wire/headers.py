"""Header fields as they came: order, spelling and bytes kept, looked up without regard to case.

Values are the raw bytes received (RFC 9110 §5.5 makes them opaque octets). Nothing here checks what it is given: the
parsers refuse bad fields before they get here, and whoever writes a field of its own calls :func:`valid_value` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

Field = tuple[bytes, bytes, bytes]
"""Lower-case name, name as received, value."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that concern one connection only (RFC 9110 §7.6.1, with the names that RFC 2616 listed)."""

_NONE: frozenset[bytes] = frozenset()
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]")


def valid_name(name: bytes) -> bool:
    """Say whether ``name`` is a token (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def valid_value(value: bytes) -> bool:
    """Say whether ``value`` holds none of CR, LF and NUL, with which it would end the field or start another."""
    return _BAD_VALUE.search(value) is None


def _members(value: bytes) -> frozenset[bytes]:
    parts = [part.strip(b" \t").lower() for part in value.split(b",")]
    return frozenset(part for part in parts if part)


_SHORT_BYTES = 64
_known_members = lru_cache(maxsize=256)(_members)
"""Of short lists such as ``keep-alive`` there are few."""


class Headers:
    """An ordered list of fields with case-blind lookups; lookups take lower-case names."""

    __slots__ = ("fields",)

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self.fields: list[Field] = list(fields)

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Make headers of (name, value) pairs."""
        return cls((name.lower(), name, value) for name, value in pairs)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, lower: bytes) -> bool:
        for field in self.fields:  # noqa: SIM110 -- any() over a generator costs three times as much (timeit, 5 fields)
            if field[0] == lower:
                return True
        return False

    def __repr__(self) -> str:
        return f"Headers({[(name, value) for _, name, value in self.fields]!r})"

    def copy(self) -> Headers:
        """Make headers of their own with the same fields."""
        return Headers(self.fields)

    def get(self, lower: bytes) -> bytes | None:
        """Give the first value of a name, or None."""
        for name, _, value in self.fields:
            if name == lower:
                return value
        return None

    def get_all(self, lower: bytes) -> list[bytes]:
        """Give every value of a name, in order."""
        return [value for name, _, value in self.fields if name == lower]

    def combined(self, lower: bytes) -> bytes | None:
        """Give all values of a name joined by ", " as RFC 9110 §5.3 allows, or None."""
        if lower not in self:
            return None
        return b", ".join(self.get_all(lower))

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field."""
        self.fields.append((name.lower(), name, value))

    def set(self, name: bytes, value: bytes) -> None:
        """Replace every field of that name by one, where the first stood or at the end."""
        lower = name.lower()
        fields = self.fields
        for field in fields:
            if field[0] == lower:
                break
        else:
            fields.append((lower, name, value))
            return
        first = fields.index(field)
        fields[first] = (lower, name, value)
        fields[first + 1 :] = [rest for rest in fields[first + 1 :] if rest[0] != lower]

    def remove(self, lower: bytes) -> None:
        """Drop every field of a name."""
        self.fields = [field for field in self.fields if field[0] != lower]

    def tokens(self, lower: bytes) -> frozenset[bytes]:
        """Give the lower-case members of a comma-separated list field such as ``Connection``."""
        members: frozenset[bytes] = _NONE
        for name, _, value in self.fields:
            if name == lower:
                found = _known_members(value) if len(value) <= _SHORT_BYTES else _members(value)
                members = members | found if members else found
        return members

    def without_hop_by_hop(self) -> Headers:
        """Give the fields that an intermediary passes on: no hop-by-hop field, none that ``Connection`` names."""
        named = self.tokens(b"connection")
        drop = HOP_BY_HOP | named if named else HOP_BY_HOP
        return Headers([field for field in self.fields if field[0] not in drop])
