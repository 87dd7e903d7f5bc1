from __future__ import annotations

import pytest

from headgate.wire.media_type import is_event_stream, is_stream_type


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-STREAM", True),
        (b"text/event-stream;charset=utf-8", True),
        (b"text/event-stream\t; charset=utf-8", True),
        (b" text/event-stream ; charset=x; a=b", True),
        (b"text/event-stream;", True),
        (b"text/event-stream, text/html", False),
        (b"text/event-streams", False),
        (b"xtext/event-stream", False),
        (b"text/event stream", False),
        (b"application/json; a=text/event-stream", False),
        (b"application/x-ndjson", False),
        (b";text/event-stream", False),
        (b"", False),
        (None, False),
    ],
)
def test_only_the_type_itself_counts(content_type: bytes | None, expected: bool) -> None:
    assert is_event_stream(content_type) is expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/event-stream; charset=utf-8", True),
        (b"application/x-ndjson", True),
        (b"application/ndjson", True),
        (b"Application/JSONL; charset=utf-8", True),
        (b"application/x-jsonl", True),
        (b"application/jsonlines", True),
        (b"application/x-jsonlines", True),
        (b"application/json-seq", True),
        (b" application/stream+json ;a=b", True),
        (b"application/json", False),
        (b"application/geo+json-seq", False),
        (b"text/plain; a=application/x-ndjson", False),
        (b"application/ndjson, text/html", False),
        (b"multipart/x-mixed-replace", False),
        (b"", False),
        (None, False),
    ],
)
def test_events_and_lines_of_json_are_streams(content_type: bytes | None, expected: bool) -> None:
    assert is_stream_type(content_type) is expected
