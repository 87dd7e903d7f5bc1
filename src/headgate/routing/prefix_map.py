"""An immutable map from texts to values, found exactly or by the longest beginning.

A lookup costs one dict access for the exact text and one for each distinct length of beginnings, however many entries
there are. An edit copies the dicts that it changes, once each, and shares the rest. Paths are looked up as they are,
hosts reversed (so that ``*.example.com`` is a beginning).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class Key(NamedTuple):
    """A text as it stands, or as the beginning of any longer one."""

    text: bytes
    is_prefix: bool


@dataclass(frozen=True)
class PrefixMap(Generic[V]):
    """The map. ``length_counts``: how many beginnings there are of each length; ``lengths``: these, longest first."""

    exact: dict[bytes, V] = field(default_factory=dict)
    prefixes: dict[bytes, V] = field(default_factory=dict)
    length_counts: dict[int, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exact or self.prefixes)

    def get(self, key: Key) -> V | None:
        """Give the value that stands under exactly this key."""
        return (self.prefixes if key.is_prefix else self.exact).get(key.text)

    def find(self, text: bytes) -> Iterator[tuple[int, V]]:
        """Give the values that ``text`` finds, best first, each with the length of its key."""
        value = self.exact.get(text)
        if value is not None:
            yield len(text), value
        for length in self.lengths:
            if length <= len(text):
                value = self.prefixes.get(text[:length])
                if value is not None:
                    yield length, value

    def edited(self, changes: Mapping[Key, V | None]) -> PrefixMap[V]:
        """Give a map with values set, or taken out (None)."""
        exact = {key.text: value for key, value in changes.items() if not key.is_prefix}
        prefixes = {key.text: value for key, value in changes.items() if key.is_prefix}
        if not prefixes:
            return PrefixMap(_with(self.exact, exact), self.prefixes, self.length_counts, self.lengths)
        changed = _with(self.prefixes, prefixes)
        counts = dict(self.length_counts)
        for text in prefixes:
            counts[len(text)] = counts.get(len(text), 0) + (text in changed) - (text in self.prefixes)
        counts = {length: count for length, count in counts.items() if count}
        return PrefixMap(_with(self.exact, exact), changed, counts, tuple(sorted(counts, reverse=True)))


def _with(values: dict[bytes, V], changes: Mapping[bytes, V | None]) -> dict[bytes, V]:
    """Give ``values`` with the changes made on a copy, or itself if there are none."""
    if not changes:
        return values
    changed = values.copy()
    for text, value in changes.items():
        if value is None:
            changed.pop(text, None)
        else:
            changed[text] = value
    return changed
