from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import GatewayError, Source
from headgate.stream.ending import Ending
from headgate.stream.relay import EventsRelay, EventStreamRelay, Relay
from headgate.wire.sse import EventParser, RawEvent

Transform = Callable[[bytes], bytes]
Handler = Callable[[RawEvent], bytes]


class Recorder:
    """Downstream, source, clock and owner of one relay; ``log`` has what each was told, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.sent: list[bytes] = []
        self.now = 100.0
        self.when_sending: Callable[[], None] = lambda: None

    def send_piece(self, piece: bytes) -> None:
        assert piece
        self.sent.append(piece)
        self.when_sending()

    def end_body(self) -> None:
        self.log.append("end_body")
        self.when_sending()

    def break_body(self) -> None:
        self.log.append("break_body")

    def pause_reading(self) -> None:
        self.log.append("pause")

    def resume_reading(self) -> None:
        self.log.append("resume")

    def abort(self) -> None:
        self.log.append("abort")

    def ended(self, ending: Ending) -> None:
        self.log.append(ending)

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)


def make(kind: str, *transforms: Transform, handlers: tuple[Handler, ...] = ()) -> tuple[Relay, Recorder]:
    recorder = Recorder()
    if kind == "bytes":
        return Relay(recorder, recorder, clock=recorder.clock, on_end=recorder.ended, transforms=transforms), recorder
    if kind == "stream":
        relay: Relay = EventStreamRelay(
            recorder, recorder, clock=recorder.clock, on_end=recorder.ended, transforms=transforms
        )
        return relay, recorder
    relay = EventsRelay(
        recorder, recorder, clock=recorder.clock, on_end=recorder.ended, transforms=transforms, handlers=handlers
    )
    return relay, recorder


def leave(event: RawEvent) -> bytes:
    return event.raw


def failure(code: str) -> GatewayError:
    return GatewayError(code, source=Source.UPSTREAM, status=502)


KINDS = pytest.mark.parametrize("kind", ["bytes", "stream", "events"])
EVENTS = [b"data: a\n\n", b": c\n\ndata: b\n\ndata: c\n\n", b"data: d\n\n"]


# What goes through.


@KINDS
def test_one_piece_in_is_one_piece_out(kind: str) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    for piece in EVENTS:
        relay.piece_received(piece)
    assert recorder.sent == EVENTS
    assert relay.bytes_sent == len(b"".join(EVENTS))
    assert relay.events == {"bytes": 0, "stream": 4, "events": 4}[kind]
    assert relay.is_event_stream == (kind != "bytes")


@KINDS
def test_pieces_may_go_the_framing_s_own_way(kind: str) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    framed: list[bytes] = []
    relay.send_by(framed.append)
    relay.piece_received(b"data: a\n\ndata: b")
    relay.response_ended()
    assert b"".join(framed) == b"data: a\n\ndata: b"
    assert recorder.sent == []
    assert relay.bytes_sent == 16


@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_nothing_is_held_back(kind: str) -> None:
    relay, recorder = make(kind)
    for octet in b"data: a\n\ndata: b":
        relay.piece_received(bytes([octet]))
    assert len(recorder.sent) == 16
    assert relay.bytes_sent == 16


def test_an_event_plugin_holds_the_unfinished_event_only() -> None:
    relay, recorder = make("events", handlers=(leave,))
    relay.piece_received(b"data: a\n\nda")
    relay.piece_received(b"ta: b\n")
    relay.piece_received(b"\nx")
    assert recorder.sent == [b"data: a\n\n", b"data: b\n\n"]
    assert (relay.events, relay.bytes_sent) == (2, 18)


def test_times_of_the_first_piece_and_the_first_event() -> None:
    relay, recorder = make("stream")
    assert (relay.first_piece_at, relay.first_event_at) == (0.0, 0.0)
    relay.piece_received(b": hello\n\n")
    first = recorder.now
    relay.piece_received(b"data: ")
    relay.piece_received(b"a\n\n")
    event = recorder.now
    relay.piece_received(b"data: b\n\n")
    assert (relay.first_piece_at, relay.first_event_at) == (first, event)
    assert recorder.now == event  # no clock is read once both are known


def test_time_of_the_first_piece_of_other_bodies() -> None:
    relay, recorder = make("bytes")
    relay.piece_received(b"a")
    relay.piece_received(b"b")
    assert (relay.first_piece_at, relay.first_event_at, recorder.now) == (101.0, 0.0, 101.0)


# Transforms and handlers.


@KINDS
def test_transforms_see_each_piece_one_after_the_other(kind: str) -> None:
    seen = []

    def note(piece: bytes) -> bytes:
        seen.append(piece)
        return piece.replace(b"a", b"bb")

    relay, recorder = make(kind, note, lambda piece: piece.replace(b"bb", b"ccc"), handlers=(leave,))
    relay.piece_received(b"data: a\n\n")
    assert seen == [b"data: a\n\n"]
    # the first turns each a into bb, the second each bb into ccc: "data" has two, the value one
    assert recorder.sent == [b"dccctccc: ccc\n\n"]
    assert relay.bytes_sent == len(recorder.body)
    assert relay.changes_length


@KINDS
def test_a_piece_that_is_dropped_is_not_sent_or_counted(kind: str) -> None:
    relay, recorder = make(kind, lambda _: b"", handlers=(leave,))
    relay.piece_received(b"data: a\n\n")
    relay.response_ended()
    assert (recorder.sent, relay.bytes_sent, relay.events) == ([], 0, 0)
    assert recorder.log == ["end_body", "complete"]


def test_only_what_may_change_a_body_changes_its_length() -> None:
    assert not make("bytes")[0].changes_length
    assert not make("stream")[0].changes_length
    assert make("events", handlers=(leave,))[0].changes_length


def test_handlers_change_and_drop_events() -> None:
    def drop_b(event: RawEvent) -> bytes:
        return b"" if event.data == b"b" else event.raw

    def double(event: RawEvent) -> bytes:
        return event.raw + event.raw if event.is_event else event.raw

    def mark(event: RawEvent) -> bytes:
        return event.raw.replace(b"a", b"A")

    relay, recorder = make("events", handlers=(drop_b, double, mark))
    relay.piece_received(b": a\n\ndata: b\n\ndata: c\n\n")
    assert recorder.sent == [b": A\n\ndAtA: c\n\ndAtA: c\n\n"]
    assert relay.bytes_sent == len(recorder.body)
    assert relay.events == 0  # what is counted is what the client gets, and dAtA is no field


def test_a_later_handler_sees_what_the_one_before_made() -> None:
    seen = []

    def note(event: RawEvent) -> bytes:
        seen.append((event.raw, event.data))
        return event.raw

    relay, _ = make("events", handlers=(note, lambda _: b"data: new\n\n", note))
    relay.piece_received(b"id: 1\ndata: old\n\n")
    assert seen == [(b"id: 1\ndata: old\n\n", b"old"), (b"data: new\n\n", b"new")]
    assert relay.events == 1


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"data: a", b"data", b": c", b"id: 1", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"x"])),
    st.integers(min_value=1, max_value=9),
)
def test_events_that_are_left_alone_are_the_same_bytes(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    plain, plainly = make("stream")
    cut, recorder = make("events", handlers=(leave, leave))
    for begin in range(0, len(stream), size):
        plain.piece_received(stream[begin : begin + size])
        cut.piece_received(stream[begin : begin + size])
    for relay in (plain, cut):
        relay.response_ended()
    assert plainly.body == recorder.body == stream
    assert plain.bytes_sent == cut.bytes_sent == len(stream)
    assert plain.events == len(EventParser().feed(stream))


# Endings.


@KINDS
@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("upstream_eof", Ending.UPSTREAM_EOF),
        ("upstream_reset", Ending.UPSTREAM_RESET),
        ("read_timeout", Ending.UPSTREAM_STALL),
        ("send_timeout", Ending.UPSTREAM_STALL),
        ("protocol_error", Ending.UPSTREAM_PROTOCOL_ERROR),
        ("a new one", Ending.UPSTREAM_RESET),
    ],
)
def test_an_upstream_that_breaks_breaks_the_client_s_body(kind: str, code: str, ending: Ending) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.piece_received(b"data: a\n\n")
    relay.upstream_failed(failure(code))
    assert recorder.log == ["break_body", ending]
    assert relay.ending is ending


@KINDS
def test_a_response_that_ends_ends_the_client_s_body(kind: str) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.response_ended()
    assert recorder.log == ["end_body", "complete"]
    assert relay.ending is Ending.COMPLETE


@KINDS
@pytest.mark.parametrize("ending", [Ending.DRAIN, Ending.KILLED, Ending.MAX_BYTES, Ending.CLIENT_STALLED])
def test_a_stop_closes_the_upstream_and_breaks_the_client_s_body(kind: str, ending: Ending) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.stop(ending)
    assert recorder.log == ["abort", "break_body", ending]


@KINDS
def test_nothing_is_sent_to_a_client_that_is_gone(kind: str) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.piece_received(b"data: a\n\ndata: b")
    sent = list(recorder.sent)
    relay.stop(Ending.CLIENT_GONE)
    assert recorder.log == ["abort", "client_gone"]
    assert recorder.sent == sent


def end_in_all_ways(relay: Relay) -> None:
    relay.response_ended()
    relay.upstream_failed(failure("upstream_eof"))
    relay.stop(Ending.KILLED)
    relay.stop(Ending.CLIENT_GONE)


@KINDS
@pytest.mark.parametrize(
    ("first", "log"),
    [
        (lambda relay: relay.response_ended(), ["end_body", "complete"]),
        (lambda relay: relay.upstream_failed(failure("upstream_eof")), ["break_body", "upstream_eof"]),
        (lambda relay: relay.stop(Ending.DRAIN), ["abort", "break_body", "drain"]),
        (lambda relay: relay.stop(Ending.CLIENT_GONE), ["abort", "client_gone"]),
    ],
)
def test_there_is_exactly_one_ending(kind: str, first: Callable[[Relay], None], log: list[str]) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.piece_received(b"data: a\n\ndata: b")
    first(relay)
    sent = list(recorder.sent)
    end_in_all_ways(relay)
    assert recorder.log == log
    assert recorder.sent == sent


# The unfinished event at the end.


@pytest.mark.parametrize(
    ("code", "log"), [(None, ["end_body", "complete"]), ("upstream_reset", ["break_body", "upstream_reset"])]
)
def test_an_unfinished_event_goes_to_the_client_when_the_upstream_ends(code: str | None, log: list[str]) -> None:
    relay, recorder = make("events", handlers=(leave,))
    relay.piece_received(b"data: a\n\ndata: b")
    if code is None:
        relay.response_ended()
    else:
        relay.upstream_failed(failure(code))
    assert recorder.sent == [b"data: a\n\n", b"data: b"]
    assert relay.bytes_sent == 16
    assert recorder.log == log


@pytest.mark.parametrize("ending", [Ending.DRAIN, Ending.KILLED, Ending.CLIENT_GONE, Ending.MAX_DURATION])
def test_an_unfinished_event_is_dropped_when_we_end(ending: Ending) -> None:
    relay, recorder = make("events", handlers=(leave,))
    relay.piece_received(b"data: a\n\ndata: b")
    relay.stop(ending)
    assert recorder.sent == [b"data: a\n\n"]


def test_an_unfinished_event_does_not_get_past_the_handlers() -> None:
    seen = []

    def guard(event: RawEvent) -> bytes:
        seen.append((event.raw, event.fragment))
        return b"" if event.fragment else event.raw

    relay, recorder = make("events", handlers=(lambda event: event.raw.replace(b"x", b"y"), guard))
    relay.piece_received(b"data: a\n\ndata: x")
    relay.response_ended()
    assert seen == [(b"data: a\n\n", False), (b"data: y", True)]
    assert recorder.sent == [b"data: a\n\n"]
    assert recorder.log == ["end_body", "complete"]


# Boundaries.


def test_a_body_without_events_may_end_anywhere() -> None:
    relay, _ = make("bytes")
    relay.piece_received(b"half a li")
    assert relay.at_boundary


@pytest.mark.parametrize("kind", ["stream", "events"])
@pytest.mark.parametrize(
    ("pieces", "at_boundary"),
    [
        ([], False),  # a BOM may follow
        ([b"data: a\n\n"], True),
        ([b"data: a\n\n", b": c\n\n"], True),
        ([b"data: a\r\n\r\n"], True),
        ([b"data: a\r\r"], False),
    ],
)
def test_between_two_events_is_a_boundary(kind: str, pieces: list[bytes], at_boundary: bool) -> None:
    relay, _ = make(kind, handlers=(leave,))
    for piece in pieces:
        relay.piece_received(piece)
    assert relay.at_boundary is at_boundary


def test_within_an_event_is_no_boundary_unless_it_is_held_back() -> None:
    plain, cut = make("stream")[0], make("events", handlers=(leave,))[0]
    for relay in (plain, cut):
        relay.piece_received(b"data: a\n\ndata: b\n")
    assert not plain.at_boundary
    assert cut.at_boundary  # the client has not seen any of it


# Back-pressure.


@KINDS
def test_a_blocked_client_pauses_the_upstream(kind: str) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.client_blocked()
    relay.client_ready()
    assert recorder.log == ["pause", "resume"]


@KINDS
@pytest.mark.parametrize("ending", [Ending.COMPLETE, Ending.UPSTREAM_EOF, Ending.DRAIN])
def test_the_source_is_left_alone_once_the_relay_has_ended(kind: str, ending: Ending) -> None:
    relay, recorder = make(kind, handlers=(leave,))
    relay.piece_received(b"data: a\n\ndata: b")
    # the client may be blocked by the very last bytes, when the source already serves another exchange
    recorder.when_sending = relay.client_blocked
    if ending is Ending.COMPLETE:
        relay.response_ended()
    elif ending is Ending.UPSTREAM_EOF:
        relay.upstream_failed(failure("upstream_eof"))
    else:
        relay.stop(ending)
    relay.client_blocked()
    relay.client_ready()
    assert not {"pause", "resume"} & set(recorder.log)


# Plugins that fail, or end the exchange.


def fail(_: object) -> bytes:
    raise ValueError("a defect")


@KINDS
def test_a_transform_that_raises_ends_the_relay(kind: str) -> None:
    relay, recorder = make(kind, fail, handlers=(leave,))
    with pytest.raises(ValueError, match="a defect"):
        relay.piece_received(b"data: a\n\n")
    assert recorder.log == ["abort", "break_body", "gateway_error"]
    assert recorder.sent == []


def test_a_handler_that_raises_ends_the_relay() -> None:
    def fail_at_b(event: RawEvent) -> bytes:
        return fail(event) if event.data == b"b" else event.raw

    relay, recorder = make("events", handlers=(fail_at_b,))
    relay.piece_received(b"data: a\n\n")
    with pytest.raises(ValueError, match="a defect"):
        relay.piece_received(b"data: b\n\ndata: c\n\ndata: d")
    assert recorder.sent == [b"data: a\n\n"]
    assert recorder.log == ["abort", "break_body", "gateway_error"]


def test_a_handler_that_raises_at_the_end_spoils_the_end() -> None:
    relay, recorder = make("events", handlers=(fail,))
    relay.piece_received(b"data: a")
    with pytest.raises(ValueError, match="a defect"):
        relay.response_ended()
    assert recorder.log == ["abort", "break_body", "gateway_error"]
    assert recorder.sent == []


@KINDS
def test_nothing_is_sent_once_a_plugin_has_ended_the_exchange(kind: str) -> None:
    def stop(piece: bytes) -> bytes:
        relay.stop(Ending.KILLED)
        return piece

    relay, recorder = make(kind, stop, handlers=(leave,))
    relay.piece_received(b"data: a\n\n")
    assert (recorder.sent, relay.bytes_sent) == ([], 0)
    assert recorder.log == ["abort", "break_body", "killed"]


def test_nothing_is_sent_once_a_handler_has_ended_the_exchange() -> None:
    def stop(event: RawEvent) -> bytes:
        relay.stop(Ending.KILLED)
        return event.raw

    relay, recorder = make("events", handlers=(stop,))
    relay.piece_received(b"data: a\n\ndata: b\n\nx")
    assert recorder.sent == []
    assert recorder.log == ["abort", "break_body", "killed"]


@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_a_chunk_passes_as_it_came_where_the_client_is_sent_chunks_too(kind: str) -> None:
    relay, recorder = make(kind)
    passed: list[bytes] = []
    relay.send_by(recorder.send_piece, passed.append)
    relay.chunk_received(b"9\r\ndata: x\n\n\r\n", b"data: x\n\n")
    assert (passed, recorder.sent) == ([b"9\r\ndata: x\n\n\r\n"], [])
    assert relay.bytes_sent == 9
    assert relay.events == (1 if kind == "stream" else 0)
    assert relay.first_piece_at


def test_a_chunk_is_framed_anew_where_the_client_is_not_sent_chunks() -> None:
    relay, recorder = make("stream")
    relay.send_by(recorder.send_piece, None)
    relay.chunk_received(b"9\r\ndata: x\n\n\r\n", b"data: x\n\n")
    assert (recorder.sent, relay.events, relay.bytes_sent) == ([b"data: x\n\n"], 1, 9)


def test_a_chunk_goes_through_the_transforms_of_plugins() -> None:
    relay, recorder = make("stream", lambda piece: piece + b": seen\n\n")
    passed: list[bytes] = []
    relay.send_by(recorder.send_piece, passed.append)
    relay.chunk_received(b"9\r\ndata: x\n\n\r\n", b"data: x\n\n")
    assert (recorder.sent, passed) == ([b"data: x\n\n: seen\n\n"], [])
