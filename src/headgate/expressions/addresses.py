"""Sets of IP addresses and networks, as ``remote_addrs`` and the operator ``ipmatch`` write them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses and networks, IPv4 and IPv6."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    def contain(self, address: str) -> bool:
        """Say whether ``address`` is one of them; what is no IP address (a Unix socket's name) is not.

        An IPv4 address that reached an IPv6 socket (``::ffff:192.0.2.1``, RFC 4291 §2.5.5.2) counts as IPv4.
        """
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        plain = _unmapped(peer)
        return any(plain in network for network in self.networks)


def compile_addresses(texts: Iterable[str]) -> Addresses:
    """Compile texts such as ``10.0.0.0/8``, ``127.0.0.1`` and ``::1``; host bits behind a prefix are ignored.

    ValueError: ``invalid IP address: <text>``.
    """
    return Addresses(tuple(_network(text) for text in texts))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
