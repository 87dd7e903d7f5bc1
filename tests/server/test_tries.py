from __future__ import annotations

import pytest

from headgate.errors import GatewayError, Source
from headgate.server.tries import Tries, is_stale
from headgate.upstream.balance import RoundRobin
from headgate.upstream.target import Target
from headgate.upstream.upstream import Upstream

TARGETS = [Target("http", f"t{number}", 80) for number in range(3)]


def upstream(*, retries: int | None = None, retry_timeout_s: float = 0.0, nodes: int = 3) -> Upstream:
    balance = RoundRobin((target, 1, 0) for target in TARGETS[:nodes])
    return Upstream(balance, retries=retries, retry_timeout_s=retry_timeout_s)


def error(code: str, *, retryable: bool = True) -> GatewayError:
    return GatewayError(code, source=Source.UPSTREAM, status=502, retryable=retryable)


def test_each_target_once_and_then_none() -> None:
    tries, three = Tries(0), upstream()
    assert {tries.next(three) for _ in range(3)} == set(TARGETS)
    with pytest.raises(GatewayError) as raised:
        tries.next(three)
    assert (raised.value.code, raised.value.status) == ("no_targets", 503)


@pytest.mark.parametrize(
    ("code", "retryable", "method", "allowed"),
    [
        ("connect_refused", True, b"GET", True),
        ("connect_refused", True, b"POST", True),
        ("connect_timeout", True, b"PATCH", True),
        ("unresolvable", True, b"POST", True),
        ("tls_failed", True, b"POST", True),
        ("upstream_eof", True, b"GET", True),
        ("upstream_eof", True, b"POST", False),
        ("read_timeout", True, b"LOCK", False),
        ("read_timeout", True, b"PUT", True),
        ("protocol_error", False, b"GET", False),
    ],
)
def test_what_may_be_tried_again(code: str, retryable: bool, method: bytes, allowed: bool) -> None:
    tries = Tries(0)
    tries.next(upstream())
    assert tries.may_go_on(error(code, retryable=retryable), upstream(), method, now=1) is allowed


@pytest.mark.parametrize(
    ("retries", "retry_timeout_s", "seen", "now", "allowed"),
    [
        (None, 0, 1, 1e9, True),
        (None, 0, 3, 1, False),
        (0, 0, 1, 1, False),
        (1, 0, 1, 1, True),
        (1, 0, 2, 1, False),
        (None, 5, 1, 4.9, True),
        (None, 5, 1, 5.0, False),
    ],
)
def test_how_often_and_how_long(
    retries: int | None, retry_timeout_s: float, seen: int, now: float, allowed: bool
) -> None:
    tries, three = Tries(0), upstream(retries=retries, retry_timeout_s=retry_timeout_s)
    for _ in range(seen):
        tries.next(three)
    assert tries.may_go_on(error("connect_refused"), three, b"GET", now=now) is allowed


@pytest.mark.parametrize(
    ("code", "retryable", "method", "stale"),
    [
        ("upstream_eof", True, b"GET", True),
        ("upstream_reset", True, b"DELETE", True),
        ("upstream_eof", True, b"POST", False),
        ("upstream_eof", False, b"GET", False),
        ("read_timeout", True, b"GET", False),
    ],
)
def test_what_shows_a_stale_connection(code: str, retryable: bool, method: bytes, stale: bool) -> None:
    assert is_stale(error(code, retryable=retryable), method) is stale
