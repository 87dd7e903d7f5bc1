"""What becomes of an upstream's response on its way to the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from headgate.plugins.api import Chain, Exchange
from headgate.server.answers import SERVER
from headgate.stream.relay import Downstream, EventsRelay, EventStreamRelay, OnEnd, Relay, Source
from headgate.wire.headers import Headers
from headgate.wire.media_type import is_event_stream
from headgate.wire.request import ResponseHead

_NOT_PASSED_ON = frozenset({b"content-length", b"x-pad", b"server"})


def pass_on(headers: Headers) -> None:
    """Drop what NGINX and APISIX keep to themselves (X-Accel-…, X-Pad), and the length, which is the connection's."""
    headers.fields = [
        field for field in headers.fields if field[0] not in _NOT_PASSED_ON and not field[0].startswith(b"x-accel-")
    ]
    headers.add(b"Server", SERVER)


def make_relay(
    exchange: Exchange,
    chains: Sequence[Chain],
    downstream: Downstream,
    source: Source,
    head: ResponseHead,
    *,
    clock: Callable[[], float],
    on_end: OnEnd,
) -> Relay:
    """Give the relay that does no more than this response needs.

    Events are counted, and shown to event plugins, on event streams whose content is not encoded.
    """
    transforms = tuple(partial(phase, exchange) for chain in chains for phase in chain.on_chunk)
    readable = is_event_stream(head.headers.get(b"content-type")) and b"content-encoding" not in head.headers
    if not readable:
        return Relay(downstream, source, clock=clock, on_end=on_end, transforms=transforms)
    handlers = tuple(partial(phase, exchange) for chain in chains for phase in chain.on_event)
    if handlers:
        return EventsRelay(downstream, source, clock=clock, on_end=on_end, transforms=transforms, handlers=handlers)
    return EventStreamRelay(downstream, source, clock=clock, on_end=on_end, transforms=transforms)
