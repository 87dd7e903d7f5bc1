"""The routes that share one path text on one host, in the order in which they are tried.

Higher priority first; then the longer path text, as in lua-resty-radixtree (``/a/*/b`` before ``/a/*``, which share
the beginning ``/a/``); then the older route.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from headgate.expressions.variables import VariableSource
from headgate.routing.entry import RouteEntry
from headgate.routing.glob import Glob, compile_glob, matches_glob
from headgate.routing.prefix_map import Key

T = TypeVar("T")


class NeedsForm(Enum):
    """The answer of a match that a route's condition on ``post_arg.*`` holds up: read the form, then match again."""

    NEEDS_FORM = "needs_form"


@dataclass(frozen=True, eq=False)
class Candidate(Generic[T]):
    """A route under one of its paths. ``rest``: what must match behind the key, None = anything (or nothing)."""

    entry: RouteEntry[T]
    rest: Glob | None
    rank: tuple[int, int, int, int]


Bucket = tuple[Candidate[T], ...]


def key_of(uri: bytes) -> Key:
    """Give the key under which a path as written is filed: the whole, or what stands before its first ``*``."""
    text, star, _ = uri.partition(b"*")
    return Key(text, is_prefix=bool(star))


def rest_of(uri: bytes) -> Glob | None:
    """Give the pattern for what follows the key; None if only a ``*`` does, or nothing."""
    _, star, rest = uri.partition(b"*")
    return compile_glob(star + rest) if rest.strip(b"*") else None


def rank_of(entry: RouteEntry[T], uri: bytes, sequence: int) -> tuple[int, int, int, int]:
    """Give the sort key of a route in a bucket, lowest first; ``sequence`` counts insertions and breaks ties."""
    return (-entry.priority, -len(uri), entry.created_index, sequence)


def edit_bucket(bucket: Bucket[T], removed: Collection[RouteEntry[T]], added: Iterable[Candidate[T]]) -> Bucket[T]:
    """Give a bucket without the candidates of the removed routes and with those added in their places."""
    kept = [candidate for candidate in bucket if candidate.entry not in removed] if removed else list(bucket)
    for candidate in added:
        insort(kept, candidate, key=lambda other: other.rank)
    return tuple(kept)


def pick(bucket: Bucket[T], source: VariableSource, key_length: int) -> RouteEntry[T] | NeedsForm | None:
    """Give the first route whose other conditions hold too: method, rest of the path, client address, variables."""
    request = source.request
    for candidate in bucket:
        entry = candidate.entry
        if entry.methods is not None and request.method not in entry.methods:
            continue
        if candidate.rest is not None and not matches_glob(candidate.rest, request.path[key_length:]):
            continue
        if entry.remote_addrs is not None and not entry.remote_addrs.contain(request.peer.remote_addr):
            continue
        if entry.condition is None:
            return entry
        if entry.condition.needs_form and source.form is None:
            return NeedsForm.NEEDS_FORM
        if entry.condition.matches(source):
            return entry
    return None
