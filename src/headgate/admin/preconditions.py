"""Conditional writes: ``If-Match`` and ``If-None-Match`` against ``modifiedIndex`` (RFC 9110 §13.1.1, §13.1.2).

Invariant: a write whose condition does not hold changes nothing and answers 412. A write that would fail anyway (400,
404) answers that first (§13.2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headgate.admin.answers import refuse
from headgate.config.store import Item

_ETAG = re.compile(r'(W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditions of one request: the two fields as received, None where absent."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, key: str, item: Item | None) -> None:
        """Raise Refusal (412) unless ``item``, what stands under ``key`` now, is as the client expects."""
        if self.if_match is not None and not _matches(self.if_match, item):
            raise refuse(412, f"{key} {_state(item)}, If-Match asks for {self.if_match}")
        if self.if_none_match is not None and _matches(self.if_none_match, item):
            raise refuse(412, f"{key} {_state(item)}, If-None-Match excludes {self.if_none_match}")


def _matches(field: str, item: Item | None) -> bool:
    """Compare strongly (RFC 9110 §8.8.3.2): our tags are never weak, so a weak one matches nothing."""
    if item is None:
        return False
    tags = [tag for weak, tag in _ETAG.findall(field) if not weak]
    return field.strip() == "*" or str(item.modified_index) in tags


def _state(item: Item | None) -> str:
    return "does not exist" if item is None else f"is at modifiedIndex {item.modified_index}"
