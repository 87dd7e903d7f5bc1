"""Routes as tests write them down: a table of ids, asked for the id that a request finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.expressions.request_source import Source, make_request

from headgate.expressions.addresses import compile_addresses
from headgate.expressions.conditions import compile_condition
from headgate.routing.bucket import NeedsForm
from headgate.routing.entry import RouteEntry
from headgate.routing.table import RouteTable

Entry = RouteEntry[str]
Table = RouteTable[str]


def route(
    route_id: str,
    *uris: str,
    hosts: Sequence[str] = (),
    methods: Iterable[str] | None = None,
    remote_addrs: Sequence[str] | None = None,
    vars: list[Any] | None = None,  # noqa: A002 - the name in a route's document
    priority: int = 0,
    enabled: bool = True,
    created_index: int = 0,
) -> Entry:
    return RouteEntry(
        id=route_id,
        uris=tuple(uri.encode() for uri in uris),
        hosts=tuple(host.lower().encode() for host in hosts),
        methods=None if methods is None else frozenset(method.encode() for method in methods),
        remote_addrs=None if remote_addrs is None else compile_addresses(remote_addrs),
        condition=None if vars is None else compile_condition(vars),
        priority=priority,
        enabled=enabled,
        payload=route_id,
        created_index=created_index,
    )


def table_of(*routes: Entry) -> Table:
    return Table.empty().edited((), routes)


def found(
    table: Table,
    target: str = "/",
    host: str = "",
    *,
    form: Mapping[bytes, bytes] | None = None,
    **request: Any,
) -> str | None:
    """Give the id of the route that a request finds, ``form`` for a route that needs the form first, or None."""
    match = table.match(Source(make_request(target.encode(), authority=host.encode(), **request), form))
    if isinstance(match, NeedsForm):
        return "form"
    return None if match is None else match.payload
