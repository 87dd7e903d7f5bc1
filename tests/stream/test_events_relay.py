"""An event stream cut into its events: what handlers see, and what is held back for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.recorded import (
    BEGIN,
    Looker,
    failure,
    give_chunk,
    leave,
    make_events,
    make_stream,
    parsed,
)

from headgate.stream import events_relay
from headgate.stream.ending import Ending
from headgate.stream.policy import COMMENT, Close, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.sse import BOM, EventParser, RawEvent

TOLD = StreamPolicy(terminal_event=TerminalEvent("event: error\ndata: $ending"), close=Close.CLEAN)


def fail(_: object) -> bytes:
    raise ValueError("a defect")


# What is held back.


def test_only_the_unfinished_event_is_held_back() -> None:
    relay, recorder = make_events(leave)
    relay.piece_received(b"data: a\n\nda")
    relay.piece_received(b"ta: b\n")
    relay.piece_received(b"\nx")
    assert recorder.sent == [b"data: a\n\n", b"data: b\n\n"]
    assert (relay.events, relay.bytes_sent) == (2, 18)


def test_without_handlers_events_go_on_when_they_are_whole_too() -> None:
    relay, recorder = make_events(policy=TOLD)
    give_chunk(relay, b"data: a\n\nda")
    give_chunk(relay, b"ta: b\n\n")
    assert recorder.sent == [b"data: a\n\n", b"data: b\n\n"]
    assert recorder.chunks == 0


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"data: a", b"data", b": c", b"id: 1", b"\n", b"\r", b"\r\n", BOM, b"x"])),
    st.integers(min_value=1, max_value=9),
)
def test_events_that_are_left_alone_are_the_same_bytes(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    plain, plainly = make_stream()
    cut, recorder = make_events(leave, leave)
    for begin in range(0, len(stream), size):
        plain.piece_received(stream[begin : begin + size])
        cut.piece_received(stream[begin : begin + size])
    for relay in (plain, cut):
        relay.response_ended()
    assert plainly.body == recorder.body == stream
    assert plain.bytes_sent == cut.bytes_sent == len(stream)
    assert plain.events == cut.events == len(EventParser().feed(stream))


def test_bytes_count_as_sent_with_the_event_that_they_are_part_of() -> None:
    relay, recorder = make_events(leave)
    assert relay.sent_at == 0.0
    recorder.read(relay, b"data: a\n\n", after_s=1)
    recorder.read(relay, b"data: ", after_s=1)
    assert relay.sent_at == BEGIN + 1
    recorder.read(relay, b"b\n\n", after_s=1)
    assert relay.sent_at == BEGIN + 3


def test_within_an_event_that_is_held_back_the_client_stands_between_two() -> None:
    relay, recorder = make_events(leave)
    relay.piece_received(b"data: a\n\ndata: b\n")
    assert relay.at_boundary
    assert relay.keep_alive()
    relay.end_soon(Ending.DRAIN)
    assert recorder.sent[:2] == [b"data: a\n\n", COMMENT]
    assert recorder.log == ["abort", "break_body", "drain"]


def test_an_event_larger_than_what_is_held_passes_in_fragments_that_no_handler_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events_relay, "HELD_BYTES", 12)
    seen = []

    def note(event: RawEvent) -> bytes:
        seen.append((event.raw, event.fragment, event.data))
        return event.raw

    relay, recorder = make_events(note, policy=TOLD)
    relay.piece_received(b"data: a\n\ndata: 01234")
    relay.piece_received(b"5678")
    relay.piece_received(b"9")
    assert not relay.at_boundary
    assert not relay.keep_alive()
    relay.piece_received(b"\n\ndata: b\n\n")
    assert seen == [
        (b"data: a\n\n", False, b"a"),
        (b"data: 012345678", True, b""),
        (b"9", True, b""),
        (b"\n\n", True, b""),
        (b"data: b\n\n", False, b"b"),
    ]
    assert recorder.body == b"data: a\n\ndata: 0123456789\n\ndata: b\n\n"
    assert relay.events == 3


# Handlers.


def test_handlers_change_and_drop_events() -> None:
    def drop_b(event: RawEvent) -> bytes:
        return b"" if event.data == b"b" else event.raw

    def double(event: RawEvent) -> bytes:
        return event.raw + event.raw if event.is_event else event.raw

    def mark(event: RawEvent) -> bytes:
        return event.raw.replace(b"a", b"A")

    relay, recorder = make_events(drop_b, double, mark)
    relay.piece_received(b": a\n\ndata: b\n\ndata: c\n\n")
    assert recorder.sent == [b": A\n\ndAtA: c\n\ndAtA: c\n\n"]
    assert relay.bytes_sent == len(recorder.body)
    assert relay.events == 0  # what is counted is what the client gets, and dAtA is no field


def test_a_later_handler_sees_what_the_one_before_made() -> None:
    seen = []

    def note(event: RawEvent) -> bytes:
        seen.append((event.raw, event.data))
        return event.raw

    relay, _ = make_events(note, lambda _: b"data: new\n\n", note)
    relay.piece_received(b"id: 1\ndata: old\n\n")
    assert seen == [(b"id: 1\ndata: old\n\n", b"old"), (b"data: new\n\n", b"new")]
    assert relay.events == 1


def test_events_that_a_handler_drops_are_life_of_the_upstream_and_no_more() -> None:
    relay, recorder = make_events(lambda event: b"" if b"drop" in event.raw else event.raw)
    recorder.read(relay, b": drop\n\n", after_s=1)
    assert relay.last_event_at == 0.0  # a comment is no event
    recorder.read(relay, b"data: drop\n\n", after_s=1)
    assert (relay.events, relay.first_event_at, relay.last_event_at) == (0, 0.0, BEGIN + 2)
    recorder.read(relay, b"data: a\n\n", after_s=1)
    recorder.read(relay, b"data: drop\n\n", after_s=1)
    assert (relay.events, relay.first_event_at, relay.last_event_at) == (1, BEGIN + 3, BEGIN + 4)
    assert relay.sent_at == BEGIN + 3


def test_a_handler_that_raises_ends_the_relay() -> None:
    def fail_at_b(event: RawEvent) -> bytes:
        return fail(event) if event.data == b"b" else event.raw

    relay, recorder = make_events(fail_at_b)
    relay.piece_received(b"data: a\n\n")
    with pytest.raises(ValueError, match="a defect"):
        relay.piece_received(b"data: b\n\ndata: c\n\ndata: d")
    assert recorder.sent == [b"data: a\n\n"]
    assert recorder.log == ["abort", "break_body", "gateway_error"]


def test_a_handler_that_raises_is_told_to_the_client_between_two_events() -> None:
    relay, recorder = make_events(fail, policy=TOLD)
    with pytest.raises(ValueError, match="a defect"):
        relay.piece_received(b"data: b\n\n")
    assert recorder.sent == [b"event: error\ndata: gateway_error\n\n"]
    assert recorder.log == ["abort", "end_body", "gateway_error"]


def test_a_handler_that_raises_at_the_end_spoils_the_end() -> None:
    relay, recorder = make_events(fail)
    looker = Looker()
    relay.add_tap(looker)
    relay.piece_received(b"data: a")
    with pytest.raises(ValueError, match="a defect"):
        relay.response_ended()
    assert recorder.log == ["abort", "break_body", "gateway_error"]
    assert recorder.sent == []
    assert looker.endings == [Ending.GATEWAY_ERROR]


def test_nothing_is_sent_once_a_handler_has_ended_the_exchange() -> None:
    def stop(event: RawEvent) -> bytes:
        relay.stop(Ending.KILLED)
        return event.raw

    relay, recorder = make_events(stop)
    relay.piece_received(b"data: a\n\ndata: b\n\nx")
    assert recorder.sent == []
    assert recorder.log == ["abort", "break_body", "killed"]


def test_a_handler_that_ends_the_exchange_at_its_end_has_ended_it() -> None:
    def stop(event: RawEvent) -> bytes:
        relay.stop(Ending.KILLED)
        return event.raw

    relay, recorder = make_events(stop)
    looker = Looker()
    relay.add_tap(looker)
    relay.piece_received(b"data: a")
    relay.response_ended()
    assert recorder.sent == []
    assert recorder.log == ["abort", "break_body", "killed"]
    assert looker.endings == [Ending.KILLED]


# The unfinished event at the end.


@pytest.mark.parametrize(
    ("code", "log"), [(None, ["end_body", "complete"]), ("upstream_reset", ["break_body", "upstream_reset"])]
)
def test_an_unfinished_event_goes_to_the_client_when_the_upstream_ends(code: str | None, log: list[str]) -> None:
    relay, recorder = make_events(leave)
    looker = Looker()
    relay.add_tap(looker)
    relay.piece_received(b"data: a\n\ndata: b")
    if code is None:
        relay.response_ended()
    else:
        relay.upstream_failed(failure(code))
    assert recorder.sent == looker.pieces == [b"data: a\n\n", b"data: b"]
    assert relay.bytes_sent == 16
    assert recorder.log == log


def test_an_unfinished_event_may_be_all_there_is() -> None:
    relay, recorder = make_events(leave)
    recorder.read(relay, b"data: b")
    recorder.loop.pass_s(1)
    relay.response_ended()
    assert recorder.sent == [b"data: b"]
    assert (relay.first_piece_at, relay.events) == (BEGIN + 1, 0)


@pytest.mark.parametrize("ending", [Ending.DRAIN, Ending.KILLED, Ending.CLIENT_GONE, Ending.MAX_DURATION])
def test_an_unfinished_event_is_dropped_when_we_end(ending: Ending) -> None:
    relay, recorder = make_events(leave)
    relay.piece_received(b"data: a\n\ndata: b")
    relay.stop(ending)
    assert recorder.sent[0] == b"data: a\n\n"
    assert parsed(recorder.sent) == EventParser().feed(b"data: a\n\n")
    assert b"data: b" not in recorder.body


def test_an_unfinished_event_does_not_get_past_the_handlers() -> None:
    seen = []

    def guard(event: RawEvent) -> bytes:
        seen.append((event.raw, event.fragment))
        return b"" if event.fragment else event.raw

    relay, recorder = make_events(lambda event: event.raw.replace(b"x", b"y"), guard)
    relay.piece_received(b"data: a\n\ndata: x")
    relay.response_ended()
    assert seen == [(b"data: a\n\n", False), (b"data: y", True)]
    assert recorder.sent == [b"data: a\n\n"]
    assert recorder.log == ["end_body", "complete"]


@pytest.mark.parametrize("code", ["upstream_eof", "upstream_reset", "read_timeout", "protocol_error"])
def test_an_unfinished_event_is_dropped_before_a_terminal_event(code: str) -> None:
    relay, recorder = make_events(policy=TOLD)
    relay.piece_received(b"data: a\n\ndata: b\n")
    relay.upstream_failed(failure(code))
    assert recorder.sent[0] == b"data: a\n\n"
    assert [(event.type, event.data) for event in parsed(recorder.sent[1:])] == [("error", recorder.log[-1])]
    assert recorder.log[0] == "end_body"


def test_an_unfinished_event_is_not_dropped_for_a_terminal_event_that_may_not_be_written() -> None:
    relay, recorder = make_events(policy=TOLD, untouched="sized")
    relay.piece_received(b"data: a\n\ndata: b\n")
    relay.upstream_failed(failure("upstream_reset"))
    assert recorder.sent == [b"data: a\n\n", b"data: b\n"]
    assert recorder.log == ["break_body", "upstream_reset"]


def test_an_unfinished_event_of_a_complete_stream_goes_on_though_there_is_a_terminal_event() -> None:
    relay, recorder = make_events(policy=TOLD)
    relay.piece_received(b"data: a\n\ndata: b\n")
    relay.response_ended()
    assert recorder.sent == [b"data: a\n\n", b"data: b\n"]
    assert recorder.log == ["end_body", "complete"]


@pytest.mark.parametrize(("max_bytes", "is_complete"), [(16, True), (15, False)])
def test_an_unfinished_event_that_would_be_too_much_is_dropped(max_bytes: int, is_complete: bool) -> None:
    relay, recorder = make_events(leave, policy=StreamPolicy(max_bytes=max_bytes))
    relay.piece_received(b"data: a\n\ndata: b")
    relay.response_ended()
    assert recorder.body == b"data: a\n\ndata: b"[: 16 if is_complete else 9]
    assert recorder.log == (["end_body", "complete"] if is_complete else ["break_body", "max_bytes"])


def test_a_bom_in_an_unfinished_event_is_dropped_behind_an_early_keep_alive() -> None:
    relay, recorder = make_events(leave, policy=StreamPolicy(early=True))
    relay.piece_received(BOM + b"data: a")
    relay.response_ended()
    assert recorder.sent == [COMMENT, b"data: a"]


# Events that are too large.


@pytest.mark.parametrize("size", [1, 3, 100])
def test_nothing_of_an_event_that_is_too_large_goes_on(size: int) -> None:
    relay, recorder = make_events(leave, policy=replace(TOLD, max_event_bytes=12))
    stream = b"data: a\n\ndata: 0123456789\n\ndata: b\n\n"
    for begin in range(0, len(stream), size):
        if relay.ending is None:
            relay.piece_received(stream[begin : begin + size])
    assert recorder.sent == [b"data: a\n\n", b"event: error\ndata: max_event_bytes\n\n"]
    assert recorder.log == ["abort", "end_body", "max_event_bytes"]


def test_no_handler_sees_what_is_behind_an_event_that_is_too_large() -> None:
    seen = []

    def note(event: RawEvent) -> bytes:
        seen.append(event.data)
        return event.raw

    relay, _ = make_events(note, policy=StreamPolicy(max_event_bytes=12))
    relay.piece_received(b"data: a\n\ndata: 0123456789\n\ndata: b\n\n")
    assert seen == [b"a"]
