"""The route table: immutable, looked up by host and path, edited by making a new one that shares all but the touched.

Order of a lookup (APISIX's router ``radixtree_host_uri``): exact host, wildcard hosts by longest suffix, routes without
hosts; within each the exact path, then path beginnings, longest first; within each a bucket's own order. A route whose
other conditions fail leaves the turn to the next, down to the less specific hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from headgate.expressions.variables import VariableSource
from headgate.routing.bucket import Bucket, Candidate, NeedsForm, edit_bucket, key_of, pick, rank_of, rest_of
from headgate.routing.entry import RouteEntry
from headgate.routing.prefix_map import Key, PrefixMap

T = TypeVar("T")

Paths = PrefixMap[Bucket[T]]
"""The buckets of one host, by path."""


@dataclass(slots=True)
class _BucketEdit(Generic[T]):
    removed: set[RouteEntry[T]] = field(default_factory=set)
    added: list[Candidate[T]] = field(default_factory=list)

    def apply(self, bucket: Bucket[T] | None) -> Bucket[T] | None:
        return edit_bucket(bucket or (), self.removed, self.added) or None


_Plan = dict[Key | None, dict[Key, _BucketEdit[T]]]
"""Edits by host (None = routes without hosts) and path."""


@dataclass(frozen=True)
class RouteTable(Generic[T]):
    """The table. Start from :meth:`empty`; ``sequence`` counts the routes ever added."""

    hosts: PrefixMap[Paths[T]]
    anywhere: Paths[T]
    sequence: int

    @classmethod
    def empty(cls) -> RouteTable[T]:
        """Give a table without routes."""
        return cls(PrefixMap(), PrefixMap(), 0)

    def match(self, source: VariableSource) -> RouteEntry[T] | NeedsForm | None:
        """Find the route of a request, by its normalised path and its host without port.

        ``NeedsForm``: a route with conditions on ``post_arg.*`` has its turn and ``source.form`` is None; read the
        body into the form and match again.
        """
        request = source.request
        for _, paths in self.hosts.find(request.host[::-1]):
            found = _match_path(paths, source)
            if found is not None:
                return found
        return _match_path(self.anywhere, source)

    def edited(self, remove: Iterable[RouteEntry[T]], add: Iterable[RouteEntry[T]]) -> RouteTable[T]:
        """Give the table without ``remove`` (the very entries once added) and with ``add``.

        A replaced route is in both. Costs the touched buckets and one copy of each dict that holds one, whatever the
        number of routes in other buckets. Entries that are not enabled are passed over.
        """
        plan: _Plan[T] = {}
        for entry in remove:
            for edit, _ in _places(plan, entry):
                edit.removed.add(entry)
        sequence = self.sequence
        for sequence, entry in enumerate(add, self.sequence + 1):
            for edit, uri in _places(plan, entry):
                edit.added.append(Candidate(entry, rest_of(uri), rank_of(entry, uri, sequence)))
        return self._applied(plan, sequence)

    def _applied(self, plan: _Plan[T], sequence: int) -> RouteTable[T]:
        anywhere = _edit_paths(self.anywhere, plan.pop(None, {}))
        hosts = {
            host: _edit_paths(self.hosts.get(host) or PrefixMap(), edits) or None
            for host, edits in plan.items()
            if host is not None
        }
        return RouteTable(self.hosts.edited(hosts) if hosts else self.hosts, anywhere, sequence)


def _match_path(paths: Paths[T], source: VariableSource) -> RouteEntry[T] | NeedsForm | None:
    for length, bucket in paths.find(source.request.path):
        found = pick(bucket, source, length)
        if found is not None:
            return found
    return None


def _edit_paths(paths: Paths[T], edits: dict[Key, _BucketEdit[T]]) -> Paths[T]:
    return paths.edited({key: edit.apply(paths.get(key)) for key, edit in edits.items()}) if edits else paths


def _places(plan: _Plan[T], entry: RouteEntry[T]) -> Iterator[tuple[_BucketEdit[T], bytes]]:
    """Give the edit of each bucket that the route stands in, with the path by which it does."""
    if not entry.enabled:
        return
    for host in map(_host_key, entry.hosts) if entry.hosts else (None,):
        for uri in entry.uris:
            yield plan.setdefault(host, {}).setdefault(key_of(uri), _BucketEdit()), uri


def _host_key(host: bytes) -> Key:
    """Turn a host round; ``*.example.com`` stands for every host that ends with ``.example.com``, ``*`` for all."""
    is_wildcard = host.startswith(b"*")
    return Key(host.removeprefix(b"*")[::-1], is_wildcard)
