"""A request as it was received, and the request that will go upstream.

Everything is bytes: what came is neither decoded nor re-encoded on its way. ``path`` is the one derived value, the
normalised path on which routes match; ``target`` keeps the client's own bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.wire.headers import Field, Headers
from headgate.wire.media_type import accepts_event_stream

_OF_ONE_CONNECTION = frozenset({b"host", b"expect", b"content-length"})
"""Fields that each connection says for itself, beside those that are hop-by-hop."""


@dataclass(slots=True)
class Peer:
    """Both ends of the client's connection: textual addresses, ports as numbers."""

    remote_addr: str
    remote_port: int
    server_addr: str
    server_port: int
    scheme: bytes = b"http"


@dataclass(slots=True)
class Request:
    """One request head.

    ``target`` is in origin form (path and query, byte for byte) or ``*``; ``path`` is its path percent-decoded, with
    dot segments and repeated slashes resolved; ``query`` is the raw text behind the first ``?`` or None. ``authority``
    is the Host field (or the authority of an absolute-form target) as sent, ``host`` the same in lower case without a
    port. ``content_length`` is None when the body is chunked or there is none. ``known_end_to_end`` and
    ``known_to_take_events`` are what the properties of the same names gave before, None = they were not asked for;
    whoever changes ``headers`` sets them to None.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes | None
    minor_version: int
    headers: Headers
    authority: bytes
    host: bytes
    peer: Peer
    content_length: int | None = None
    chunked: bool = False
    keep_alive: bool = True
    expect_continue: bool = False
    known_end_to_end: tuple[Field, ...] | None = None
    known_to_take_events: bool | None = None

    @property
    def end_to_end(self) -> tuple[Field, ...]:
        """The fields that are passed on: not the hop-by-hop ones, and not Host, Expect and Content-Length."""
        fields = self.known_end_to_end
        if fields is None:
            passed = self.headers.without_hop_by_hop().fields
            fields = self.known_end_to_end = tuple(field for field in passed if field[0] not in _OF_ONE_CONNECTION)
        return fields

    @property
    def takes_events(self) -> bool:
        """Whether the client accepts ``text/event-stream`` by name, with a weight above 0 (RFC 9110 §12.5.1)."""
        takes = self.known_to_take_events
        if takes is None:
            takes = self.known_to_take_events = accepts_event_stream(self.headers.combined(b"accept"))
        return takes

    @property
    def has_body(self) -> bool:
        """Whether body bytes follow the head."""
        return self.chunked or bool(self.content_length)


@dataclass(slots=True)
class UpstreamRequest:
    """What will be sent upstream; plugins change it in ``on_request``, ``on_route`` and ``on_upstream_request``.

    ``target`` is path and query as they will stand in the request line. ``host`` replaces what ``pass_host`` would
    choose, or is None. ``headers`` hold no hop-by-hop field and no Host.
    """

    method: bytes
    target: bytes
    headers: Headers
    host: bytes | None = None


@dataclass(slots=True)
class ResponseHead:
    """The head of a response on its way to the client.

    ``headers`` hold no framing and no hop-by-hop field: the connection that writes the head adds those. A plugin that
    sets ``Connection`` is obeyed unless the connection is about to close. ``body_follows``: the first bytes of its body are
    there already, so that both can go on together.
    """

    status: int
    reason: bytes
    headers: Headers
    body_follows: bool = False
