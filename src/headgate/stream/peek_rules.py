"""What is looked for in a stream's first meaningful event, while its head is still held back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headgate.wire.sse import RawEvent

_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")

NO_JSON = None
"""What data that is no JSON is decoded to: nothing is found in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekRule:
    """All that is given must hold. ``path``: members and indexes into the event's data as JSON, which must be there and not null.

    ``values``: what stands there must be one of them; none given: anything. ``empty``: the stream ended before any
    meaningful event. A match goes to the next upstream target if ``next_upstream`` and there is one, else the answer is ``status``.
    """

    event: bytes | None = None
    path: tuple[str | int, ...] | None = None
    values: tuple[Any, ...] = ()
    empty: bool = False
    next_upstream: bool = True
    status: int = 502

    def matches(self, event: RawEvent, document: Any) -> bool:
        """Say whether an event is the one; ``document`` is its data decoded, :data:`NO_JSON` if that cannot be done."""
        if self.empty or (self.event is not None and event.type != self.event):
            return False
        if self.path is None:
            return True
        found = _at(document, self.path)
        return found is not None and (not self.values or any(_is_same(found, value) for value in self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekRules:
    """``timeout_s`` and ``max_bytes`` are what the head is held for at most; then the stream goes on as it is.

    ``skip``: types of events that are not meaningful. Comments and blocks without data never are.
    """

    timeout_s: float
    max_bytes: int
    skip: frozenset[bytes] = frozenset()
    rules: tuple[PeekRule, ...] = ()

    def is_meaningful(self, event: RawEvent) -> bool:
        """Say whether an event is one that the rules are for."""
        return event.is_event and event.type not in self.skip

    def match(self, event: RawEvent) -> PeekRule | None:
        """Give the first rule that a meaningful event matches. Its data is decoded at most once."""
        document = _decode(event.data) if any(rule.path is not None for rule in self.rules) else NO_JSON
        return next((rule for rule in self.rules if rule.matches(event, document)), None)

    def match_empty(self) -> PeekRule | None:
        """Give the first rule for a stream without a meaningful event."""
        return next((rule for rule in self.rules if rule.empty), None)


def parse_path(text: str) -> tuple[str | int, ...]:
    """Read ``error.code`` or ``choices.0.delta``: names of members, numbers for places in lists. Raises ValueError."""
    steps = text.split(".")
    if not all(steps):
        raise ValueError("expected names of members separated by dots, such as error.code")
    return tuple(int(step) if _PLACE.fullmatch(step) else step for step in steps)


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return NO_JSON


def _at(document: Any, path: Sequence[str | int]) -> Any:
    """Give what stands at a path, None if there is nothing; a number is the name of a member too."""
    found = document
    for step in path:
        if isinstance(found, dict):
            found = found.get(str(step))
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        else:
            return None
    return found


def _is_same(found: Any, value: Any) -> bool:
    """Compare as JSON does: true is not 1, 1.0 is 1."""
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    return bool(found == value)
