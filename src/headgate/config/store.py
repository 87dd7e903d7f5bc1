"""What a configuration store keeps and promises.

Invariants: a batch of writes is stored whole or not at all, and once ``commit`` has returned it survives the death of
the process and of the machine. The write counter only grows; it numbers the writes (``modified_index``) and makes the
ids of a POST. A store has one writer. All methods block: control calls them in one writer thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headgate.config.change import Change, Kind


class StoreError(Exception):
    """A store that cannot be opened, read or written. The text says what, where and what to do about it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One stored resource.

    ``value`` is its document as stored and is never changed in place. ``created_index`` and ``modified_index`` are the
    write counter when it was made and last changed. ``expires_at`` is seconds since the epoch, None = never.
    """

    kind: Kind
    id: str
    value: dict[str, Any]
    created_index: int
    modified_index: int
    expires_at: float | None = None

    @property
    def key(self) -> str:
        """The key as the Admin API shows it, ``/apisix/routes/1``."""
        return f"/apisix/{self.kind}/{self.id}"

    def change(self) -> Change:
        """Give the change that makes this item."""
        return Change(self.kind, self.id, self.value, self.created_index, self.modified_index)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A resource that ceases to exist; deleting what is not there is no error."""

    kind: Kind
    id: str

    def change(self) -> Change:
        """Give the change that deletes it."""
        return Change(self.kind, self.id, None)


Write = Item | Deletion
"""What a store is given to keep."""


class Store(Protocol):
    """A place for the configuration. Every method raises StoreError when it cannot do its work."""

    def load(self) -> list[Item]:
        """Read every item, oldest first; expired ones too, which the caller then deletes."""

    def counter(self) -> int:
        """Give the write counter of the last commit, 0 on a new store."""

    def commit(self, writes: Sequence[Write], counter: int) -> None:
        """Store the writes in their order, and the write counter after them, as one transaction."""

    def close(self) -> None:
        """Let go of the store; a second call does nothing."""
