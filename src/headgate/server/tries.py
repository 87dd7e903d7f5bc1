"""Which targets a request has seen, and whether it may see another (as NGINX's ``proxy_next_upstream`` decides)."""

from __future__ import annotations

from headgate.errors import GatewayError, Source
from headgate.upstream.target import Target
from headgate.upstream.upstream import Upstream

NOT_REPEATED = frozenset({b"POST", b"PATCH", b"LOCK"})
"""Methods that are not sent again once they may have had an effect (NGINX's ``non_idempotent``)."""

_BEFORE_SENDING = frozenset({"connect_refused", "connect_failed", "connect_timeout", "tls_failed", "unresolvable"})
_LOST = frozenset({"upstream_eof", "upstream_reset"})


class Tries:
    """The tries of one request, the first at ``began`` (seconds)."""

    __slots__ = ("_began", "_seen")

    def __init__(self, began: float) -> None:
        self._began = began
        self._seen: list[Target] = []

    def next(self, upstream: Upstream) -> Target:
        """Give the next target; raises GatewayError ``no_targets`` (503) where there is none."""
        target = upstream.balance.pick(self._seen)
        if target is None:
            raise GatewayError("no_targets", source=Source.UPSTREAM, status=503, detail="the upstream has no nodes")
        self._seen.append(target)
        return target

    def may_go_on(self, error: GatewayError, upstream: Upstream, method: bytes, *, now: float) -> bool:
        """Say whether, after ``error``, another target may be tried; the body must not have been sent."""
        if not error.retryable or (method in NOT_REPEATED and error.code not in _BEFORE_SENDING):
            return False
        return self.has_another(upstream, now=now)

    def has_another(self, upstream: Upstream, *, now: float) -> bool:
        """Say whether there is a target left, and time to try it."""
        if len(self._seen) >= upstream.tries:
            return False
        return not upstream.retry_timeout_s or now - self._began < upstream.retry_timeout_s


def is_stale(error: GatewayError, method: bytes) -> bool:
    """Say whether a pooled connection was closed under a request that may be sent once more: nobody had looked at it."""
    return error.retryable and error.code in _LOST and method not in NOT_REPEATED
