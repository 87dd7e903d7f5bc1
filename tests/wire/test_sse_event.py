from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.wire.sse import Event, EventParser, RawEvent, encode_event


def test_raw_event_reads_its_fields() -> None:
    raw = RawEvent(b": c\r\nevent: a\rdata: x\ndata:y\nid: 7\nretry: 20\nretry: no\n\n")
    assert (raw.type, raw.data, raw.id, raw.retry_ms) == (b"a", b"x\ny", b"7", 20)
    assert raw.is_event
    assert not raw.is_comment_only


@pytest.mark.parametrize(
    ("block", "event_type", "data", "event_id", "is_event", "is_comment_only"),
    [
        (b"data\n\n", b"message", b"", None, True, False),
        (b"event:\ndata:x\n\n", b"message", b"x", None, True, False),
        (b"id\ndata:x\n\n", b"message", b"x", b"", True, False),
        (b"id:1\nid:2\0\n\n", b"message", b"", b"1", False, False),
        (b"id:2\0\n\n", b"message", b"", None, False, True),
        (b"event:a\n\n", b"a", b"", None, False, False),
        (b"retry:5\n\n", b"message", b"", None, False, False),
        (b"retry:x\n\n", b"message", b"", None, False, True),
        (b": keep-alive\n\n", b"message", b"", None, False, True),
        (b"Data: x\n\n", b"message", b"", None, False, True),
        (b"\n", b"message", b"", None, False, True),
        (b"data:\xff\0\n\n", b"message", b"\xff\0", None, True, False),
    ],
)
def test_raw_event_says_what_a_client_would_make_of_it(
    block: bytes, event_type: bytes, data: bytes, event_id: bytes | None, is_event: bool, is_comment_only: bool
) -> None:
    raw = RawEvent(block)
    assert (raw.type, raw.data, raw.id) == (event_type, data, event_id)
    assert (raw.is_event, raw.is_comment_only) == (is_event, is_comment_only)


def test_fragment_says_nothing_of_fields() -> None:
    fragment = RawEvent(b"data: x\n\n", fragment=True)
    assert (fragment.type, fragment.data, fragment.id, fragment.retry_ms) == (b"message", b"", None, None)
    assert not fragment.is_event
    assert not fragment.is_comment_only
    assert "fragment" in repr(fragment)


def test_encode_event_writes_a_line_per_field_and_per_line_of_data() -> None:
    block = encode_event("a\r\nb\rc\nd\n", event="tick", id="1", retry_ms=0)
    assert block == b"id: 1\nevent: tick\nretry: 0\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"


def test_encode_event_leaves_out_what_is_none() -> None:
    assert encode_event("") == b"data: \n\n"
    assert encode_event(id="") == b"id: \n\n"
    assert encode_event(b"\xff x") == b"data: \xff x\n\n"
    assert encode_event("a\u2028b\x0bc") == "data: a\u2028b\x0bc\n\n".encode()


@pytest.mark.parametrize(
    ("event", "event_id", "retry_ms", "complaint"),
    [
        ("a\nb", None, None, "event holds"),
        ("a\rb", None, None, "event holds"),
        (b"a\n", None, None, "event holds"),
        (None, "1\n", None, "id holds"),
        (None, "1\r", None, "id holds"),
        (None, b"1\0", None, "id holds"),
        (None, None, -1, "retry_ms is negative"),
    ],
)
def test_encode_event_refuses_what_would_become_another_field(
    event: str | bytes | None, event_id: str | None, retry_ms: int | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode_event("x", event=event, id=event_id, retry_ms=retry_ms)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@settings(deadline=None)
@given(data=TEXT, event=ONE_LINE, event_id=ONE_LINE, retry_ms=st.integers(0, 10**12))
def test_what_is_encoded_is_what_is_parsed(data: str, event: str, event_id: str, retry_ms: int) -> None:
    parser = EventParser()
    block = encode_event(data, event=event, id=event_id, retry_ms=retry_ms)
    expected_data = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parser.feed(block) == [Event(event or "message", expected_data, event_id)]
    assert parser.reconnection_time_ms == retry_ms
    raw = RawEvent(block)
    assert (raw.data.decode(), raw.id, raw.retry_ms) == (expected_data, event_id.encode(), retry_ms)
