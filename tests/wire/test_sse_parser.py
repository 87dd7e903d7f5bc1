"""The parser against the cases of WHATWG HTML §9.2.6 and of the web platform's eventsource format tests."""

from __future__ import annotations

import pytest

from headgate.wire.sse import Event, EventParser


def message(data: str, last_event_id: str = "") -> Event:
    return Event("message", data, last_event_id)


STREAMS = [
    # the standard's own examples
    ("spec stocks", b"data: YHOO\ndata: +2\ndata: 10\n\n", [message("YHOO\n+2\n10")]),
    (
        "spec ids",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [message("first event", "1"), message("second event"), message(" third event")],
    ),
    ("spec empty data", b"data\n\ndata\ndata\n\ndata:", [message(""), message("\n")]),
    ("spec one space", b"data:test\n\ndata: test\n\n", [message("test"), message("test")]),
    # byte order mark
    ("bom", b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", [message("1"), message("3")]),
    ("two boms", b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n", [message("2")]),
    ("bom then blank line", b"\xef\xbb\xbf\ndata:1\n\n", [message("1")]),
    ("half a bom", b"\xef\xbbdata:1\n\ndata:2\n\n", [message("2")]),
    # line ends and comments
    ("comments", b"data:1\r:\0\n:\r\ndata:2\n:" + b"c" * 2048 + b"\rdata:3\n:data:no\r\n\n", [message("1\n2\n3")]),
    ("mixed line ends", b"data:a\r\ndata\ndata:b\r\n\r", [message("a\n\nb")]),
    ("cr only", b"data:a\r\rdata:b\r\r", [message("a"), message("b")]),
    ("lf then cr", b"data:a\n\rdata:b\n\n", [message("a"), message("b")]),
    ("crlf is one end", b"data:a\r\ndata:b\r\n\r\n", [message("a\nb")]),
    ("no other line ends", "data:a\x0bb\x0cc\x85d\u2028e\n\n".encode(), [message("a\x0bb\x0cc\x85d\u2028e")]),
    ("blank lines", b"\n\r\r\n\ndata:a\n\n\n\n", [message("a")]),
    # fields
    ("leading space", b"data:\ta\rdata: \ndata:  b\n\n", [message("\ta\n\n b")]),
    (
        "names to the letter",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r data:32\n data\n\n",
        [message("\0\n 2\n1\n3")],
    ),
    ("unknown fields", b"data:a\nfoobar:x\njust text\n:c\ndata:b\n\n", [message("a\nb")]),
    ("only NUL", b"data:\0\n\n\n\n", [message("\0")]),
    ("colon in value", b"data::a: b\n\n", [message(":a: b")]),
    ("utf-8", "data:ok… é 😀\n\n".encode(), [message("ok… é 😀")]),
    ("bad utf-8", b"data:a\xff\xe2\x82\ndata:\xf0\x9f\n\n", [message("a\ufffd\ufffd\n\ufffd")]),
    ("event", b"event:a\ndata:x\n\ndata:x\n\n", [Event("a", "x", ""), message("x")]),
    ("last event wins", b"event:a\nevent: b\ndata:x\n\n", [Event("b", "x", "")]),
    ("empty event", b"event:a\nevent: \ndata:x\n\n", [message("x")]),
    ("event without data", b"event:a\n\ndata:x\n\n", [message("x")]),
    # ids
    ("id stays", b"id:1\ndata:a\n\ndata:b\n\n", [message("a", "1"), message("b", "1")]),
    ("id without data", b"id:1\n\ndata:b\n\n", [message("b", "1")]),
    ("id resets", b"id:1\ndata:a\n\nid\ndata:b\n\n", [message("a", "1"), message("b")]),
    ("id with NUL", b"id:1\ndata:a\n\nid:2\0\ndata:b\n\n", [message("a", "1"), message("b", "1")]),
    ("id in utf-8", "id:…é\ndata:a\n\n".encode(), [message("a", "…é")]),
    # the end
    ("unfinished block", b"data:a\n\nid:9\ndata:b\n", [message("a")]),
    ("nothing", b"", []),
]


@pytest.mark.parametrize(("stream", "events"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS])
def test_stream_gives_the_events_of_the_standard(stream: bytes, events: list[Event]) -> None:
    assert EventParser().feed(stream) == events


@pytest.mark.parametrize(("stream", "events"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS])
def test_stream_gives_the_same_events_byte_by_byte(stream: bytes, events: list[Event]) -> None:
    parser = EventParser()
    assert [event for octet in stream for event in parser.feed(bytes([octet]))] == events


@pytest.mark.parametrize(
    ("stream", "reconnection_time_ms"),
    [
        (b"retry:3000\n", 3000),
        (b"retry: 03\n", 3),
        (b"retry:0\n", 0),
        (b"retry:" + b"0" * 5000 + b"7\n", 7),
        (b"retry:" + b"9" * 5000 + b"\n", 10**15),
        (b"retry:1000\nretry:2000x\n", 1000),
        (b"retry:1000\nretry\n", 1000),
        (b"retry:1000\nretry:\n", 1000),
        (b"retry:1000\nretry:  5\n", 1000),
        (b"retry:+5\n", None),
        (b"retry:-5\n", None),
        (b"retry:5.0\n", None),
        ("retry:\u0665\n".encode(), None),
        (b"Retry:5\n", None),
        (b"retry:5", None),
    ],
)
def test_retry_is_taken_only_if_all_digits(stream: bytes, reconnection_time_ms: int | None) -> None:
    parser = EventParser()
    assert parser.feed(stream) == []
    assert parser.reconnection_time_ms == reconnection_time_ms


def test_cr_at_the_end_of_a_piece_dispatches_at_once_and_its_lf_is_not_a_line() -> None:
    parser = EventParser()
    assert parser.feed(b"data:a\r\n\r") == [message("a")]
    assert parser.feed(b"\ndata:b\r") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\r") == [message("b")]


def test_last_event_id_is_that_of_the_last_blank_line() -> None:
    parser = EventParser()
    parser.feed(b"id:1\ndata:a\n\nid:2\ndata:b\n")
    assert parser.last_event_id == "1"
    parser.feed(b"\n")
    assert parser.last_event_id == "2"
