from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.expressions.request_source import Source, make_request

from headgate.config.merge import effective
from headgate.config.route import Route
from headgate.routing.entry import entry_of


@dataclass(frozen=True)
class Effective:
    id: str = "1"
    uris: tuple[str, ...] = ("/a",)
    hosts: tuple[str, ...] = ()
    methods: frozenset[str] | None = None
    remote_addrs: tuple[str, ...] = ()
    vars: list[Any] | None = None
    priority: int = 0
    status: int = 1


def test_what_is_not_restricted_is_any() -> None:
    entry = entry_of(Effective(), "payload")
    assert (entry.hosts, entry.methods, entry.remote_addrs, entry.condition) == ((), None, None, None)
    assert (entry.id, entry.uris, entry.priority, entry.payload, entry.created_index) == (
        "1",
        (b"/a",),
        0,
        "payload",
        0,
    )


def test_every_restriction_is_compiled() -> None:
    given = Effective(
        uris=("/a", "/é*", "/a"),
        hosts=("Foo.com", "*.BAR.com", "foo.com"),
        methods=frozenset({"GET"}),
        remote_addrs=("10.0.0.0/8",),
        vars=[["arg_k", "v"]],
        priority=-1,
    )
    entry = entry_of(given, None, created_index=12)
    assert entry.uris == (b"/a", "/é*".encode())
    assert entry.hosts == (b"foo.com", b"*.bar.com")
    assert entry.methods == frozenset({b"GET"})
    assert entry.remote_addrs is not None
    assert entry.remote_addrs.contain("10.1.1.1")
    assert entry.condition is not None
    assert entry.condition.matches(Source(make_request(b"/?k=v")))
    assert (entry.priority, entry.created_index) == (-1, 12)


@pytest.mark.parametrize(("status", "enabled"), [(1, True), (0, False)])
def test_status_enables(status: int, *, enabled: bool) -> None:
    assert entry_of(Effective(status=status), None).enabled is enabled


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Effective(vars=[["arg_k", "=", "v"]]), "failed to validate the 'vars' expression: invalid operator '='"),
        (Effective(remote_addrs=("nowhere",)), "invalid IP address: nowhere"),
    ],
)
def test_what_does_not_compile_is_refused(given: Effective, text: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole text is compared below
        entry_of(given, None)
    assert str(refusal.value) == text


def test_a_merged_route_is_taken_as_it_is() -> None:
    route = Route.model_validate(
        {"id": "7", "uri": "/sse", "host": "A.example", "methods": ["GET"], "upstream_id": "1"}
    )
    entry = entry_of(effective(route), None)
    assert (entry.id, entry.uris, entry.hosts, entry.methods) == ("7", (b"/sse",), (b"a.example",), frozenset({b"GET"}))
