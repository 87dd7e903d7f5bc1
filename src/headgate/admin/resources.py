"""The configuration in memory: what GET shows and what writes are judged against.

Invariants: an item is never changed, only replaced; ``counter`` is the highest index given so far and only grows. A
write is tried on a draft, which shares everything with the original until it differs, and becomes the state by one
assignment after the store has it: a reader sees all of a batch or nothing. An expired item is gone for readers at
once, also before its deletion is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from headgate.config.change import KINDS, Change, Kind
from headgate.config.store import Deletion, Item, Write


class Resources:
    """All resources by kind and id.

    ``items`` and ``counter`` are what the store loaded. ``clock`` gives seconds since the epoch, for expiry and for
    create_time and update_time.
    """

    def __init__(self, items: Iterable[Item] = (), counter: int = 0, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.counter = counter
        self._items: dict[Kind, dict[str, Item]] = {kind: {} for kind in KINDS}
        self._own: set[Kind] = set(KINDS)
        self._expiries: dict[tuple[Kind, str], float] = {}
        for item in items:
            self._put(item)

    def get(self, kind: Kind, resource_id: str) -> Item | None:
        """Give one item, or None if there is none or it has expired."""
        item = self._items[kind].get(resource_id)
        return None if item is None or self._expired(item) else item

    def all(self, kind: Kind) -> list[Item]:
        """Give the items of a kind that have not expired, in no particular order."""
        return [item for item in self._items[kind].values() if not self._expired(item)]

    def changes(self) -> list[Change]:
        """Give the whole state as changes, each kind after those that it can refer to."""
        return [item.change() for kind in KINDS for item in self.all(kind)]

    def expired(self, now: float) -> list[Deletion]:
        """Give the deletions of what has expired at ``now`` (seconds since the epoch)."""
        return [Deletion(kind, name) for (kind, name), end in self._expiries.items() if end <= now]

    def next_expiry(self) -> float | None:
        """Give the time at which the next item expires, in seconds since the epoch, or None."""
        return min(self._expiries.values(), default=None)

    def draft(self) -> Resources:
        """Give a copy to try writes on; it costs nothing until it is written to."""
        copy = Resources(counter=self.counter, clock=self.clock)
        copy._items = dict(self._items)
        copy._own = set()
        copy._expiries = dict(self._expiries)
        return copy

    def apply(self, writes: Iterable[Write]) -> None:
        """Do the writes in their order; a deletion takes an index of its own, as a revision in etcd."""
        for write in writes:
            if isinstance(write, Item):
                self._put(write)
            else:
                self._delete(write)

    def adopt(self, draft: Resources) -> None:
        """Become what ``draft``, made of this one, has become. The draft must not be written to any more."""
        self._items, self._expiries, self.counter = draft._items, draft._expiries, draft.counter
        self._own = set()

    def replace_all(self, changes: Sequence[Change]) -> None:
        """Become what a routes file says. ``changes`` holds no deletions; their indexes are set here.

        An item whose document is as it was keeps its indexes.
        """
        index = self.counter + 1
        fresh = Resources(clock=self.clock)
        for change in changes:
            assert change.value is not None
            old = self._items[change.kind].get(change.id)
            made = Item(change.kind, change.id, change.value, old.created_index if old else index, index)
            fresh._put(old if old and old.value == change.value else made)
        fresh.counter = index
        self.adopt(fresh)

    def _expired(self, item: Item) -> bool:
        return item.expires_at is not None and item.expires_at <= self.clock()

    def _put(self, item: Item) -> None:
        self._to_own(item.kind)[item.id] = item
        self._expiries.pop((item.kind, item.id), None)
        if item.expires_at is not None:
            self._expiries[item.kind, item.id] = item.expires_at
        self.counter = max(self.counter, item.modified_index)

    def _delete(self, deletion: Deletion) -> None:
        self._to_own(deletion.kind).pop(deletion.id, None)
        self._expiries.pop((deletion.kind, deletion.id), None)
        self.counter += 1

    def _to_own(self, kind: Kind) -> dict[str, Item]:
        """Give the items of a kind to write to, copied the first time if they are shared with another."""
        if kind not in self._own:
            self._items[kind] = dict(self._items[kind])
            self._own.add(kind)
        return self._items[kind]
