"""A request on its way to a route, as tests write it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate.wire.headers import Headers
from headgate.wire.request import Peer, Request
from headgate.wire.target import host_of, normalise


def make_request(
    target: bytes = b"/",
    *,
    method: bytes = b"GET",
    authority: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    remote_addr: str = "127.0.0.1",
) -> Request:
    path, mark, query = target.partition(b"?")
    return Request(
        method=method,
        target=target,
        path=normalise(path),
        query=query if mark else None,
        minor_version=1,
        headers=Headers.of(headers),
        authority=authority,
        host=host_of(authority) if authority else b"",
        peer=Peer(remote_addr, 40000, "10.0.0.1", 9080),
    )


@dataclass
class Source:
    """A VariableSource: a request, its form if it has been read, and what else is known."""

    request: Request = field(default_factory=make_request)
    form: Mapping[bytes, bytes] | None = None
    extras: dict[str, bytes] = field(default_factory=dict)

    def extra(self, name: str) -> bytes | None:
        return self.extras.get(name)
