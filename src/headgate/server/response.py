"""What becomes of an upstream's response on its way to the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from headgate.errors import GatewayError
from headgate.plugins.api import Chain
from headgate.server.answers import SERVER
from headgate.server.upstream_head import asks_for_events
from headgate.stream.event_stream_relay import EventStreamRelay, LimitedStreamRelay, StreamSettings
from headgate.stream.events_relay import EventsRelay, Handler
from headgate.stream.lines_relay import LinesRelay
from headgate.stream.relay import Downstream, Relay, Source, Transform
from headgate.stream.stream_clock import StreamClock
from headgate.upstream.receivers import BodyReceiver
from headgate.wire.headers import Headers
from headgate.wire.media_type import is_event_stream, is_stream_type
from headgate.wire.request import Request, ResponseHead

if TYPE_CHECKING:
    from headgate.server.exchange import Exchange
    from headgate.server.gateway import Gateway

_SERVER = (b"server", b"Server", SERVER)
_NOT_PASSED_ON = frozenset({b"content-length", b"x-pad", b"server"})


def pass_on(headers: Headers, date: bytes) -> None:
    """Drop what NGINX and APISIX keep to themselves (X-Accel-…, X-Pad), and the length, which is the connection's.

    The upstream's Date stays; ``date`` goes where there is none (RFC 9110 §6.6.1).
    """
    fields = [field for field in headers.fields if not (field[0] in _NOT_PASSED_ON or field[0].startswith(b"x-accel-"))]
    fields.append(_SERVER)
    headers.fields = fields
    if b"date" not in headers:
        fields.append((b"date", b"Date", date))


def pass_on_switch(head: ResponseHead, date: bytes) -> ResponseHead:
    """Make a 101 what the client is told: end-to-end fields, and the change of protocol said anew (RFC 9110 §7.8)."""
    protocol = head.headers.combined(b"upgrade") or b"websocket"  # nothing else is ever asked for
    head.headers = head.headers.without_hop_by_hop()
    pass_on(head.headers, date)
    head.headers.add(b"Upgrade", protocol)
    head.headers.add(b"Connection", b"Upgrade")
    return head


def gets_body(method: bytes, status: int) -> bool:
    """Say whether a response to the client's own request may have a body (RFC 9110 §6.4.1)."""
    return method != b"HEAD" and status not in {204, 304}


def fit_body(method: bytes, status: int, content_length: int | None, *, has_body: bool) -> tuple[int | None, bool]:
    """Give the length to say and whether there is a body, as the client's own request has it.

    A plugin may have sent another method upstream, or changed the status: no body to HEAD, an empty one to GET.
    """
    if method == b"HEAD" or status in {204, 304}:
        return content_length, False
    return (content_length, True) if has_body else (0, True)


def is_stream(request: Request, head: ResponseHead, content_length: int | None) -> bool:
    """Say whether a response is a stream: by its media type, or because one was asked for and its end is not known.

    A stream has a place in the stream table, its records and metrics, and no read timeout that was not configured.
    """
    if is_stream_type(head.headers.get(b"content-type")):
        return True
    return content_length is None and head.status == 200 and asks_for_events(request)


def is_peeked(request: Request, head: ResponseHead, *, has_body: bool) -> bool:
    """Say whether a head may be held back to look into its stream: a 200 with events that can be read."""
    return (
        has_body
        and head.status == 200
        and request.method != b"HEAD"
        and is_event_stream(head.headers.get(b"content-type"))
        and not is_encoded(head)
    )


def is_encoded(head: ResponseHead) -> bool:
    """Say whether a body is compressed or the like, so that what is in it cannot be seen (RFC 9110 §8.4)."""
    encodings = head.headers.tokens(b"content-encoding")
    return bool(encodings) and not encodings <= {b"identity"}


def make_relay(
    exchange: Exchange,
    gateway: Gateway,
    downstream: Downstream,
    source: Source,
    head: ResponseHead,
    content_length: int | None,
) -> Relay:
    """Give the relay that does no more than this response needs; ``content_length`` is the upstream's.

    Events are counted, and shown to event plugins, on event streams whose content is not encoded.
    """
    chains, policy, clock, on_end = exchange.chains, exchange.stream_policy, gateway.clock, exchange.finish
    transforms: tuple[Transform, ...] = ()
    handlers: tuple[Handler, ...] = ()
    for chain in chains:
        if chain.on_chunk:
            transforms += tuple(partial(phase, exchange) for phase in chain.on_chunk)
        if chain.on_event:
            handlers += tuple(partial(phase, exchange) for phase in chain.on_event)
    content_type, encoded = head.headers.get(b"content-type"), is_encoded(head)
    if encoded or not is_event_stream(content_type):
        kind = LinesRelay if not encoded and is_stream_type(content_type) else Relay
        untouched = "encoded" if encoded else "type"
        return kind(downstream, source, clock=clock, on_end=on_end, transforms=transforms, untouched=untouched)
    settings = StreamSettings(
        policy=policy,
        gaps=gateway.accounts.gaps,
        stream_id=exchange.id,
        untouched=_why_untouched(exchange.request, head, content_length),
    )
    if handlers or policy.terminal_event is not None:
        return EventsRelay(
            downstream, source, settings, clock=clock, on_end=on_end, transforms=transforms, handlers=handlers
        )
    stream = LimitedStreamRelay if policy.max_bytes else EventStreamRelay
    return stream(downstream, source, settings, clock=clock, on_end=on_end, transforms=transforms)


def _why_untouched(request: Request, head: ResponseHead, content_length: int | None) -> str | None:
    """Say why nothing of our own may be written into an event stream, None where it may."""
    if request.method == b"HEAD":
        return "head"
    if head.status != 200:
        return "status"
    return "sized" if content_length is not None else None


def make_clock(relay: Relay, gateway: Gateway, *, asked_at: float) -> StreamClock | None:
    """Give the running clocks of an event stream; ``asked_at``: when its upstream had the whole request."""
    if not isinstance(relay, EventStreamRelay) or relay.ending is not None:
        return None
    clock = StreamClock(relay, gateway.wheel, asked_at=asked_at, now=gateway.clock())
    clock.start()
    return clock


def receiver_of(relay: Relay, chains: Sequence[Chain], on_defect: Callable[[Exception], None]) -> BodyReceiver:
    """Give what the upstream's connection calls: the relay itself, unless plugins that look at the body may raise in it."""
    for chain in chains:
        if chain.on_chunk or chain.on_event:
            return _Guarded(relay, on_defect)
    return relay


class _Guarded:
    """A relay whose defects end its exchange and nothing else."""

    __slots__ = ("_on_defect", "_relay")

    def __init__(self, relay: Relay, on_defect: Callable[[Exception], None]) -> None:
        self._relay = relay
        self._on_defect = on_defect

    def piece_received(self, piece: bytes) -> None:
        try:
            self._relay.piece_received(piece)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is reported, and its stream broken off
            self._on_defect(error)

    def chunks_received(self, data: bytes) -> bool:
        del data  # plugins look at the body
        return False

    def response_ended(self) -> None:
        self._relay.response_ended()

    def upstream_failed(self, error: GatewayError) -> None:
        self._relay.upstream_failed(error)


class Nobody:
    """Takes the body of a response that came to nothing; it is told no more than one piece."""

    def piece_received(self, piece: bytes) -> None:
        """Drop it."""

    def chunks_received(self, data: bytes) -> bool:
        """Have it parsed."""
        del data
        return False

    def response_ended(self) -> None:
        """Do nothing."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Do nothing."""
