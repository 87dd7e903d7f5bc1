from __future__ import annotations

from typing import Any

import pytest

from headgate.server.forwarded import Forwarding
from headgate.wire.headers import Headers
from headgate.wire.request import Peer, Request

CLIENT_SENT = [
    (b"X-Forwarded-For", b"1.1.1.1"),
    (b"x-forwarded-for", b"2.2.2.2"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"theirs"),
    (b"X-Forwarded-Port", b"1"),
    (b"X-Real-IP", b"3.3.3.3"),
    (b"Forwarded", b"for=4.4.4.4"),
    (b"Accept", b"*/*"),
]
PLAIN: dict[bytes, bytes] = {
    b"Accept": b"*/*",
    b"X-Real-IP": b"10.0.0.9",
    b"X-Forwarded-For": b"10.0.0.9",
    b"X-Forwarded-Proto": b"http",
    b"X-Forwarded-Host": b"Exa.mple:8443",
    b"X-Forwarded-Port": b"8443",
}
APPENDED = {b"X-Forwarded-For": b"1.1.1.1, 2.2.2.2, 10.0.0.9"}
BELIEVED = {
    **APPENDED,
    b"X-Forwarded-Proto": b"https",
    b"X-Forwarded-Host": b"theirs",
    b"X-Forwarded-Port": b"1",
    b"Forwarded": b"for=4.4.4.4",
}


def forwarded(
    rules: dict[str, Any], sent: list[tuple[bytes, bytes]], authority: bytes = b"Exa.mple:8443", peer: str = "10.0.0.9"
) -> dict[bytes, bytes]:
    headers = Headers.of(sent)
    host = authority.partition(b":")[0].lower()
    there = Peer(peer, 40000, "10.0.0.1", 9080)
    request = Request(b"GET", b"/", b"/", None, 1, headers, authority, host, there)
    Forwarding(**rules).apply(request, headers)
    fields = [(name, value) for _, name, value in headers]
    assert len(dict(fields)) == len(fields)
    return dict(fields)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {**PLAIN, **APPENDED}),
        ({"trusted": []}, PLAIN),
        ({"trusted": ["10.0.0.0/24"]}, {**PLAIN, **BELIEVED}),
        ({"trusted": ["10.0.0.9"]}, {**PLAIN, **BELIEVED}),
        ({"trusted": ["10.0.1.0/24", "::1"]}, PLAIN),
    ],
)
def test_whom_the_gateway_believes(rules: dict[str, Any], expected: dict[bytes, bytes]) -> None:
    assert forwarded(rules, CLIENT_SENT) == expected


@pytest.mark.parametrize(
    ("legacy", "authority", "host", "port"),
    [
        (False, b"Exa.mple:8443", b"Exa.mple:8443", b"8443"),
        (False, b"Exa.mple", b"Exa.mple", b"9080"),
        (False, b"[::1]:81", b"[::1]:81", b"81"),
        (False, b"", b"10.0.0.1", b"9080"),
        (True, b"Exa.mple:8443", b"exa.mple", b"9080"),
        (True, b"", b"10.0.0.1", b"9080"),
    ],
)
def test_host_and_port(legacy: bool, authority: bytes, host: bytes, port: bytes) -> None:
    fields = forwarded({"legacy": legacy}, [], authority)
    assert (fields[b"X-Forwarded-Host"], fields[b"X-Forwarded-Port"]) == (host, port)


def test_an_empty_list_of_the_clients_is_no_beginning() -> None:
    assert forwarded({}, [(b"X-Forwarded-For", b"")])[b"X-Forwarded-For"] == b"10.0.0.9"


@pytest.mark.parametrize("peer", ["", "not an address"])
def test_a_peer_without_an_address_is_not_trusted(peer: str) -> None:
    assert forwarded({"trusted": ["0.0.0.0/0"]}, CLIENT_SENT, peer=peer)[b"X-Forwarded-Proto"] == b"http"
