"""A route as the table holds it: what it matches, and a payload that the table does not look at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from headgate.expressions.addresses import Addresses, compile_addresses
from headgate.expressions.conditions import Condition, compile_condition

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RouteEntry(Generic[T]):
    """One route, compiled. None stands for "any".

    ``uris``: paths as bytes, a ``*`` in one stands for any bytes. ``hosts``: lower case, ``*.example.com`` and ``*``
    allowed, empty = any host. ``enabled`` False keeps it out of matching. ``created_index`` is the store's counter when
    the route was made: of two that are otherwise equal the older is tried first, in every worker alike. Entries are
    told apart by identity.
    """

    id: str
    uris: tuple[bytes, ...]
    hosts: tuple[bytes, ...]
    methods: frozenset[bytes] | None
    remote_addrs: Addresses | None
    condition: Condition | None
    priority: int
    enabled: bool
    payload: T
    created_index: int = 0


class EffectiveRoute(Protocol):
    """What :func:`entry_of` reads of a route whose service has been merged in."""

    @property
    def id(self) -> str:
        """The route's id."""

    @property
    def uris(self) -> Sequence[str]:
        """Paths, at least one."""

    @property
    def hosts(self) -> Collection[str] | None:
        """The route's hosts, or its service's."""

    @property
    def methods(self) -> Collection[str] | None:
        """Methods in upper case."""

    @property
    def remote_addrs(self) -> Collection[str] | None:
        """Addresses and networks of clients."""

    @property
    def vars(self) -> Sequence[Any] | None:
        """The condition as written."""

    @property
    def priority(self) -> int:
        """Higher goes first among routes of the same path."""

    @property
    def status(self) -> int:
        """1 = enabled, 0 = not."""


def entry_of(effective: EffectiveRoute, payload: T, *, created_index: int = 0) -> RouteEntry[T]:
    """Compile what a route matches; ValueError with APISIX's text when ``vars`` or ``remote_addrs`` are wrong."""
    return RouteEntry(
        id=effective.id,
        uris=tuple(dict.fromkeys(uri.encode() for uri in effective.uris)),
        hosts=tuple(dict.fromkeys(host.lower().encode() for host in effective.hosts or ())),
        methods=frozenset(method.encode() for method in effective.methods) if effective.methods else None,
        remote_addrs=compile_addresses(effective.remote_addrs) if effective.remote_addrs else None,
        condition=_condition(effective.vars) if effective.vars else None,
        priority=effective.priority,
        enabled=effective.status == 1,
        payload=payload,
        created_index=created_index,
    )


def _condition(rules: Sequence[Any]) -> Condition:
    try:
        return compile_condition(list(rules))
    except ValueError as error:
        raise ValueError(f"failed to validate the 'vars' expression: {error}") from None
