"""What one write does to the configuration: the unit that stores commit, control sends and workers apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["routes", "services", "upstreams", "global_rules"]
"""The resource kinds that reach workers. The word is the one in the Admin API's paths."""

KINDS: tuple[Kind, ...] = ("upstreams", "services", "global_rules", "routes")
"""All kinds, each after those that it can refer to."""


@dataclass(frozen=True, slots=True)
class Change:
    """One resource written (``value`` is its document as stored) or deleted (``value`` is None).

    ``id`` is always a string, the last part of the stored key. ``created_index`` and ``modified_index`` are the
    store's write counter when the resource was made and last changed; both 0 in a deletion.
    """

    kind: Kind
    id: str
    value: dict[str, Any] | None
    created_index: int = 0
    modified_index: int = 0
