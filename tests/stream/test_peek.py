"""Looking into a stream before its head goes on: what is decided, when, and that it is decided once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.recorded import BEGIN, Recorder, failure, give_chunk

from headgate.errors import GatewayError
from headgate.stream.peek import Peek, Verdict
from headgate.stream.peek_rules import PeekRule, PeekRules
from headgate.wire.sse import BOM, RawEvent

ERROR = PeekRule(event=b"error")
OVERLOADED = PeekRule(path=("error", "code"), values=("overloaded",))
EMPTY = PeekRule(empty=True)
RULES = PeekRules(timeout_s=5, max_bytes=1000, skip=frozenset({b"ping"}), rules=(ERROR, OVERLOADED))
WITH_EMPTY = replace(RULES, rules=(ERROR, OVERLOADED, EMPTY))
SKIPPED = b": hello\n\nretry: 5\n\nid: 3\n\nevent: error\n\nevent: ping\ndata: {}\n\n"


class Taker:
    """Whoever takes the body after the peek; ``log`` is its owner's."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    def response_ended(self) -> None:
        self.log.append("ended")

    def upstream_failed(self, error: GatewayError) -> None:
        self.log.append(error.code)


class Held:
    """Whoever holds the head back; ``log`` has what it was told and what the taker was told after it, in order."""

    def __init__(self, rules: PeekRules = RULES) -> None:
        self.recorder = Recorder()
        self.log: list[object] = []
        self.peek = Peek(rules, self, self.recorder.wheel, now=BEGIN)

    def peek_passed(self, verdict: Verdict, held: bytes) -> None:
        assert self.peek.is_decided
        self.log.append((verdict, held))
        self.peek.next_taker = Taker(self.log)

    def peek_matched(self, rule: PeekRule, event: RawEvent | None) -> None:
        assert self.peek.is_decided
        self.log.append((rule, None if event is None else event.data))

    def feed(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self.peek.piece_received(piece)


def bytewise(stream: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in stream]


# The first meaningful event.


@pytest.mark.parametrize(
    ("event", "rule", "data"),
    [
        (b"event: error\ndata: x\n\n", ERROR, b"x"),
        (b'data: {"error":{"code":"overloaded"}}\n\n', OVERLOADED, b'{"error":{"code":"overloaded"}}'),
        (b'event: error\r\ndata: {"error":{"code":"overloaded"}}\r\n\r\n', ERROR, b'{"error":{"code":"overloaded"}}'),
        (b'data: {"error":\ndata: {"code":"overloaded"}}\n\n', OVERLOADED, b'{"error":\n{"code":"overloaded"}}'),
    ],
)
@pytest.mark.parametrize("before", [b"", SKIPPED, BOM, BOM + SKIPPED, b"\n\n"])
@pytest.mark.parametrize("behind", [b"", b"data: more\n\n", b"event: error\ndata: y\n\n"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_the_first_meaningful_event_decides(
    event: bytes, rule: PeekRule, data: bytes, before: bytes, behind: bytes, is_cut: bool
) -> None:
    held = Held()
    stream = before + event + behind
    held.feed(bytewise(stream) if is_cut else [stream])
    assert held.log == [(rule, data)]


@pytest.mark.parametrize("event", [b"data: fine\n\n", b"event: errors\ndata: x\n\n", b'data: {"error":null}\n\n'])
@pytest.mark.parametrize("before", [b"", SKIPPED])
def test_a_first_event_that_matches_no_rule_lets_all_pass_that_was_held(event: bytes, before: bytes) -> None:
    held = Held()
    held.feed(bytewise(before + event))
    assert held.log == [(Verdict.PASSED, before + event)]
    whole = Held()
    whole.feed([before + event + b"event: error\ndata: x\n\nda"])
    assert whole.log == [(Verdict.PASSED, before + event + b"event: error\ndata: x\n\nda")]


@pytest.mark.parametrize("stream", [b"", SKIPPED, b"event: error\ndata: x\n", BOM, b"data: fine\n"])
def test_nothing_is_decided_before_an_event_is_whole(stream: bytes) -> None:
    held = Held()
    held.feed([stream])
    assert held.log == []
    assert not held.peek.is_decided


def test_chunks_are_looked_into_too() -> None:
    held = Held()
    for piece in (b"event: er", b"ror\ndata: x\n\n"):
        give_chunk(held.peek, piece)
    assert held.log == [(ERROR, b"x")]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([SKIPPED, b"event: error\ndata: x\n\n", b"data: fine\n\n", b":\r\n\r\n", b"data: \r\r"])),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_the_decision_does_not_depend_on_the_cuts(blocks: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(blocks)
    whole, cut = Held(WITH_EMPTY), Held(WITH_EMPTY)
    whole.feed([stream])
    at = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[begin:end] for begin, end in zip([0, *at], [*at, len(stream)], strict=True)]
    for number, piece in enumerate(pieces):
        cut.feed([piece])
        if cut.log:
            rest = b"".join(pieces[number + 1 :])  # goes to whoever takes the body now
            assert [(entry[0], entry[1] + rest) if entry[0] is Verdict.PASSED else entry for entry in _pairs(cut)] == (
                whole.log
            )
            return
    assert whole.log == []


def _pairs(held: Held) -> list[tuple[object, bytes]]:
    return [entry for entry in held.log if isinstance(entry, tuple)]


# Time and size.


def test_a_slow_start_passes_when_its_time_is_over() -> None:
    held = Held()
    held.feed([SKIPPED])
    held.recorder.loop.pass_s(4.999)
    assert held.log == []
    held.recorder.loop.pass_s(0.1)
    assert held.log == [(Verdict.TIMEOUT, SKIPPED)]
    assert len(held.recorder.wheel) == 0


def test_a_stream_that_sends_nothing_passes_when_its_time_is_over() -> None:
    held = Held(WITH_EMPTY)
    held.recorder.loop.pass_s(5.1)
    assert held.log == [(Verdict.TIMEOUT, b"")]


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_start_that_is_too_large_passes(is_cut: bool) -> None:
    stream = b": " + b"x" * 996 + b"\n\n"
    for size, verdicts in ((999, []), (1000, [(Verdict.TOO_LARGE, stream)])):
        held = Held()
        held.feed(bytewise(stream[:size]) if is_cut else [stream[:size]])
        assert held.log == verdicts


def test_an_event_larger_than_what_is_held_is_not_read() -> None:
    held = Held()
    stream = b"event: error\ndata: " + b"x" * 1000 + b"\n\n"
    held.feed([stream])
    assert held.log == [(Verdict.TOO_LARGE, stream)]


def test_an_event_that_is_whole_counts_though_it_came_with_too_much() -> None:
    held = Held()
    held.feed([b"event: error\ndata: x\n\n" + b"x" * 2000])
    assert held.log == [(ERROR, b"x")]


# The end.


@pytest.mark.parametrize("stream", [b"", SKIPPED, b"event: error\ndata: x\n"])
@pytest.mark.parametrize("code", [None, "upstream_eof", "upstream_reset"])
def test_a_stream_that_ended_before_any_event_is_empty(stream: bytes, code: str | None) -> None:
    for rules, log in (
        (WITH_EMPTY, [(EMPTY, None)]),
        (RULES, [(Verdict.PASSED, stream), code or "ended"]),
    ):
        held = Held(rules)
        held.feed([stream])
        if code is None:
            held.peek.response_ended()
        else:
            held.peek.upstream_failed(failure(code))
        assert held.log == log
        assert len(held.recorder.wheel) == 0


def test_an_end_that_comes_with_the_event_that_passed_is_told_on() -> None:
    held = Held(WITH_EMPTY)
    held.feed([b"data: fine\n\n"])
    held.peek.response_ended()
    assert held.log == [(Verdict.PASSED, b"data: fine\n\n"), "ended"]


def test_an_end_behind_a_match_is_told_to_nobody() -> None:
    for code in (None, "upstream_reset"):
        held = Held(WITH_EMPTY)
        held.feed([b"event: error\ndata: x\n\n"])
        if code is None:
            held.peek.response_ended()
        else:
            held.peek.upstream_failed(failure(code))
        assert held.log == [(ERROR, b"x")]


# Once.


def decide_in_all_ways(held: Held) -> None:
    held.feed([b"event: error\ndata: y\n\n", b"data: fine\n\n", b"x" * 2000])
    held.recorder.loop.pass_s(100)
    held.peek.stop()


@pytest.mark.parametrize(
    ("first", "log"),
    [
        (b"event: error\ndata: x\n\n", [(ERROR, b"x")]),
        (b"data: fine\n\n", [(Verdict.PASSED, b"data: fine\n\n")]),
        (b"x" * 1000, [(Verdict.TOO_LARGE, b"x" * 1000)]),
        (b"data: fine\n\nevent: error\ndata: x\n\n", [(Verdict.PASSED, b"data: fine\n\nevent: error\ndata: x\n\n")]),
    ],
)
def test_it_is_decided_exactly_once(first: bytes, log: list[object]) -> None:
    held = Held(WITH_EMPTY)
    held.feed([first])
    assert held.peek.is_decided
    assert len(held.recorder.wheel) == 0
    decide_in_all_ways(held)
    assert held.log == log


def test_after_its_time_nothing_else_is_decided() -> None:
    held = Held(WITH_EMPTY)
    held.recorder.loop.pass_s(6)
    decide_in_all_ways(held)
    assert held.log == [(Verdict.TIMEOUT, b"")]


def test_a_peek_that_is_stopped_decides_nothing() -> None:
    held = Held(WITH_EMPTY)
    held.feed([SKIPPED])
    held.peek.stop()
    assert len(held.recorder.wheel) == 0
    decide_in_all_ways(held)
    held.peek.response_ended()
    held.peek.upstream_failed(failure("upstream_reset"))
    assert held.log == []
