from __future__ import annotations

import pytest

from headgate.upstream.balance import RoundRobin
from headgate.upstream.target import Target
from headgate.upstream.upstream import Upstream

NODES = [(Target("http", "127.0.0.1", port), 1, 0) for port in (1, 2, 3)]


@pytest.mark.parametrize(
    ("nodes", "retries", "tries"),
    [(3, None, 3), (3, 0, 1), (3, 1, 2), (3, 2, 3), (3, 9, 3), (1, None, 1), (1, 5, 1), (0, None, 0)],
)
def test_how_many_targets_one_request_may_see(nodes: int, retries: int | None, tries: int) -> None:
    assert Upstream(RoundRobin(NODES[:nodes]), retries=retries).tries == tries


def test_defaults_are_apisix_s() -> None:
    upstream = Upstream(RoundRobin(NODES))
    assert (upstream.timeouts.connect_s, upstream.timeouts.send_s, upstream.timeouts.read_s) == (60.0, 60.0, None)
    keep_alive = upstream.keep_alive
    assert (keep_alive.size, keep_alive.idle_timeout_s, keep_alive.requests) == (320, 60.0, 1000)
    assert (upstream.pass_host, upstream.retries, upstream.retry_timeout_s) == ("pass", None, 0.0)
