"""Media types, as far as a gateway cares: compared without regard to case, whatever their parameters (RFC 9110 §8.3)."""

from __future__ import annotations

_EVENT_STREAM = b"text/event-stream"
_STREAMS = frozenset(
    {
        _EVENT_STREAM,
        b"application/x-ndjson",
        b"application/ndjson",
        b"application/jsonl",
        b"application/x-jsonl",
        b"application/jsonlines",
        b"application/x-jsonlines",
        b"application/json-seq",
        b"application/stream+json",
    }
)
"""Event streams, and JSON documents one after another (RFC 7464 and the names that lines of JSON go by)."""


def is_event_stream(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is ``text/event-stream``."""
    return content_type is not None and _essence(content_type) == _EVENT_STREAM


def is_stream_type(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is one of those that are streamed: events, or lines of JSON."""
    return content_type is not None and _essence(content_type) in _STREAMS


def _essence(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip(b" \t").lower()
