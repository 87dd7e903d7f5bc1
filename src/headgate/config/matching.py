"""The types of the fields by which routes match: hosts, paths, methods, client addresses."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from headgate.config.strict_model import refuse_repeats

HostPattern = Annotated[str, Field(pattern=r"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$")]
"""A host name or address, ``*.`` before it for any name below, or ``*``; compared without regard to case."""
HostPatterns = Annotated[list[HostPattern], Field(min_length=1), AfterValidator(refuse_repeats)]

PathPattern = Annotated[str, Field(min_length=1, max_length=4096)]
"""A path, or with ``*`` at its end all paths that start so."""
PathPatterns = Annotated[list[str], Field(min_length=1), AfterValidator(refuse_repeats)]

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]
Methods = Annotated[list[Method], AfterValidator(refuse_repeats)]


def _check_address(text: str) -> str:
    address, slash, prefix = text.partition("/")
    # A zone (fe80::1%eth0) names an interface of this machine: no client address ever has the one that was written.
    if "%" in text or not _is_network(address, prefix if slash else "0"):
        raise PydanticCustomError("any_of", "object matches none of the required")
    return text


def _is_network(address: str, prefix: str) -> bool:
    try:
        bits = ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return False
    return prefix.isascii() and prefix.isdigit() and int(prefix) <= bits


RemoteAddress = Annotated[str, AfterValidator(_check_address)]
"""An IPv4 or IPv6 address, or a network: ``10.0.0.0/8``."""
RemoteAddresses = Annotated[list[RemoteAddress], Field(min_length=1), AfterValidator(refuse_repeats)]
