"""A relay with everything around it recorded: its client, its upstream, its owner, and a clock that is turned by hand."""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from headgate.errors import GatewayError, Source
from headgate.stream.ending import Ending
from headgate.stream.event_gaps import EventGaps
from headgate.stream.event_stream_relay import EventStreamRelay, LimitedStreamRelay, StreamSettings
from headgate.stream.events_relay import EventsRelay, Handler
from headgate.stream.policy import StreamPolicy
from headgate.stream.relay import Relay, Transform
from headgate.timer_wheel import TimerWheel
from headgate.upstream.receivers import BodyReceiver
from headgate.wire.sse import BOM, Event, EventParser, RawEvent

BEGIN = 1000.0
"""When everything begins, in seconds of the clock."""

PLAIN = StreamPolicy()


class HandTimer:
    """One timer of a :class:`HandLoop`."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def __lt__(self, other: HandTimer) -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        self.is_cancelled = True


class HandLoop:
    """Of a loop what the timer wheel needs; time passes in :meth:`pass_s` alone. ``turns``: timers that went off."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.turns = 0
        self._timers: list[HandTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> HandTimer:
        timer = HandTimer(when, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and every timer go off at its own."""
        until = self.now + seconds
        while self._timers and self._timers[0].when <= until:
            timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                self.now = max(self.now, timer.when)
                self.turns += 1
                timer.callback()
        self.now = until


class Recorder:
    """Downstream, source, clock and owner of one relay.

    ``log`` has what each was told, in order; ``sent`` what the client was sent, whether as a piece or as a chunk.
    """

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.wheel = TimerWheel(cast("asyncio.AbstractEventLoop", self.loop))
        self.gaps = EventGaps()
        self.log: list[str] = []
        self.sent: list[bytes] = []
        self.chunks = 0
        self.last_read = BEGIN
        self.when_sending: Callable[[], None] = lambda: None

    def send_piece(self, piece: bytes) -> None:
        assert piece
        self.sent.append(piece)
        self.when_sending()

    def pass_chunk(self, chunk: bytes) -> None:
        size, end, piece = chunk.partition(b"\r\n")
        assert (end, piece[-2:], len(piece) - 2) == (b"\r\n", b"\r\n", int(size, 16))
        self.chunks += 1
        self.send_piece(piece[:-2])

    def end_body(self) -> None:
        self.log.append("end_body")
        self.when_sending()

    def break_body(self) -> None:
        self.log.append("break_body")

    def pause_reading(self) -> None:
        self.log.append("pause")

    def resume_reading(self) -> None:
        self.log.append("resume")
        self.last_read = self.loop.now  # as the upstream's connection does: no clock is charged with the pause

    def abort(self) -> None:
        self.log.append("abort")

    def ended(self, ending: Ending) -> None:
        self.log.append(ending)

    def clock(self) -> float:
        return self.loop.now

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)

    def read(self, relay: Relay, piece: bytes, *, after_s: float = 0.0) -> None:
        """Have the upstream send a piece, after some time."""
        if after_s:
            self.loop.pass_s(after_s)
        self.last_read = self.loop.now
        relay.piece_received(piece)


class Looker:
    """A tap that writes down what it hears."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.endings: list[Ending] = []

    def piece_passed(self, piece: bytes) -> None:
        assert piece
        assert not self.endings
        self.pieces.append(piece)

    def stream_ended(self, ending: Ending) -> None:
        self.endings.append(ending)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def make_bytes(*transforms: Transform) -> tuple[Relay, Recorder]:
    """A relay of any body; its head is out."""
    recorder = Recorder()
    relay = Relay(recorder, recorder, clock=recorder.clock, on_end=recorder.ended, transforms=transforms)
    relay.send_by(recorder.send_piece)
    return relay, recorder


def make_stream(
    policy: StreamPolicy = PLAIN,
    *,
    untouched: str | None = None,
    transforms: tuple[Transform, ...] = (),
    is_chunked: bool = False,
) -> tuple[EventStreamRelay, Recorder]:
    """A relay of an event stream's bytes; its head is out."""
    recorder = Recorder()
    settings = StreamSettings(policy=policy, gaps=recorder.gaps, stream_id="id-1", untouched=untouched)
    kind = LimitedStreamRelay if policy.max_bytes else EventStreamRelay  # as the server chooses
    relay = kind(recorder, recorder, settings, clock=recorder.clock, on_end=recorder.ended, transforms=transforms)
    relay.send_by(recorder.send_piece, recorder.pass_chunk if is_chunked else None)
    return relay, recorder


def make_events(
    *handlers: Handler,
    policy: StreamPolicy = PLAIN,
    untouched: str | None = None,
    transforms: tuple[Transform, ...] = (),
) -> tuple[EventsRelay, Recorder]:
    """A relay of an event stream's events; its head is out."""
    recorder = Recorder()
    settings = StreamSettings(policy=policy, gaps=recorder.gaps, stream_id="id-1", untouched=untouched)
    relay = EventsRelay(
        recorder,
        recorder,
        settings,
        clock=recorder.clock,
        on_end=recorder.ended,
        transforms=transforms,
        handlers=handlers,
    )
    relay.send_by(recorder.send_piece, recorder.pass_chunk)
    return relay, recorder


def make_either(
    kind: str, policy: StreamPolicy = PLAIN, *, untouched: str | None = None
) -> tuple[EventStreamRelay, Recorder]:
    """A relay of an event stream: ``stream``, or ``events`` with a handler that leaves all as it is."""
    if kind == "stream":
        return make_stream(policy, untouched=untouched)
    return make_events(leave, policy=policy, untouched=untouched)


def make(kind: str, *transforms: Transform) -> tuple[Relay, Recorder]:
    """A relay of any kind: ``bytes``, ``stream`` or ``events``."""
    if kind == "bytes":
        return make_bytes(*transforms)
    if kind == "stream":
        return make_stream(transforms=transforms)
    return make_events(leave, transforms=transforms)


def leave(event: RawEvent) -> bytes:
    """Leave an event as it is."""
    return event.raw


def failure(code: str) -> GatewayError:
    """What an upstream's connection tells of its end."""
    return GatewayError(code, source=Source.UPSTREAM, status=502)


def framed(piece: bytes) -> bytes:
    """A piece as one chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def parsed(pieces: Sequence[bytes]) -> list[Event]:
    """What a browser makes of a body."""
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def stands_between_blocks(body: bytes) -> bool:
    """Whether a comment behind these bytes of an upstream is a block of its own, and can hide no BOM: by the rules alone."""
    lines = re.sub(rb"\r\n?", b"\n", body.removeprefix(BOM))
    is_blank_line = lines == b"\n" or lines.endswith(b"\n\n")
    return is_blank_line and not body.endswith(b"\r")


def give_chunk(receiver: BodyReceiver, piece: bytes) -> None:
    """Hand a read that is one chunk to a receiver as a connection does."""
    if not receiver.chunks_received(framed(piece)):
        receiver.piece_received(piece)
