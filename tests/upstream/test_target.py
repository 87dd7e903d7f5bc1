from __future__ import annotations

import ssl

import pytest

from headgate.upstream.target import Target, TlsClient


@pytest.mark.parametrize(
    ("target", "address", "host_header"),
    [
        (Target("http", "a.example", 80), "a.example:80", b"a.example"),
        (Target("http", "a.example", 8080), "a.example:8080", b"a.example:8080"),
        (Target("http", "a.example", 443), "a.example:443", b"a.example:443"),
        (Target("https", "a.example", 443), "a.example:443", b"a.example"),
        (Target("https", "a.example", 80), "a.example:80", b"a.example:80"),
        (Target("http", "::1", 80), "[::1]:80", b"[::1]"),
        (Target("http", "::1", 8080), "[::1]:8080", b"[::1]:8080"),
    ],
)
def test_how_a_node_is_named(target: Target, address: str, host_header: bytes) -> None:
    assert target.address == address
    assert target.host_header == host_header


def test_targets_are_the_same_when_they_can_share_connections() -> None:
    context = ssl.create_default_context()
    one = Target("https", "a", 443, TlsClient(context, "a.example"))
    assert one == Target("https", "a", 443, TlsClient(context, "a.example"))
    assert hash(one) == hash(Target("https", "a", 443, TlsClient(context, "a.example")))
    others = {
        Target("https", "a", 443, TlsClient(context, "b.example")),
        Target("https", "a", 443, TlsClient(ssl.create_default_context(), "a.example")),
        Target("https", "a", 444, TlsClient(context, "a.example")),
        Target("https", "a", 443),
    }
    assert one not in others
    assert len(others) == 4
