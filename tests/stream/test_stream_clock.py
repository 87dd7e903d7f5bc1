"""The clocks of one event stream, in the real timer wheel, on time that passes by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from tests.stream.recorded import (
    BEGIN,
    Recorder,
    leave,
    make_either,
    make_events,
    make_stream,
)

from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay
from headgate.stream.policy import COMMENT, StreamPolicy
from headgate.stream.stream_clock import END_WITHIN_S, StreamClock
from headgate.wire.sse import BOM, RawEvent

BOTH = pytest.mark.parametrize("kind", ["stream", "events"])
TICK_S = 0.1
"""More than one tick of the wheel: how late a look may be."""
KEPT_ALIVE = StreamPolicy(keepalive_s=15)


def start(relay: EventStreamRelay, recorder: Recorder, *, asked_at: float = BEGIN) -> StreamClock:
    clock = StreamClock(relay, recorder.wheel, asked_at=asked_at, now=recorder.loop.now)
    clock.start()
    return clock


def begin(kind: str, policy: StreamPolicy, *, untouched: str | None = None) -> tuple[EventStreamRelay, Recorder]:
    relay, recorder = make_either(kind, policy, untouched=untouched)
    start(relay, recorder)
    return relay, recorder


def pass_until(recorder: Recorder, at: float) -> None:
    """Let time pass up to so many seconds from the beginning."""
    recorder.loop.pass_s(BEGIN + at - recorder.loop.now)


def assert_ends(relay: EventStreamRelay, recorder: Recorder, ending: Ending, at: float) -> None:
    """It ends so many seconds from the beginning, not before."""
    pass_until(recorder, at - 0.001)
    assert relay.ending is None
    pass_until(recorder, at + TICK_S)
    assert relay.ending is ending


# Keep-alives.


@BOTH
def test_a_keep_alive_is_sent_after_each_so_much_silence(kind: str) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\n", after_s=2)
    for number, at in enumerate((17.0, 32.0, 47.0)):
        pass_until(recorder, at - 0.001)
        assert relay.keepalives == number
        pass_until(recorder, at + (number + 1) * TICK_S)
        assert relay.keepalives == number + 1
    assert recorder.sent == [b"data: a\n\n", COMMENT, COMMENT, COMMENT]


@BOTH
@pytest.mark.parametrize("ping", [b"data: a\n\n", b":\n\n", b": ping\r\n\r\n"])
def test_what_the_upstream_sends_puts_the_keep_alive_off(kind: str, ping: bytes) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    for _ in range(10):
        recorder.read(relay, ping, after_s=14)
    assert relay.keepalives == 0
    recorder.loop.pass_s(15 + TICK_S)
    assert relay.keepalives == 1


@BOTH
def test_a_keep_alive_is_not_sent_off_time_because_the_one_before_was(kind: str) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\n", after_s=2)
    pass_until(recorder, 20)  # one was sent at 17
    recorder.read(relay, b"data: b\n\n")
    pass_until(recorder, 34.9)
    assert relay.keepalives == 1
    pass_until(recorder, 35 + TICK_S)
    assert relay.keepalives == 2


def test_a_keep_alive_waits_for_the_end_of_an_event() -> None:
    relay, recorder = begin("stream", KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\ndata: ")
    recorder.loop.pass_s(60)
    assert relay.keepalives == 0
    recorder.read(relay, b"b\n\n")
    recorder.loop.pass_s(14.9)
    assert relay.keepalives == 0
    recorder.loop.pass_s(0.1 + TICK_S)
    assert relay.keepalives == 1


def test_an_event_that_is_held_back_is_silence() -> None:
    relay, recorder = begin("events", KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\n")
    for _ in range(20):
        recorder.read(relay, b"data: b\n", after_s=2)
    assert relay.keepalives == 2


@pytest.mark.parametrize("kind", ["transform", "handler"])
def test_what_a_plugin_drops_is_silence(kind: str) -> None:
    def drop(event: RawEvent) -> bytes:
        return b"" if event.data == b"b" else event.raw

    def cut(piece: bytes) -> bytes:
        return piece.replace(b"data: b\n\n", b"")

    relay: EventStreamRelay
    if kind == "handler":
        relay, recorder = make_events(drop, policy=KEPT_ALIVE)
    else:
        relay, recorder = make_stream(KEPT_ALIVE, transforms=(cut,))
    start(relay, recorder)
    recorder.read(relay, b"data: a\n\n")
    for _ in range(20):
        recorder.read(relay, b"data: b\n\n", after_s=2)
    assert relay.keepalives == 2


@BOTH
@pytest.mark.parametrize("first", [b"", BOM[:2], BOM])
def test_no_keep_alive_is_sent_before_a_bom_is_ruled_out(kind: str, first: bytes) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    if first:
        recorder.read(relay, first)
    recorder.loop.pass_s(100)
    assert relay.keepalives == 0


@BOTH
def test_early_keep_alives_begin_with_the_head_and_go_on(kind: str) -> None:
    relay, recorder = begin(kind, replace(KEPT_ALIVE, early=True))
    assert relay.keepalives == 1
    recorder.loop.pass_s(14.9)
    assert relay.keepalives == 1
    recorder.loop.pass_s(0.1 + TICK_S)
    assert (relay.keepalives, recorder.sent) == (2, [COMMENT, COMMENT])
    recorder.read(relay, BOM + b"data: a\n\n")
    assert recorder.sent[2:] == [b"data: a\n\n"]


@BOTH
def test_no_keep_alive_is_sent_while_the_client_blocks(kind: str) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\n")
    recorder.loop.pass_s(5)
    relay.client_blocked()
    recorder.loop.pass_s(100)
    assert relay.keepalives == 0
    relay.client_ready()
    recorder.loop.pass_s(14.9)
    assert relay.keepalives == 0
    recorder.loop.pass_s(0.1 + TICK_S)
    assert relay.keepalives == 1


@BOTH
@pytest.mark.parametrize("untouched", ["encoded", "sized", "head", "status", "type"])
def test_no_keep_alive_is_sent_where_nothing_of_headgate_s_own_may_be(kind: str, untouched: str) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE, untouched=untouched)
    recorder.read(relay, b"data: a\n\n")
    recorder.loop.pass_s(100)
    assert recorder.sent == [b"data: a\n\n"]
    assert len(recorder.wheel) == 0  # nobody even looks


@BOTH
def test_keep_alives_end_with_the_client(kind: str) -> None:
    relay, recorder = begin(kind, KEPT_ALIVE)
    recorder.read(relay, b"data: a\n\n")
    relay.detach()
    recorder.loop.pass_s(100)
    assert relay.keepalives == 0


@BOTH
def test_other_clocks_send_no_keep_alive_before_its_time(kind: str) -> None:
    relay, recorder = begin(kind, replace(KEPT_ALIVE, event_gap_s=1))
    recorder.read(relay, b": c\n\n")
    recorder.loop.pass_s(14.9)
    assert relay.keepalives == 0
    recorder.loop.pass_s(45)
    assert relay.keepalives == 3


# The first event.


@BOTH
@pytest.mark.parametrize("asked_s", [0.0, 3.0])
def test_the_first_event_is_waited_for_from_when_it_was_asked_for(kind: str, asked_s: float) -> None:
    relay, recorder = make_either(kind, StreamPolicy(first_event_s=10, keepalive_s=2))
    start(relay, recorder, asked_at=BEGIN - asked_s)
    recorder.read(relay, b": comments are no events\n\n", after_s=1)
    recorder.read(relay, b"id: 1\n\ndata: neither is half a one\n", after_s=1)
    assert_ends(relay, recorder, Ending.FIRST_EVENT_TIMEOUT, 10 - asked_s)
    assert recorder.log[:2] == ["abort", "break_body"]


@BOTH
def test_a_first_event_in_time_ends_the_wait(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(first_event_s=10))
    recorder.read(relay, b"data: a\n\n", after_s=9.9)
    recorder.loop.pass_s(1000)
    assert relay.ending is None
    assert len(recorder.wheel) == 0


def test_a_first_event_that_a_plugin_dropped_has_come() -> None:
    relay, recorder = make_events(lambda _: b"", policy=StreamPolicy(first_event_s=10))
    start(relay, recorder)
    recorder.read(relay, b"data: a\n\n", after_s=9)
    recorder.loop.pass_s(100)
    assert relay.ending is None


@BOTH
def test_the_wait_for_the_first_event_is_not_charged_with_a_client_that_blocks(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(first_event_s=10))
    recorder.read(relay, b": c\n\n", after_s=4)
    relay.client_blocked()
    recorder.loop.pass_s(50)
    relay.client_ready()
    assert_ends(relay, recorder, Ending.FIRST_EVENT_TIMEOUT, 60)


# The gap between two events.


@BOTH
def test_too_long_a_gap_between_two_events_is_a_stall(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(event_gap_s=10, keepalive_s=3))
    recorder.loop.pass_s(100)  # there is no gap before the first event
    recorder.read(relay, b"data: a\n\n")
    recorder.read(relay, b"data: b\n\n", after_s=9.9)
    recorder.read(relay, b": comments are no events\n\n", after_s=4)
    recorder.read(relay, b"data: c", after_s=4)
    assert_ends(relay, recorder, Ending.UPSTREAM_STALL, 119.9)


def test_events_that_a_plugin_drops_are_life() -> None:
    relay, recorder = make_events(
        lambda event: b"" if event.data == b"drop" else event.raw, policy=StreamPolicy(event_gap_s=10)
    )
    start(relay, recorder)
    recorder.read(relay, b"data: a\n\n")
    for _ in range(10):
        recorder.read(relay, b"data: drop\n\n", after_s=9)
    assert_ends(relay, recorder, Ending.UPSTREAM_STALL, 100)


@BOTH
def test_a_gap_is_not_charged_with_a_client_that_blocks(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(event_gap_s=10))
    recorder.read(relay, b"data: a\n\n")
    for _ in range(3):
        recorder.loop.pass_s(2)
        relay.client_blocked()
        recorder.loop.pass_s(30)
        relay.client_ready()
    assert_ends(relay, recorder, Ending.UPSTREAM_STALL, 100)


# The longest duration.


@BOTH
def test_a_stream_ends_between_two_events_when_it_has_lasted_long_enough(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(max_duration_s=20))
    for at in count(1):
        recorder.read(relay, b"data: a\n\n", after_s=1)
        if at == 19:
            break
    assert_ends(relay, recorder, Ending.MAX_DURATION, 20)
    assert recorder.log == ["abort", "break_body", "max_duration"]
    assert recorder.sent[-1].startswith(b"retry: ")
    assert len(recorder.wheel) == 0


def test_a_stream_within_an_event_has_a_little_longer() -> None:
    relay, recorder = begin("stream", StreamPolicy(max_duration_s=20))
    recorder.read(relay, b"data: a\n\ndata: b", after_s=19)
    pass_until(recorder, 21)
    assert (relay.ending, relay.due_ending) == (None, Ending.MAX_DURATION)
    recorder.read(relay, b"\n\ndata: c\n\ndata: d")
    assert recorder.log == ["abort", "break_body", "max_duration"]
    assert relay.events == 3
    recorder.loop.pass_s(END_WITHIN_S + TICK_S)
    assert len(recorder.wheel) == 0


def test_a_stream_that_reaches_no_boundary_is_cut() -> None:
    relay, recorder = begin("stream", StreamPolicy(max_duration_s=20, keepalive_s=1))
    recorder.read(relay, b"data: a\n\ndata: b")
    assert_ends(relay, recorder, Ending.MAX_DURATION, 20 + END_WITHIN_S)
    assert recorder.sent == [b"data: a\n\ndata: b"]
    assert recorder.log == ["abort", "break_body", "max_duration"]


def test_a_stream_that_was_to_end_already_keeps_its_reason_and_its_time() -> None:
    relay, recorder = begin("stream", StreamPolicy(max_duration_s=20))
    recorder.read(relay, b"data: a\n\ndata: b")
    recorder.loop.pass_s(19.9)
    relay.end_soon(Ending.DRAIN)
    assert_ends(relay, recorder, Ending.DRAIN, 20 + END_WITHIN_S)


def test_a_duration_is_not_charged_with_a_client_that_blocks() -> None:
    relay, recorder = begin("stream", StreamPolicy(max_duration_s=20))
    recorder.read(relay, b"data: a\n\ndata: b", after_s=10)
    relay.client_blocked()
    recorder.loop.pass_s(50)
    relay.client_ready()
    pass_until(recorder, 70 - 0.001)
    assert (relay.ending, relay.due_ending) == (None, None)
    pass_until(recorder, 71)
    assert (relay.ending, relay.due_ending) == (None, Ending.MAX_DURATION)
    relay.client_blocked()
    recorder.loop.pass_s(50)
    relay.client_ready()
    assert_ends(relay, recorder, Ending.MAX_DURATION, 120 + END_WITHIN_S)


@BOTH
def test_durations_are_spread_by_their_jitter(kind: str) -> None:
    ends = []
    for _ in range(100):
        relay, recorder = begin(kind, StreamPolicy(max_duration_s=20, max_duration_jitter_s=5))
        while relay.ending is None:
            recorder.loop.pass_s(0.25)
        ends.append(recorder.loop.now - BEGIN)
    assert 15 <= min(ends) < max(ends) <= 20.25
    assert len(set(ends)) >= 5


# All together.


@BOTH
def test_a_stream_without_clocks_is_not_looked_at(kind: str) -> None:
    _, recorder = begin(kind, StreamPolicy())
    assert len(recorder.wheel) == 0


@BOTH
def test_a_stream_that_has_ended_leaves_the_wheel(kind: str) -> None:
    policy = StreamPolicy(keepalive_s=5, first_event_s=10, event_gap_s=10, max_duration_s=10)
    relay, recorder = begin(kind, policy)
    relay.response_ended()
    recorder.loop.pass_s(10)
    assert len(recorder.wheel) == 0
    assert recorder.log == ["end_body", "complete"]


def test_a_clock_that_is_stopped_looks_no_more() -> None:
    relay, recorder = make_stream(KEPT_ALIVE)
    clock = start(relay, recorder)
    recorder.read(relay, b"data: a\n\n")
    clock.stop()
    assert len(recorder.wheel) == 0
    recorder.loop.pass_s(100)
    assert relay.keepalives == 0


@BOTH
def test_nothing_ends_while_the_client_blocks(kind: str) -> None:
    policy = StreamPolicy(first_event_s=10, event_gap_s=10, max_duration_s=10)
    for first in (b": c\n\n", b"data: a\n\n"):
        relay, recorder = begin(kind, policy)
        recorder.read(relay, first)
        relay.client_blocked()
        recorder.loop.pass_s(1000)
        assert relay.ending is None


@BOTH
def test_the_clocks_of_an_upstream_that_finishes_for_nobody_go_on(kind: str) -> None:
    policy = StreamPolicy(first_event_s=10, event_gap_s=10)
    relay, recorder = begin(kind, policy)
    relay.detach()
    for _ in range(10):
        recorder.read(relay, b"data: a\n\n", after_s=9)
    assert recorder.log == ["resume"]
    assert_ends(relay, recorder, Ending.CLIENT_GONE, 100)
    assert recorder.log == ["resume", "abort", "client_gone"]


@BOTH
def test_an_upstream_that_finishes_for_nobody_has_its_longest_duration(kind: str) -> None:
    relay, recorder = begin(kind, StreamPolicy(max_duration_s=20))
    relay.detach()
    while relay.ending is None:
        recorder.read(relay, b"data: a\n\n", after_s=1)
    assert recorder.loop.now - BEGIN <= 20 + END_WITHIN_S + 1
    assert relay.ending is Ending.CLIENT_GONE


def test_a_stream_is_looked_at_only_when_something_is_due() -> None:
    relay, recorder = begin("stream", StreamPolicy(keepalive_s=15, event_gap_s=100, max_duration_s=100))
    recorder.read(relay, b"data: a\n\ndata: b")  # neither a keep-alive nor the end has a place in it
    recorder.loop.pass_s(99)
    assert recorder.loop.turns == 6
    recorder.read(relay, b"\n\ndata: c")
    recorder.loop.pass_s(END_WITHIN_S + 2)
    assert recorder.log == ["abort", "break_body", "max_duration"]
    assert recorder.loop.turns <= 9


def test_two_streams_of_one_wheel_are_looked_at_each_in_its_time() -> None:
    first, recorder = make_events(leave, policy=StreamPolicy(event_gap_s=10))
    second, other = make_stream(StreamPolicy(event_gap_s=20))
    start(first, recorder)
    StreamClock(second, recorder.wheel, asked_at=BEGIN, now=BEGIN).start()
    recorder.read(first, b"data: a\n\n")
    other.read(second, b"data: a\n\n")
    recorder.loop.pass_s(15)
    assert (first.ending, second.ending) == (Ending.UPSTREAM_STALL, None)
    recorder.loop.pass_s(6)
    assert second.ending is Ending.UPSTREAM_STALL
