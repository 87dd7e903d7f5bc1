"""Addresses to bind: ``HOST:PORT``. Standard library only, so that the supervisor can use it too."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

_FORM = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")
_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


class Address(NamedTuple):
    """``host`` without brackets: an IPv4 or IPv6 address or a name; ``port`` 0 to 65535, 0 = any free one."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Read ``127.0.0.1:9080``, ``[::1]:9080`` or ``localhost:9080``. Raises ValueError for anything else."""
    match = _FORM.fullmatch(text)
    if match is None or int(match["port"]) > 65535 or not _is_host(match):
        msg = 'expected "HOST:PORT" with a port of 0 to 65535, such as "127.0.0.1:9080" or "[::1]:9080"'
        raise ValueError(msg)
    return Address(match["v6"] or match["host"], int(match["port"]))


def _is_host(match: re.Match[str]) -> bool:
    if match["v6"]:
        return _parses(ipaddress.IPv6Address, match["v6"])
    # What consists of digits and dots only is meant as an IPv4 address: 127.0.0.300 is no host name (RFC 1123 2.1).
    if re.fullmatch(r"[0-9.]+", match["host"]):
        return _parses(ipaddress.IPv4Address, match["host"])
    return _NAME.fullmatch(match["host"]) is not None


def _parses(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach the host: 127.0.0.0/8, ::1, or ``localhost`` (RFC 6761 section 6.3)."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
