"""What the upstream is told about the client: X-Real-IP and X-Forwarded-…, as APISIX sets them.

Values that a client sends for Proto, Host and Port, and its ``Forwarded``, are believed only from a trusted peer.
X-Forwarded-For is appended to; where a list of trusted addresses is configured, only a trusted peer's is kept.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from headgate.wire.headers import Headers
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

    def apply(self, request: Request, headers: Headers) -> None:
        """Set the fields on ``headers``, which will go upstream."""
        peer = request.peer
        trusted = self._has_list and self._is_trusted(peer.remote_addr)
        remote = peer.remote_addr.encode()
        chain = headers.combined(b"x-forwarded-for") if trusted or not self._has_list else None
        values = {
            b"X-Forwarded-Proto": peer.scheme,
            b"X-Forwarded-Host": self._host(request),
            b"X-Forwarded-Port": self._port(request),
        }
        if trusted:
            values = {name: headers.get(name.lower()) or value for name, value in values.items()}
        drop = _DROPPED if trusted else _DROPPED | {b"forwarded"}
        headers.fields = [field for field in headers.fields if field[0] not in drop]
        headers.add(b"X-Real-IP", remote)
        headers.add(b"X-Forwarded-For", chain + b", " + remote if chain else remote)
        for name, value in values.items():
            headers.add(name, value)

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _host(self, request: Request) -> bytes:
        if self._legacy:
            return request.host or request.peer.server_addr.encode()
        return request.authority or request.peer.server_addr.encode()

    def _port(self, request: Request) -> bytes:
        match = None if self._legacy else _PORT.search(request.authority)
        return match[1] if match else str(request.peer.server_port).encode()
