from __future__ import annotations

import pytest
from tests.stream.recorded import Recorder, give_chunk

from headgate.stream.ending import Ending
from headgate.stream.lines_relay import LinesRelay


def make_lines() -> tuple[LinesRelay, Recorder]:
    recorder = Recorder()
    relay = LinesRelay(recorder, recorder, clock=recorder.clock, on_end=recorder.ended)
    relay.send_by(recorder.send_piece, recorder.pass_chunk)
    return relay, recorder


def test_a_stream_of_lines_that_stands_between_two_ends_at_once() -> None:
    relay, recorder = make_lines()
    relay.piece_received(b'{"a":1}\n')
    relay.end_soon(Ending.DRAIN)
    assert relay.ending is Ending.DRAIN
    assert recorder.sent == [b'{"a":1}\n']


def test_one_without_a_line_yet_ends_at_once() -> None:
    relay, _ = make_lines()
    relay.end_soon(Ending.DRAIN)
    assert relay.ending is Ending.DRAIN


@pytest.mark.parametrize("is_chunk", [False, True])
def test_one_within_a_line_ends_with_it(*, is_chunk: bool) -> None:
    relay, recorder = make_lines()
    for piece in (b'{"a":1}\n{"b"', b":2", b"}\n"):
        assert relay.ending is None
        if is_chunk:
            give_chunk(relay, piece)
        else:
            relay.piece_received(piece)
        relay.end_soon(Ending.DRAIN)
    assert relay.ending is Ending.DRAIN
    assert b"".join(recorder.sent) == b'{"a":1}\n{"b":2}\n'
    assert recorder.chunks == (3 if is_chunk else 0)
