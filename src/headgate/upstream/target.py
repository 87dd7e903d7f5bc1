"""Where a request can be sent: one host and port, the scheme, and for TLS what is verified and shown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsClient:
    """TLS towards a target. ``server_name`` is sent as SNI and the certificate must be for it."""

    context: ssl.SSLContext
    server_name: str


@dataclass(frozen=True, slots=True)
class Target:
    """One node of an upstream. ``host`` is a name or an address without brackets."""

    scheme: str
    host: str
    port: int
    tls: TlsClient | None = None

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 host in brackets: the form of logs and of ``$upstream_addr``."""
        return f"{self.url_host}:{self.port}"

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def host_header(self) -> bytes:
        """The Host field that names this node: with the port unless it is the scheme's own."""
        is_default = self.port == (443 if self.scheme == "https" else 80)
        return (self.url_host if is_default else self.address).encode()
