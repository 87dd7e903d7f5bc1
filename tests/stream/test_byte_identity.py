"""Any stream, cut anywhere, with keep-alives and lookers at any time: the upstream's bytes and events stay what they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.cut_streams import cut_streams
from tests.stream.recorded import Looker, Recorder, give_chunk, make_either, make_stream, parsed, stands_between_blocks

from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay
from headgate.stream.policy import COMMENT, Close, StreamPolicy
from headgate.stream.terminal_event import TerminalEvent
from headgate.wire.sse import BOM, EventParser

BOTH = pytest.mark.parametrize("kind", ["stream", "events"])
UNTOUCHED = ["encoded", "sized", "head", "status", "type", "gone"]
PING = b"event: ping\ndata: {}\n\n"
CLEAN = StreamPolicy(terminal_event=TerminalEvent("event: error\ndata: $ending"), close=Close.CLEAN)
STARTS = (b"", BOM, BOM[:1], BOM[:2], BOM + BOM, b"\n", b"\r\n")


class Script:
    """One stream's way through a relay: pieces, and between them what may happen at any time.

    ``upstream`` is what came through of the upstream's bytes, ``own`` what headgate wrote between them.
    """

    def __init__(self, relay: EventStreamRelay, recorder: Recorder) -> None:
        self.relay = relay
        self.recorder = recorder
        self.lookers: list[tuple[Looker, int, int | None]] = []
        self.own: list[bytes] = []
        self.upstream: list[bytes] = []
        self.kept_alive = 0
        self._seen = 0
        self._take(self.own)  # what came with the head

    def _take(self, into: list[bytes]) -> None:
        into += self.recorder.sent[self._seen :]
        self._seen = len(self.recorder.sent)

    @property
    def passed(self) -> bytes:
        return b"".join(self.upstream)

    def step(self, action: str, piece: bytes) -> None:
        match action:
            case "keep alive":
                self.keep_alive()
            case "look":
                looker = Looker()
                self.relay.add_tap(looker)
                self.lookers.append((looker, len(self.passed), None))
            case "look away" if self.lookers and self.lookers[-1][2] is None:
                looker, begin, _ = self.lookers.pop()
                self.relay.remove_tap(looker)
                self.lookers.insert(0, (looker, begin, len(self.passed)))
            case "chunk":
                give_chunk(self.relay, piece)
                self._take(self.upstream)
                return
        self.relay.piece_received(piece)
        self._take(self.upstream)

    def keep_alive(self) -> None:
        before = b"\n" * bool(self.own) + self.passed  # behind an early comment a BOM is none
        did = self.relay.keep_alive()
        self.kept_alive += did
        assert did == stands_between_blocks(before)
        self._take(self.own)

    def end(self) -> None:
        self.keep_alive()
        self.relay.response_ended()
        self._take(self.upstream)


ACTIONS = st.lists(st.sampled_from(["keep alive", "look", "look away", "chunk", "piece"]), min_size=10, max_size=10)


def follow(script: Script, pieces: list[bytes], actions: list[str]) -> None:
    for piece, action in zip(pieces, actions, strict=False):
        script.step(action, piece)
    script.end()


@BOTH
@settings(deadline=None)
@given(cut_streams(starts=STARTS), ACTIONS, st.sampled_from([COMMENT, PING]))
def test_without_what_headgate_wrote_the_stream_is_the_upstream_s(
    kind: str, pieces: list[bytes], actions: list[str], keepalive: bytes
) -> None:
    relay, recorder = make_either(kind, StreamPolicy(keepalive=keepalive))
    if kind == "stream":
        relay.send_by(recorder.send_piece, recorder.pass_chunk)
    script = Script(relay, recorder)
    follow(script, pieces, actions)
    stream = b"".join(pieces)
    assert script.passed == stream
    assert relay.bytes_sent == len(stream)
    assert relay.events == len(EventParser().feed(stream))
    events = parsed(recorder.sent)
    assert [event for event in events if event.type != "ping"] == EventParser().feed(stream)
    assert sum(event.type == "ping" for event in events) == (script.kept_alive if keepalive == PING else 0)
    assert relay.keepalives == script.kept_alive == len(script.own)
    for looker, begin, end in script.lookers:
        assert looker.body == stream[begin:end]
        assert looker.endings == ([Ending.COMPLETE] if end is None else [])


@BOTH
@settings(deadline=None)
@given(cut_streams(starts=STARTS), ACTIONS)
def test_an_early_keep_alive_comes_first_and_only_a_bom_is_lost(
    kind: str, pieces: list[bytes], actions: list[str]
) -> None:
    relay, recorder = make_either(kind, StreamPolicy(early=True))
    if kind == "stream":
        relay, recorder = make_stream(StreamPolicy(early=True), is_chunked=True)
    script = Script(relay, recorder)
    assert recorder.sent == [COMMENT]
    follow(script, pieces, actions)
    stream = b"".join(pieces)
    assert script.passed == stream.removeprefix(BOM)
    assert relay.bytes_sent == len(stream.removeprefix(BOM))
    assert parsed(recorder.sent) == EventParser().feed(stream)
    assert relay.events == len(EventParser().feed(stream))
    assert relay.keepalives == len(script.own)
    for looker, begin, end in script.lookers:
        assert looker.body == script.passed[begin:end]


@BOTH
@pytest.mark.parametrize("untouched", UNTOUCHED)
@settings(deadline=None, max_examples=30)
@given(cut_streams(starts=STARTS), st.sampled_from(Ending))
def test_nothing_of_headgate_s_own_is_written_where_that_may_not_be(
    kind: str, untouched: str, pieces: list[bytes], ending: Ending
) -> None:
    policy = replace(CLEAN, early=True)
    relay, recorder = make_either(kind, policy, untouched=untouched)
    for piece in pieces:
        assert not relay.keep_alive()
        relay.piece_received(piece)
    assert not relay.keep_alive()
    relay.stop(ending)
    assert b"".join(pieces).startswith(recorder.body)
    if kind == "stream":
        assert recorder.body == b"".join(pieces)
    assert relay.keepalives == 0
