from __future__ import annotations

import pytest

from headgate.wire.media_type import is_event_stream


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-STREAM", True),
        (b"text/event-stream;charset=utf-8", True),
        (b" text/event-stream ; charset=x; a=b", True),
        (b"text/event-stream;", True),
        (b"text/event-stream, text/html", False),
        (b"text/event-streams", False),
        (b"xtext/event-stream", False),
        (b"text/event stream", False),
        (b"application/json; a=text/event-stream", False),
        (b";text/event-stream", False),
        (b"", False),
        (None, False),
    ],
)
def test_only_the_type_itself_counts(content_type: bytes | None, expected: bool) -> None:
    assert is_event_stream(content_type) is expected
