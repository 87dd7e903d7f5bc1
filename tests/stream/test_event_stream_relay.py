"""The bytes of an event stream: what passes, what headgate adds, where it ends. Both relays of event streams, if not said otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.cut_streams import cut_streams
from tests.stream.recorded import (
    BEGIN,
    Looker,
    failure,
    give_chunk,
    leave,
    make_either,
    make_events,
    make_stream,
    parsed,
    stands_between_blocks,
)

from headgate.stream.end_marker import EndMarker
from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay, jittered_ms
from headgate.stream.policy import COMMENT, Close, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.sse import BOM, EventParser

BOTH = pytest.mark.parametrize("kind", ["stream", "events"])
PING = b"event: ping\ndata: {}\n\n"
TOLD = StreamPolicy(terminal_event=TerminalEvent("event: error\ndata: $ending $stream_id"))
CLEAN = replace(TOLD, close=Close.CLEAN)


# An early keep-alive.


@BOTH
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_bom_behind_an_early_keep_alive_is_dropped_however_it_is_cut(kind: str, cut: int) -> None:
    relay, recorder = make_either(kind, StreamPolicy(early=True))
    stream = BOM + b"data: a\n\n"
    relay.piece_received(stream[:cut])
    assert recorder.sent == [COMMENT]
    relay.piece_received(stream[cut:])
    assert recorder.sent == [COMMENT, b"data: a\n\n"]
    assert (relay.events, relay.bytes_sent, relay.keepalives) == (1, 9, 1)


def test_what_only_begins_like_a_bom_is_passed_on_at_the_latest_with_the_end() -> None:
    for start in (BOM[:1], BOM[:2]):
        relay, recorder = make_stream(StreamPolicy(early=True))
        relay.piece_received(start)
        relay.response_ended()
        assert recorder.sent == [COMMENT, start]
        assert recorder.log == ["end_body", "complete"]
        relay, recorder = make_stream(StreamPolicy(early=True))
        relay.piece_received(start)
        relay.piece_received(b"x")
        assert recorder.sent == [COMMENT, start + b"x"]


def test_once_a_bom_is_ruled_out_chunks_pass_as_they_came() -> None:
    relay, recorder = make_stream(StreamPolicy(early=True), is_chunked=True)
    for _ in range(3):
        give_chunk(relay, b"data: a\n\n")
    assert (recorder.chunks, relay.events) == (2, 3)


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_the_early_keep_alive_is_not_measured_as_an_event(limit: int) -> None:
    relay, recorder = make_stream(StreamPolicy(early=True, max_event_bytes=limit))
    assert recorder.sent == [COMMENT]
    relay.piece_received(b"\n")
    assert relay.ending is None


# Where keep-alives go.


@pytest.mark.parametrize(
    ("pieces", "is_possible"),
    [
        ([], False),  # a BOM may follow
        ([BOM[:1]], False),
        ([BOM], False),
        ([b"\n"], True),
        ([b": c\n"], False),
        ([b": c\n\n"], True),
        ([b"data: a\n\n", b"d"], False),
        ([b"data: a\n\n", b"data: b\n"], False),
        ([b"data: a\r\n\r\n"], True),
        ([b"data: a\r\n\r"], False),  # its LF may follow
        ([b"data: a\r\n\r", b"\n"], True),
        ([b"data: a\r\r"], False),
        ([b"data: a\r\rdata: b\n\n"], True),
    ],
)
def test_a_keep_alive_goes_between_two_blocks_only(pieces: list[bytes], is_possible: bool) -> None:
    relay, recorder = make_stream()
    for piece in pieces:
        relay.piece_received(piece)
    assert relay.keep_alive() is is_possible
    assert recorder.sent == [*pieces, COMMENT][: len(pieces) + is_possible]
    assert relay.keepalives == is_possible


@BOTH
def test_a_keep_alive_is_no_event_of_the_stream(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(keepalive=PING))
    recorder.read(relay, b"data: a\n\n", after_s=1)
    recorder.loop.pass_s(5)
    assert relay.keep_alive()
    assert (relay.events, relay.bytes_sent, relay.last_event_at) == (1, 9, BEGIN + 1)
    assert (recorder.last_read, relay.sent_at) == (BEGIN + 1, BEGIN + 1)


@BOTH
def test_there_is_no_keep_alive_once_a_stream_has_ended(kind: str) -> None:
    relay, recorder = make_either(kind)
    relay.piece_received(b"data: a\n\n")
    relay.response_ended()
    assert not relay.keep_alive()
    assert recorder.sent == [b"data: a\n\n"]


# Times and counts.


@BOTH
def test_times_of_pieces_and_events_are_those_of_the_reads(kind: str) -> None:
    relay, recorder = make_either(kind)
    recorder.read(relay, b": hello\n\n", after_s=1)
    recorder.read(relay, b"data: ", after_s=1)
    assert (relay.first_event_at, relay.last_event_at) == (0.0, 0.0)
    recorder.read(relay, b"a\n\n", after_s=1)
    recorder.read(relay, b"data: b\n\n", after_s=1)
    recorder.read(relay, b": c\n\n", after_s=1)
    assert (relay.first_piece_at, relay.first_event_at, relay.last_event_at) == (BEGIN + 1, BEGIN + 3, BEGIN + 4)


@BOTH
def test_time_that_the_client_blocked_is_no_time_between_events(kind: str) -> None:
    relay, recorder = make_either(kind)
    recorder.read(relay, b"data: a\n\n", after_s=1)
    relay.client_blocked()
    recorder.loop.pass_s(30)
    relay.client_ready()
    assert relay.last_event_at == BEGIN + 31
    recorder.read(relay, b"data: b\n\n", after_s=1)
    assert recorder.gaps.total_s == 1.0


@BOTH
def test_times_between_events_are_counted(kind: str) -> None:
    relay, recorder = make_either(kind)
    recorder.read(relay, b"data: 1\n\n", after_s=40)
    assert recorder.gaps.take() == ([0] * len(recorder.gaps.counts), 0.0)  # before the first there is no gap
    recorder.read(relay, b"data: 2\n\ndata: 3\n\n", after_s=2)
    recorder.read(relay, b": c\n\n", after_s=2)
    recorder.read(relay, b"data: 4\n\n", after_s=2)
    counts, total_s = recorder.gaps.take()
    bounds = recorder.gaps.BOUNDS
    assert {bounds[at]: count for at, count in enumerate(counts) if count} == {0.001: 1, 2.0: 1, 5.0: 1}
    assert total_s == 6.0


def test_bytes_count_as_sent_when_they_are_read_unless_a_plugin_dropped_them() -> None:
    plain, recorder = make_stream()
    recorder.read(plain, b"da", after_s=1)
    assert plain.sent_at == BEGIN + 1
    picky, recorder = make_stream(transforms=(lambda piece: piece.replace(b"data: a\n\n", b""),))
    recorder.read(picky, b"data: b\n\n", after_s=1)
    recorder.read(picky, b"data: a\n\n", after_s=1)
    assert picky.sent_at == BEGIN + 1


# Taps.


@BOTH
def test_a_tap_sees_what_the_client_gets_but_nothing_of_headgate_s_own(kind: str) -> None:
    relay, recorder = make_either(kind, TOLD)
    relay.piece_received(b"data: a\n\n")
    first, second = Looker(), Looker()
    relay.add_tap(first)
    relay.piece_received(b"data: b\n\n")
    relay.add_tap(second)
    relay.keep_alive()
    relay.piece_received(b"data: c\n\n")
    relay.remove_tap(first)
    relay.piece_received(b"data: d\n\n")
    relay.stop(Ending.DRAIN)
    assert (first.body, first.endings) == (b"data: b\n\ndata: c\n\n", [])
    assert (second.body, second.endings) == (b"data: c\n\ndata: d\n\n", [Ending.DRAIN])
    assert recorder.body.startswith(b"data: a\n\ndata: b\n\n:\n\ndata: c\n\ndata: d\n\nretry: ")


def test_a_tap_sees_pieces_as_plugins_leave_them() -> None:
    relay, _ = make_stream(transforms=(bytes.upper,))
    looker = Looker()
    relay.add_tap(looker)
    relay.piece_received(b"data: a\n\n")
    assert looker.body == b"DATA: A\n\n"


@BOTH
def test_a_tap_hears_of_each_end_once(kind: str) -> None:
    relay, _ = make_either(kind)
    looker = Looker()
    relay.add_tap(looker)
    relay.upstream_failed(failure("upstream_reset"))
    relay.stop(Ending.KILLED)
    relay.response_ended()
    assert looker.endings == [Ending.UPSTREAM_RESET]


@BOTH
def test_a_tap_hears_nothing_for_a_client_that_has_left_but_the_end(kind: str) -> None:
    relay, _ = make_either(kind)
    looker = Looker()
    relay.add_tap(looker)
    relay.detach()
    relay.piece_received(b"data: a\n\n")
    relay.response_ended()
    assert (looker.pieces, looker.endings) == ([], [Ending.CLIENT_GONE])


def test_a_tap_that_nobody_added_is_removed_without_a_word() -> None:
    relay, _ = make_stream()
    relay.remove_tap(Looker())


def test_while_somebody_looks_chunks_are_framed_anew_and_then_pass_again() -> None:
    relay, recorder = make_stream(is_chunked=True)
    looker = Looker()
    give_chunk(relay, b"data: a\n\n")
    relay.add_tap(looker)
    give_chunk(relay, b"data: a\n\n")
    relay.remove_tap(looker)
    give_chunk(relay, b"data: a\n\n")
    assert recorder.sent == [b"data: a\n\n"] * 3
    assert (recorder.chunks, looker.body, relay.events) == (2, b"data: a\n\n", 3)


# The limits of a stream's size.


def boundaries(stream: bytes) -> list[int]:
    return [at for at in range(1, len(stream) + 1) if stands_between_blocks(stream[:at])]


@settings(deadline=None)
@given(cut_streams(), st.integers(1, 60))
def test_a_stream_that_is_too_large_ends_at_the_last_boundary_within_the_limit(pieces: list[bytes], limit: int) -> None:
    relay, recorder = make_stream(StreamPolicy(max_bytes=limit))
    sent = 0
    for piece in pieces:
        if relay.ending is None:
            sent = relay.bytes_sent
            relay.piece_received(piece)
    relay.response_ended()
    stream = b"".join(pieces)
    if len(stream) <= limit:
        assert (relay.ending, recorder.body) == (Ending.COMPLETE, stream)
    else:
        # what passed with pieces before has passed
        end = max([sent, *(at for at in boundaries(stream) if at <= limit)])
        assert (relay.ending, recorder.body) == (Ending.MAX_BYTES, stream[:end])
    assert relay.bytes_sent == len(recorder.body) <= limit


@BOTH
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_a_stream_that_is_too_large_is_told_so_between_two_events(kind: str, end: bytes) -> None:
    event = b"data: a" + end
    relay, recorder = make_either(kind, replace(CLEAN, max_bytes=3 * len(event) - 1))
    relay.piece_received(event)
    relay.piece_received(event + event + event)
    assert recorder.sent == [event, event, b"event: error\ndata: max_bytes id-1\n\n"]
    assert recorder.log == ["abort", "end_body", "max_bytes"]
    assert (relay.bytes_sent, relay.events) == (2 * len(event), 2)


@BOTH
def test_a_stream_of_just_the_largest_size_is_complete(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(max_bytes=18))
    relay.piece_received(b"data: a\n\n")
    relay.piece_received(b"data: b\n\n")
    relay.response_ended()
    assert recorder.log == ["end_body", "complete"]


@settings(deadline=None)
@given(cut_streams(), st.integers(1, 40))
def test_an_event_that_is_too_large_ends_both_relays_behind_the_same_events(pieces: list[bytes], limit: int) -> None:
    policy = StreamPolicy(max_event_bytes=limit)
    plain, plainly = make_stream(policy)
    cut, cutly = make_events(leave, policy=policy)
    for piece in pieces:
        for relay in (plain, cut):
            if relay.ending is None:
                relay.piece_received(piece)
        assert plain.ending is cut.ending
    for relay in (plain, cut):
        relay.response_ended()
    assert plain.ending is cut.ending
    assert plain.ending in {Ending.COMPLETE, Ending.MAX_EVENT_BYTES}
    assert plainly.body.startswith(cutly.body)
    assert parsed(plainly.sent) == parsed(cutly.sent)
    assert plain.events == cut.events == len(parsed(cutly.sent))
    assert b"".join(pieces).startswith(plainly.body)


@BOTH
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_before_one_that_is_too_large_pass_and_none_behind_it(kind: str, end: bytes) -> None:
    small, large = b"data: a" + 2 * end, b"data: 0123456789" + 2 * end
    relay, recorder = make_either(kind, StreamPolicy(max_event_bytes=12))
    looker = Looker()
    relay.add_tap(looker)
    relay.piece_received(b": begin" + 2 * end)
    relay.piece_received(small + small + large + small)
    assert recorder.body == looker.body == b": begin" + 2 * end + small + small
    assert (relay.events, relay.bytes_sent) == (2, len(recorder.body))
    assert recorder.log == ["abort", "break_body", "max_event_bytes"]


def test_an_event_that_grows_too_large_is_cut_where_it_did() -> None:
    relay, recorder = make_stream(replace(CLEAN, max_event_bytes=12), is_chunked=True)
    for piece in (b"data: a\n\n", b"data: ", b"012345", b"6", b"7"):
        if relay.ending is None:
            give_chunk(relay, piece)
    assert recorder.body == b"data: a\n\ndata: 012345"  # the client has a half event: nothing is put behind it
    assert recorder.log == ["abort", "break_body", "max_event_bytes"]


# The end marker.


@BOTH
@pytest.mark.parametrize("marker", [EndMarker("data", b"[DONE]"), EndMarker("event", b"stop")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("behind", [b"", b": bye\n\n", b"data: more\n\n"])
def test_an_end_marker_is_seen_whole_and_cut_anywhere(kind: str, marker: EndMarker, end: bytes, behind: bytes) -> None:
    event = b"data: [DONE]" if marker.field == "data" else b"event: stop" + end + b"data: {}"
    stream = b"data: a" + 2 * end + event + 2 * end + behind
    for cut in range(len(stream)):
        relay, recorder = make_either(kind, StreamPolicy(end_marker=marker))
        relay.piece_received(stream[:cut])
        relay.piece_received(stream[cut:])
        relay.response_ended()
        assert recorder.log == ["end_body", "complete"]
        assert recorder.body == stream


@BOTH
@pytest.mark.parametrize("told", [False, True])
def test_an_end_marker_without_its_blank_line_counts(kind: str, told: bool) -> None:
    policy = replace(TOLD if told else StreamPolicy(), end_marker=EndMarker("data", b"[DONE]"))
    relay, recorder = make_either(kind, policy)
    relay.piece_received(b"data: a\n\ndata: [DO")
    relay.piece_received(b"NE]\n")
    relay.response_ended()
    assert recorder.log == ["end_body", "complete"]
    assert recorder.body == b"data: a\n\ndata: [DONE]\n"


@BOTH
@pytest.mark.parametrize("rest", [b"", b"data: [DON", b"data: [DONE]x\n", b": [DONE]\n"])
def test_a_stream_without_its_end_marker_is_not_complete(kind: str, rest: bytes) -> None:
    relay, recorder = make_either(kind, StreamPolicy(end_marker=EndMarker("data", b"[DONE]")))
    relay.piece_received(b"data: a\n\ndata: [DONE] \n\n: data: [DONE]\n\n" + rest)
    relay.response_ended()
    assert recorder.log == ["break_body", "upstream_eof"]


@BOTH
def test_an_end_marker_does_not_make_a_cut_complete(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(end_marker=EndMarker("data", b"[DONE]")))
    relay.piece_received(b"data: [DONE]\n\n")
    relay.upstream_failed(failure("upstream_reset"))
    assert recorder.log == ["break_body", "upstream_reset"]


@BOTH
@pytest.mark.parametrize(
    ("untouched", "ending"), [("head", "complete"), ("status", "complete"), ("sized", "upstream_eof")]
)
def test_only_the_stream_that_was_asked_for_needs_an_end_marker(kind: str, untouched: str, ending: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(end_marker=EndMarker("data", b"[DONE]")), untouched=untouched)
    relay.response_ended()
    assert recorder.log[-1] == ending


@BOTH
def test_a_marker_that_headgate_wrote_is_none(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(end_marker=EndMarker("event", b"ping"), keepalive=PING))
    relay.piece_received(b"data: a\n\n")
    assert relay.keep_alive()
    relay.response_ended()
    assert recorder.log == ["break_body", "upstream_eof"]


# What the client is told at the end.

PLANNED = {Ending.DRAIN, Ending.ROUTE_REMOVED, Ending.MAX_DURATION, Ending.REVOKED}
UNTOLD = {Ending.COMPLETE, Ending.CLIENT_GONE, Ending.CLIENT_STALLED}


def end_by(relay: EventStreamRelay, ending: Ending) -> None:
    codes = {Ending.UPSTREAM_EOF: "upstream_eof", Ending.UPSTREAM_RESET: "upstream_reset"}
    if ending in codes:
        relay.upstream_failed(failure(codes[ending]))
    elif ending is Ending.COMPLETE:
        relay.response_ended()
    else:
        relay.stop(ending)


@BOTH
@pytest.mark.parametrize("close", list(Close))
@pytest.mark.parametrize("ending", list(Ending))
def test_a_terminal_event_follows_every_end_but_those_that_nobody_needs_to_hear_of(
    kind: str, close: Close, ending: Ending
) -> None:
    relay, recorder = make_either(kind, replace(TOLD, close=close, retry_s=0.001))
    relay.piece_received(b"data: a\n\n")
    end_by(relay, ending)
    told = [] if ending in UNTOLD else [b"event: error\ndata: %b id-1\n\n" % ending.encode()]
    own = recorder.sent[1:]
    if ending in PLANNED:
        assert own.pop(0) in {b"retry: 1\n\n", b"retry: 2\n\n"}
    assert own == told
    closing = [entry for entry in recorder.log if entry.endswith("_body")]
    if ending is Ending.COMPLETE or (told and close is Close.CLEAN):
        assert closing == ["end_body"]
    else:
        assert closing == ([] if ending is Ending.CLIENT_GONE else ["break_body"])
    assert recorder.log[-1] == ending
    assert parsed(recorder.sent)[0].data == "a"


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("half", [b"d", b"data: b\n", b"data: b\r\n\r"])
def test_nothing_is_put_behind_a_half_event(ending: Ending, half: bytes) -> None:
    relay, recorder = make_stream(CLEAN)
    relay.piece_received(b"data: a\n\n" + half)
    end_by(relay, ending)
    assert recorder.sent == [b"data: a\n\n" + half]
    assert ("end_body" in recorder.log) == (ending is Ending.COMPLETE)


@BOTH
def test_a_stream_that_has_sent_nothing_is_told_its_end_too(kind: str) -> None:
    relay, recorder = make_either(kind, CLEAN)
    relay.stop(Ending.FIRST_EVENT_TIMEOUT)
    assert recorder.sent == [b"event: error\ndata: first_event_timeout id-1\n\n"]
    assert recorder.log == ["abort", "end_body", "first_event_timeout"]


@BOTH
def test_without_a_terminal_event_the_close_is_never_clean(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(close=Close.CLEAN))
    relay.piece_received(b"data: a\n\n")
    relay.stop(Ending.DRAIN)
    assert recorder.log == ["abort", "break_body", "drain"]
    assert len(recorder.sent) == 2  # the reconnection time


@BOTH
def test_half_a_bom_that_was_held_back_is_followed_by_nothing(kind: str) -> None:
    relay, recorder = make_either(kind, replace(CLEAN, early=True))
    relay.piece_received(BOM[:2])
    relay.upstream_failed(failure("upstream_reset"))
    told = [b"event: error\ndata: upstream_reset id-1\n\n"]
    assert recorder.sent == [COMMENT, *([BOM[:2]] if kind == "stream" else told)]
    assert recorder.log[0] == ("break_body" if kind == "stream" else "end_body")


@BOTH
def test_half_a_bom_that_was_held_back_is_dropped_when_we_end(kind: str) -> None:
    relay, recorder = make_either(kind, replace(CLEAN, early=True))
    relay.piece_received(BOM[:2])
    relay.stop(Ending.KILLED)
    assert recorder.sent == [COMMENT, b"event: error\ndata: killed id-1\n\n"]


def test_reconnection_times_lie_between_the_given_one_and_its_double_and_apart() -> None:
    times = [jittered_ms(3.0) for _ in range(200)]
    assert 3000 <= min(times) < max(times) <= 6000
    assert len(set(times)) > 20


# An end that waits for a boundary.


def test_a_stream_that_is_to_end_soon_ends_between_two_events_inside_a_piece() -> None:
    relay, recorder = make_stream(replace(TOLD, retry_s=0.001), is_chunked=True)
    looker = Looker()
    relay.add_tap(looker)
    relay.remove_tap(looker)
    give_chunk(relay, b"data: a")
    relay.end_soon(Ending.DRAIN)
    assert (relay.ending, relay.at_boundary) == (None, False)
    give_chunk(relay, b"b")
    assert relay.ending is None
    give_chunk(relay, b"c\n\ndata: d\n\ndata: e")
    assert [event.data for event in parsed(recorder.sent)] == ["abc", "d", "drain id-1"]
    assert recorder.sent[2] == b"c\n\ndata: d\n\n"
    assert recorder.log == ["abort", "break_body", "drain"]
    assert (relay.events, relay.bytes_sent) == (2, len(b"data: abc\n\ndata: d\n\n"))


@settings(deadline=None)
@given(cut_streams(), st.integers(0, 8))
def test_a_stream_that_is_to_end_soon_ends_at_a_boundary_of_the_first_piece_that_has_one(
    pieces: list[bytes], after: int
) -> None:
    relay, recorder = make_stream(TOLD)
    for piece in pieces[:after]:
        relay.piece_received(piece)
    sent = relay.bytes_sent
    relay.end_soon(Ending.DRAIN)
    stream = b"".join(pieces)
    ends = boundaries(stream)
    for piece in pieces[after:]:
        if relay.ending is not None:
            break
        sent += len(piece)
        relay.piece_received(piece)
    if relay.ending is None:
        assert not [at for at in ends if len(b"".join(pieces[:after])) <= at]
        assert recorder.body == stream
    else:
        assert relay.bytes_sent == max([at for at in ends if at <= sent], default=0)
        assert parsed(recorder.sent)[-1].data == "drain id-1"
        assert parsed(recorder.sent)[:-1] == EventParser().feed(stream[: relay.bytes_sent])


@BOTH
def test_a_stream_between_two_events_ends_at_once(kind: str) -> None:
    for pieces in ([], [b"data: a\n\n"]):
        relay, recorder = make_either(kind)
        for piece in pieces:
            relay.piece_received(piece)
        relay.end_soon(Ending.ROUTE_REMOVED)
        assert recorder.log == ["abort", "break_body", "route_removed"]
        assert recorder.sent[:-1] == pieces


@pytest.mark.parametrize("last", [b"\n\n", b"x" * 50, b"x" * 25])
def test_the_first_of_two_reasons_to_end_counts(last: bytes) -> None:
    relay, recorder = make_stream(StreamPolicy(max_bytes=40, max_event_bytes=20))
    relay.piece_received(b"data: a")
    relay.end_soon(Ending.ROUTE_REMOVED)
    relay.end_soon(Ending.DRAIN)
    relay.piece_received(last)  # ends an event, or is too much for the stream, or for an event
    assert recorder.log == ["abort", "break_body", "route_removed"]


def test_an_upstream_that_ends_first_has_ended_the_stream() -> None:
    relay, recorder = make_stream()
    relay.piece_received(b"data: a")
    relay.end_soon(Ending.DRAIN)
    relay.response_ended()
    assert recorder.log == ["end_body", "complete"]


def test_a_stop_does_not_wait_for_a_boundary() -> None:
    relay, recorder = make_stream(CLEAN)
    relay.piece_received(b"data: a")
    relay.end_soon(Ending.DRAIN)
    relay.stop(Ending.KILLED)
    assert recorder.log == ["abort", "break_body", "killed"]


# A client that has left.


@BOTH
def test_nothing_is_written_for_a_client_that_has_left(kind: str) -> None:
    relay, recorder = make_either(kind, CLEAN)
    relay.piece_received(b"data: a\n\n")
    relay.detach()
    assert relay.untouched == "gone"
    assert not relay.keep_alive()
    relay.piece_received(b"data: b\n\n")
    relay.stop(Ending.DRAIN)
    assert recorder.sent == [b"data: a\n\n"]
    assert recorder.log == ["resume", "abort", "client_gone"]


@BOTH
def test_what_comes_for_a_client_that_has_left_is_life_of_the_upstream_but_not_counted(kind: str) -> None:
    relay, recorder = make_either(kind)
    recorder.read(relay, b"data: a\n\n", after_s=1)
    relay.detach()
    recorder.read(relay, b"data: b\n\n", after_s=1)
    recorder.read(relay, b": c\n\n", after_s=1)
    assert (relay.events, relay.bytes_sent, relay.last_event_at) == (1, 9, BEGIN + 2)
    relay.response_ended()
    assert (relay.events, relay.bytes_sent) == (1, 9)


@BOTH
def test_an_event_that_is_too_large_ends_an_upstream_that_finishes_for_nobody(kind: str) -> None:
    relay, recorder = make_either(kind, StreamPolicy(max_event_bytes=12))
    relay.detach()
    relay.piece_received(b"data: 0123456789\n\n")
    assert recorder.log == ["resume", "abort", "client_gone"]
    assert recorder.sent == []
