"""Media types, as far as a gateway cares."""

from __future__ import annotations


def is_event_stream(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is ``text/event-stream``: without regard to case, with any parameters (RFC 9110 §8.3)."""
    return content_type is not None and content_type.partition(b";")[0].strip(b" \t").lower() == b"text/event-stream"
