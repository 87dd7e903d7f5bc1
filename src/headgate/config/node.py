"""The nodes of an upstream, in both forms that they are written in, and as one form for who uses them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, WrapValidator

from headgate.config.matching import HostPattern
from headgate.config.strict_model import Maybe, StrictModel, match_any

Weight = Annotated[int, Field(ge=0)]

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_.-]+)(?::(?P<port>[0-9]{1,10}))?")


class Node(StrictModel):
    """A node of the list form."""

    host: HostPattern = Field(description="Host name or address; an IPv6 address in brackets.")
    port: Maybe[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=None, description="Port; the scheme's own if not given."
    )
    weight: Weight = Field(description="Share of the requests, relative to the other nodes; 0: none.")
    priority: int = Field(default=0, description="Nodes of a lower priority are used when none of a higher is left.")
    metadata: Maybe[dict[str, Any]] = Field(default=None, description="Kept as it is.")


Nodes = Annotated[dict[str, Weight] | list[Node], WrapValidator(match_any)]
"""``{"host:port": weight}`` or a list of nodes; may be empty."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node in one form: ``host`` without brackets, ``port`` None for the scheme's own."""

    host: str
    port: int | None
    weight: int
    priority: int = 0


def endpoints(nodes: dict[str, int] | list[Node]) -> Iterator[Endpoint]:
    """Give the nodes in their order. Raises ValueError with a text for an address that is none."""
    if isinstance(nodes, dict):
        for text, weight in nodes.items():
            host, port = parse_node(text)
            yield Endpoint(host, port, weight)
        return
    for node in nodes:
        host, port = parse_node(node.host)
        if port is not None:
            raise ValueError(f'invalid node host "{node.host}": the port is a field of its own')
        yield Endpoint(host, node.port, node.weight, node.priority)


@lru_cache(maxsize=4096)  # many routes name the same nodes
def parse_node(text: str) -> tuple[str, int | None]:
    """Read ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; gives the host without brackets, and the port or None.

    Raises ValueError; for an IPv6 address without brackets and a port that is none with APISIX's texts.
    """
    if not text.startswith("[") and text.count(":") > 1:
        raise ValueError("IPv6 address must be enclosed with '[' and ']'")
    match = _ADDRESS.fullmatch(text)
    if match is None or not _is_host(match["host"]):
        raise ValueError(f'invalid node address "{text}"')
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"invalid port {port}")
    return match["host"].strip("[]"), port


def _is_host(host: str) -> bool:
    """Say whether brackets hold an IPv6 address and digits and dots an IPv4 one; any other word may be a name."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        elif re.fullmatch(r"[0-9.]+", host):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
