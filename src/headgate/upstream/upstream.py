"""An upstream as the data path uses it: compiled once from its configuration, then never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from headgate.upstream.balance import RoundRobin
from headgate.upstream.pool import KeepAlive


class PassHost(StrEnum):
    """Which Host the target is sent (APISIX's ``pass_host``)."""

    PASS = "pass"  # noqa: S105 -- a mode, not a secret
    NODE = "node"
    REWRITE = "rewrite"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``read_s`` is the longest gap between two reads; None = not configured, so the default applies."""

    connect_s: float = 60.0
    send_s: float = 60.0
    read_s: float | None = None


DEFAULT_READ_TIMEOUT_S = 60.0
"""The read timeout where none is configured; it does not apply to an event stream once its head has come."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Targets and how to use them.

    ``retries`` is how many further targets are tried (None = all of them), ``retry_timeout_s`` the time after which
    no further one is tried (0 = none).
    """

    balance: RoundRobin
    timeouts: Timeouts = field(default_factory=Timeouts)
    keep_alive: KeepAlive = field(default_factory=KeepAlive)
    pass_host: PassHost = PassHost.PASS
    upstream_host: bytes = b""
    retries: int | None = None
    retry_timeout_s: float = 0.0

    @property
    def tries(self) -> int:
        """How many targets one request may see."""
        nodes = len(self.balance)
        return nodes if self.retries is None else min(nodes, self.retries + 1)
