"""What holds for every relay, whatever the body; ``stream`` and ``events`` have more in test files of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.stream.recorded import BEGIN, failure, give_chunk, make, make_bytes

from headgate.stream.ending import Ending
from headgate.stream.relay import Relay

KINDS = pytest.mark.parametrize("kind", ["bytes", "stream", "events"])
EVENTS = [b"data: a\n\n", b": c\n\ndata: b\n\ndata: c\n\n", b"data: d\n\n"]


# What goes through.


@KINDS
def test_one_piece_in_is_one_piece_out(kind: str) -> None:
    relay, recorder = make(kind)
    for piece in EVENTS:
        relay.piece_received(piece)
    assert recorder.sent == EVENTS
    assert relay.bytes_sent == len(b"".join(EVENTS))
    assert relay.events == {"bytes": 0, "stream": 4, "events": 4}[kind]
    assert relay.is_event_stream == (kind != "bytes")


@KINDS
def test_pieces_may_go_the_framing_s_own_way(kind: str) -> None:
    relay, recorder = make(kind)
    framed_pieces: list[bytes] = []
    relay.send_by(framed_pieces.append)
    relay.piece_received(b"data: a\n\ndata: b")
    relay.response_ended()
    assert b"".join(framed_pieces) == b"data: a\n\ndata: b"
    assert recorder.sent == []
    assert relay.bytes_sent == 16


@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_nothing_is_held_back(kind: str) -> None:
    relay, recorder = make(kind)
    for octet in b"data: a\n\ndata: b":
        relay.piece_received(bytes([octet]))
    assert len(recorder.sent) == 16
    assert relay.bytes_sent == 16


@KINDS
def test_an_empty_piece_is_not_sent(kind: str) -> None:
    relay, recorder = make(kind)
    relay.piece_received(b"")
    assert recorder.sent == []


def test_time_of_the_first_piece() -> None:
    relay, recorder = make_bytes()
    assert relay.first_piece_at == 0.0
    recorder.read(relay, b"a", after_s=1)
    recorder.read(relay, b"b", after_s=1)
    assert (relay.first_piece_at, relay.first_event_at, relay.last_event_at) == (BEGIN + 1, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_a_chunk_passes_as_it_came_where_the_client_is_sent_chunks_too(kind: str) -> None:
    relay, recorder = make(kind)
    relay.send_by(recorder.send_piece, recorder.pass_chunk)
    give_chunk(relay, b"data: x\n\n")
    assert (recorder.chunks, recorder.sent) == (1, [b"data: x\n\n"])
    assert relay.bytes_sent == 9
    assert relay.events == (1 if kind == "stream" else 0)
    assert relay.first_piece_at


@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_a_chunk_is_framed_anew_where_the_client_is_not_sent_chunks(kind: str) -> None:
    relay, recorder = make(kind)
    relay.send_by(recorder.send_piece, None)
    give_chunk(relay, b"data: x\n\n")
    assert (recorder.sent, recorder.chunks, relay.bytes_sent) == ([b"data: x\n\n"], 0, 9)


@KINDS
def test_a_chunk_goes_through_the_transforms_of_plugins(kind: str) -> None:
    relay, recorder = make(kind, lambda piece: piece + b": seen\n\n")
    relay.send_by(recorder.send_piece, recorder.pass_chunk)
    give_chunk(relay, b"data: x\n\n")
    assert (recorder.sent, recorder.chunks) == ([b"data: x\n\n: seen\n\n"], 0)


# Transforms.


@KINDS
def test_transforms_see_each_piece_one_after_the_other(kind: str) -> None:
    seen = []

    def note(piece: bytes) -> bytes:
        seen.append(piece)
        return piece.replace(b"a", b"bb")

    relay, recorder = make(kind, note, lambda piece: piece.replace(b"bb", b"ccc"))
    relay.piece_received(b"data: a\n\n")
    assert seen == [b"data: a\n\n"]
    # the first turns each a into bb, the second each bb into ccc: "data" has two, the value one
    assert recorder.sent == [b"dccctccc: ccc\n\n"]
    assert relay.bytes_sent == len(recorder.body)
    assert relay.changes_length


@KINDS
def test_a_piece_that_is_dropped_is_not_sent_or_counted(kind: str) -> None:
    relay, recorder = make(kind, lambda _: b"")
    relay.piece_received(b"data: a\n\n")
    relay.response_ended()
    assert (recorder.sent, relay.bytes_sent, relay.events) == ([], 0, 0)
    assert recorder.log == ["end_body", "complete"]


def test_only_what_may_change_a_body_changes_its_length() -> None:
    assert not make("bytes")[0].changes_length
    assert not make("stream")[0].changes_length
    assert make("events")[0].changes_length


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
    relay, recorder = make(kind)
    relay.piece_received(b"data: a\n\n")
    relay.upstream_failed(failure(code))
    assert recorder.log == ["break_body", ending]
    assert relay.ending is ending


@KINDS
def test_a_response_that_ends_ends_the_client_s_body(kind: str) -> None:
    relay, recorder = make(kind)
    relay.response_ended()
    assert recorder.log == ["end_body", "complete"]
    assert relay.ending is Ending.COMPLETE


@KINDS
@pytest.mark.parametrize("ending", [Ending.DRAIN, Ending.KILLED, Ending.MAX_BYTES, Ending.CLIENT_STALLED])
def test_a_stop_closes_the_upstream_and_breaks_the_client_s_body(kind: str, ending: Ending) -> None:
    relay, recorder = make(kind)
    relay.stop(ending)
    assert recorder.log == ["abort", "break_body", ending]


@KINDS
def test_nothing_is_sent_to_a_client_that_is_gone(kind: str) -> None:
    relay, recorder = make(kind)
    relay.piece_received(b"data: a\n\ndata: b")
    sent = list(recorder.sent)
    relay.stop(Ending.CLIENT_GONE)
    assert recorder.log == ["abort", "client_gone"]
    assert recorder.sent == sent


def end_in_all_ways(relay: Relay) -> None:
    relay.response_ended()
    relay.upstream_failed(failure("upstream_eof"))
    relay.stop(Ending.KILLED)
    relay.end_soon(Ending.DRAIN)
    relay.stop(Ending.CLIENT_GONE)


@KINDS
@pytest.mark.parametrize(
    ("first", "log"),
    [
        (lambda relay: relay.response_ended(), ["end_body", "complete"]),
        (lambda relay: relay.upstream_failed(failure("upstream_eof")), ["break_body", "upstream_eof"]),
        (lambda relay: relay.stop(Ending.KILLED), ["abort", "break_body", "killed"]),
        (lambda relay: relay.stop(Ending.CLIENT_GONE), ["abort", "client_gone"]),
    ],
)
def test_there_is_exactly_one_ending(kind: str, first: Callable[[Relay], None], log: list[str]) -> None:
    relay, recorder = make(kind)
    relay.piece_received(b"data: a\n\ndata: b")
    first(relay)
    sent = list(recorder.sent)
    end_in_all_ways(relay)
    assert recorder.log == log
    assert recorder.sent == sent


def test_a_body_without_events_may_end_anywhere() -> None:
    relay, recorder = make_bytes()
    relay.piece_received(b"half a li")
    assert relay.at_boundary
    relay.end_soon(Ending.DRAIN)
    assert recorder.log == ["abort", "break_body", "drain"]
    assert recorder.sent == [b"half a li"]


# Back-pressure.


@KINDS
def test_a_blocked_client_pauses_the_upstream(kind: str) -> None:
    relay, recorder = make(kind)
    relay.client_blocked()
    relay.client_ready()
    assert recorder.log == ["pause", "resume"]


@KINDS
def test_time_that_the_client_blocks_is_added_up(kind: str) -> None:
    relay, recorder = make(kind)
    for _ in range(2):
        relay.client_blocked()
        assert relay.blocked_since == recorder.loop.now
        recorder.loop.pass_s(3)
        relay.client_ready()
        assert relay.blocked_since == 0.0
        recorder.loop.pass_s(5)
    assert relay.blocked_s == 6.0
    relay.client_blocked()
    recorder.loop.pass_s(1)
    relay.stop(Ending.CLIENT_STALLED)
    assert relay.blocked_s == 7.0


@KINDS
@pytest.mark.parametrize("ending", [Ending.COMPLETE, Ending.UPSTREAM_EOF, Ending.DRAIN])
def test_the_source_is_left_alone_once_the_relay_has_ended(kind: str, ending: Ending) -> None:
    relay, recorder = make(kind)
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


@KINDS
def test_a_transform_that_raises_ends_the_relay(kind: str) -> None:
    def fail(_: bytes) -> bytes:
        raise ValueError("a defect")

    relay, recorder = make(kind, fail)
    with pytest.raises(ValueError, match="a defect"):
        relay.piece_received(b"data: a\n\n")
    assert recorder.log == ["abort", "break_body", "gateway_error"]
    assert recorder.sent == []


@KINDS
def test_nothing_is_sent_once_a_plugin_has_ended_the_exchange(kind: str) -> None:
    def stop(piece: bytes) -> bytes:
        relay.stop(Ending.KILLED)
        return piece

    relay, recorder = make(kind, stop)
    relay.piece_received(b"data: a\n\n")
    assert (recorder.sent, relay.bytes_sent) == ([], 0)
    assert recorder.log == ["abort", "break_body", "killed"]


# A client that has left while the upstream may finish.


@KINDS
@pytest.mark.parametrize("sent", [b"", b"data: a\n\n", b"data: a\n\ndata: b"])
def test_an_upstream_that_may_finish_is_heard_to_its_end(kind: str, sent: bytes) -> None:
    relay, recorder = make(kind)
    relay.piece_received(sent)
    before, count = list(recorder.sent), relay.bytes_sent
    relay.detach()
    relay.piece_received(b"x\n\ndata: c\n\ndata: d")
    give_chunk(relay, b"\n\n")
    assert recorder.log == ["resume"]
    relay.response_ended()
    assert relay.ending is Ending.CLIENT_GONE
    assert recorder.log == ["resume", "client_gone"]
    assert (recorder.sent, relay.bytes_sent) == (before, count)


@KINDS
def test_chunks_that_passed_as_they_came_do_so_no_longer_when_the_client_has_left(kind: str) -> None:
    relay, recorder = make(kind)
    relay.send_by(recorder.send_piece, recorder.pass_chunk)
    relay.detach()
    give_chunk(relay, b"data: a\n\n")
    assert (recorder.sent, recorder.chunks, relay.bytes_sent) == ([], 0, 0)


@KINDS
def test_a_client_that_left_while_it_blocked_holds_the_upstream_up_no_longer(kind: str) -> None:
    relay, recorder = make(kind)
    relay.client_blocked()
    recorder.loop.pass_s(2)
    relay.detach()
    relay.client_blocked()
    assert recorder.log == ["pause", "resume"]
    assert (relay.blocked_since, relay.blocked_s) == (0.0, 2.0)


@KINDS
def test_an_upstream_that_finishes_for_nobody_is_not_told_to_end_soon(kind: str) -> None:
    relay, recorder = make(kind)
    relay.piece_received(b"data: a\n\n")
    relay.detach()
    relay.end_soon(Ending.DRAIN)
    relay.piece_received(b"data: b\n\n")
    assert recorder.log == ["resume"]
    relay.stop(Ending.DRAIN)  # the end of the time that it has
    assert recorder.log == ["resume", "abort", "client_gone"]


@KINDS
def test_an_upstream_that_breaks_after_the_client_has_left_was_left_by_it(kind: str) -> None:
    relay, recorder = make(kind)
    relay.detach()
    relay.upstream_failed(failure("upstream_reset"))
    assert recorder.log == ["resume", "client_gone"]


@KINDS
def test_a_client_that_leaves_after_the_end_changes_nothing(kind: str) -> None:
    relay, recorder = make(kind)
    relay.response_ended()
    relay.detach()
    assert recorder.log == ["end_body", "complete"]
    assert relay.ending is Ending.COMPLETE
