from __future__ import annotations

import pytest

from headgate.stream.keepalive import parse_keepalive
from headgate.wire.sse import Event, EventCounter, EventParser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comment", b":\n\n"),
        ("event:ping", b"event: ping\ndata: {}\n\n"),
        ("event: ping", b"event: ping\ndata: {}\n\n"),
        ("event:a b:c", b"event: a b:c\ndata: {}\n\n"),
        ("padded:8", b":     \n\n"),
        ("padded:0012", b":" + b" " * 9 + b"\n\n"),
    ],
)
def test_styles(text: str, expected: bytes) -> None:
    assert parse_keepalive(text) == expected


@pytest.mark.parametrize("size", [8, 2048, 65536])
def test_a_padded_comment_has_just_that_size_and_no_effect(size: int) -> None:
    padded = parse_keepalive(f"padded:{size}")
    assert len(padded) == size
    assert EventParser().feed(padded + b"data: a\n\n") == [Event("message", "a", "")]


@pytest.mark.parametrize("text", ["comment", "event:ping", "padded:9"])
def test_each_is_whole(text: str) -> None:
    counter = EventCounter()
    counter.feed(b"data: a\n\n")
    counter.feed(parse_keepalive(text))
    assert counter.at_boundary


def test_a_page_sees_the_event() -> None:
    assert EventParser().feed(parse_keepalive("event:ping")) == [Event("ping", "{}", "")]


@pytest.mark.parametrize(
    "text",
    [
        *("", "Comment", "comment ", "event", "event:", "event: ", "event:a\nb", "event:a\rb", "event:a\0b", "ping"),
        *(
            "padded",
            "padded:",
            "padded:7",
            "padded:0",
            "padded:65537",
            "padded:999999",
            "padded:-8",
            "padded:8.0",
            "padded:٨",
        ),
    ],
)
def test_refusals(text: str) -> None:
    message = r'^expected "comment", "event:NAME" or "padded:N" with N from 8 to 65536 bytes$'
    with pytest.raises(ValueError, match=message):
        parse_keepalive(text)
