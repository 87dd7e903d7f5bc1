"""What the upstream is told about the client: X-Real-IP and X-Forwarded-…, as APISIX sets them.

Values that a client sends for Proto, Host and Port, and its ``Forwarded``, are believed only from a trusted peer.
X-Forwarded-For is appended to; where a list of trusted addresses is configured, only a trusted peer's is kept.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from headgate.wire.headers import Field, Headers
from headgate.wire.request import Request

_PORT = re.compile(rb":([0-9]+)$")
_DROPPED = frozenset(
    {
        b"x-real-ip",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
    }
)
_DROPPED_AND_FORWARDED = _DROPPED | {b"forwarded"}


class Forwarding:
    """The rules of one gateway.

    ``legacy`` gives X-Forwarded-Host without a port and X-Forwarded-Port as the listener's, as APISIX did up to 3.17;
    otherwise the Host as sent, and its port where it has one. ``trusted`` are addresses or CIDR, None = no list.
    """

    def __init__(self, *, legacy: bool = False, trusted: Iterable[str] | None = None) -> None:
        self._legacy = legacy
        self._has_list = trusted is not None
        self._networks = [ipaddress.ip_network(text, strict=False) for text in trusted or ()]
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)
        self._said = lru_cache(maxsize=1024)(_fields)

    def apply(self, request: Request, headers: Headers) -> None:
        """Set the fields on ``headers``, which will go upstream."""
        peer = request.peer
        trusted = self._has_list and self._is_trusted(peer.remote_addr)
        chain = headers.combined(b"x-forwarded-for") if trusted or not self._has_list else None
        said = self._said(
            peer.remote_addr,
            peer.scheme,
            request.authority,
            request.host,
            peer.server_addr,
            peer.server_port,
            legacy=self._legacy,
        )
        drop = _DROPPED if trusted else _DROPPED_AND_FORWARDED
        own: list[Field] = list(said)
        if chain:
            own[1] = (b"x-forwarded-for", b"X-Forwarded-For", chain + b", " + said[0][2])
        if trusted:
            own[2:] = [(lower, name, headers.get(lower) or value) for lower, name, value in said[2:]]
        headers.fields = [field for field in headers.fields if field[0] not in drop] + own

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def _fields(
    remote_addr: str,
    scheme: bytes,
    authority: bytes,
    host: bytes,
    server_addr: str,
    server_port: int,
    *,
    legacy: bool,
) -> tuple[Field, ...]:
    """Give what is said of a client that says nothing itself."""
    remote = remote_addr.encode()
    match = None if legacy else _PORT.search(authority)
    port = match[1] if match else b"%d" % server_port
    host = (host if legacy else authority) or server_addr.encode()
    return (
        (b"x-real-ip", b"X-Real-IP", remote),
        (b"x-forwarded-for", b"X-Forwarded-For", remote),
        (b"x-forwarded-proto", b"X-Forwarded-Proto", scheme),
        (b"x-forwarded-host", b"X-Forwarded-Host", host),
        (b"x-forwarded-port", b"X-Forwarded-Port", port),
    )
