from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.stream.end_marker import MAX_MARKER_BYTES, EndMarker, EndMarkerWatch
from headgate.wire.sse import EventCounter, EventCutter, RawEvent

DONE = EndMarker.parse("data: [DONE]")
STOP = EndMarker.parse("event: message_stop")


def seen(marker: EndMarker, *pieces: bytes) -> bool:
    """Watch a stream as a relay does, piece by piece."""
    watch, counter = EndMarkerWatch(marker), EventCounter()
    for piece in pieces:
        counter.feed(piece)
        watch.feed(piece, ends_whole=counter.at_boundary)
    return watch.seen


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        ("data: [DONE]", EndMarker("data", b"[DONE]")),
        ("data:[DONE]", EndMarker("data", b"[DONE]")),
        ("data:  two spaces", EndMarker("data", b" two spaces")),
        ("data: a: b", EndMarker("data", b"a: b")),
        ("event: message_stop", EndMarker("event", b"message_stop")),
        ("data: fertig ✓", EndMarker("data", "fertig ✓".encode())),
        ("data: message", EndMarker("data", b"message")),
    ],
)
def test_a_marker_is_written_as_it_stands_in_the_stream(text: str, marker: EndMarker) -> None:
    assert EndMarker.parse(text) == marker


@pytest.mark.parametrize(
    "text",
    [
        "",
        "any_eof",
        "[DONE]",
        "data",
        "data:",
        "data: ",
        "id: 1",
        "Data: x",
        " data: x",
        "data: a\nb",
        "data: a\r",
        ": x",
    ],
)
def test_what_is_no_marker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'^expected "any_eof", "data: VALUE" or "event: VALUE" on one line$'):
        EndMarker.parse(text)


def test_a_marker_that_every_plain_event_is_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^every event without a type of its own is a message"):
        EndMarker.parse("event: message")


@pytest.mark.parametrize(
    ("marker", "stream", "expected"),
    [
        (DONE, b"data: a\n\ndata: [DONE]\n\n", True),
        (DONE, b"data:[DONE]\r\n\r\n", True),
        (DONE, b"data: [DONE]\r\r", True),
        (DONE, b"\xef\xbb\xbfdata: [DONE]\n\n", True),
        (DONE, b"id: 7\nevent: end\ndata: [DONE]\n\n", True),
        (DONE, b"data: [DONE]\n\n: bye\n\ndata: more\n\n", True),
        (DONE, b"data: say [DONE] now\n\n", False),
        (DONE, b"data: [DONE] \n\n", False),
        (DONE, b"data: [DONE]\ndata: b\n\n", False),
        (DONE, b": [DONE]\n\n", False),
        (DONE, b"event: [DONE]\ndata: x\n\n", False),
        (DONE, b"", False),
        (STOP, b"event: message_stop\ndata: {}\n\n", True),
        (STOP, b"event: message_stop\n\n", True),
        (STOP, b"event: message_stopped\ndata: {}\n\n", False),
        (STOP, b"data: message_stop\n\n", False),
        (STOP, b"event: message_stop\nevent: ping\ndata: {}\n\n", False),
    ],
)
def test_the_marker_is_an_event_and_not_its_bytes(marker: EndMarker, stream: bytes, expected: bool) -> None:
    assert seen(marker, stream) is expected
    assert seen(marker, *(stream[at : at + 1] for at in range(len(stream)))) is expected
    assert seen(marker, b": first\n\n", stream) is (expected and not stream.startswith(b"\xef"))


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"data: [DONE]", True),
        (b"data: [DONE]\n", True),
        (b"data: [DONE]\r", True),
        (b"id: 1\r\ndata: [DONE]\r\n", True),
        (b"data: [DONE", False),
        (b"data: [DONE]\ndata: ", False),
        (b": [DONE]", False),
    ],
)
def test_a_last_block_without_its_blank_line_counts(rest: bytes, expected: bool) -> None:
    assert seen(DONE, rest) is expected
    assert seen(DONE, b"data: a\n\n", rest) is expected


def test_what_has_not_ended_is_not_seen_for_good() -> None:
    watch = EndMarkerWatch(DONE)
    watch.feed(b"data: [DONE]", ends_whole=False)
    assert watch.seen
    watch.feed(b" is what it says\n\n", ends_whole=True)
    assert not watch.seen


def test_no_more_than_a_bound_is_held_of_an_endless_event() -> None:
    watch = EndMarkerWatch(DONE)
    for _ in range(64):
        watch.feed(b"data: " + b"x" * 4096, ends_whole=False)
        assert len(watch._cutter.rest()) <= MAX_MARKER_BYTES
    watch.feed(b"\n\ndata: [DONE]\n\n", ends_whole=True)
    assert watch.seen


LINES = st.sampled_from(
    [b"data: [DONE]", b"data: x", b"data:[DONE]", b"event: message_stop", b": [DONE]", b"", b"id: 1"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])


@given(
    st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=12),
    st.lists(st.integers(0, 80)),
    st.sampled_from([DONE, STOP]),
)
def test_the_cuts_change_nothing(lines: list[bytes], cuts: list[int], marker: EndMarker) -> None:
    stream = b"".join(lines)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[begin:end] for begin, end in pairwise(bounds)]
    whole: list[RawEvent] = EventCutter().feed(stream + b"\n\n")
    assert seen(marker, *pieces) == any(marker.matches(event) for event in whole)
