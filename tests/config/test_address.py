from __future__ import annotations

import pytest

from headgate.config.address import Address, is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:9080", Address("0.0.0.0", 9080)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:9080", Address("::1", 9080)),
        ("[fe80::1%eth0]:65535", Address("fe80::1%eth0", 65535)),
        ("localhost:80", Address("localhost", 80)),
        ("gate-1.example.com:80", Address("gate-1.example.com", 80)),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9080",
        ":9080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:http",
        "127.0.0.1:9080 ",
        "127.0.0.1:9080\n",
        "127.0.0.300:9080",
        "127.1:9080",
        "::1:9080",
        "[::1]",
        "[::g]:9080",
        "[127.0.0.1]:9080",
        "http://localhost:9080",
        "-a.example:80",
        "a_b:80",
        "*:9080",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.example.com", False),
        ("example.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
