"""Media types, as far as a gateway cares: compared without regard to case, whatever their parameters (RFC 9110 §8.3)."""

from __future__ import annotations

import re
from functools import lru_cache

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


_NO_WEIGHT = re.compile(rb"q=0(?:\.0*)?")


def is_event_stream(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is ``text/event-stream``."""
    return content_type is not None and _essence(content_type) == _EVENT_STREAM


def is_stream_type(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is one of those that are streamed: events, or lines of JSON."""
    return content_type is not None and _essence(content_type) in _STREAMS


def accepts_event_stream(accept: bytes | None) -> bool:
    """Say whether an Accept takes ``text/event-stream`` by name, with a weight above 0 (RFC 9110 §12.5.1)."""
    lower = (accept or b"").lower()
    return _EVENT_STREAM in lower and any(map(_takes_events, lower.split(b",")))


def _takes_events(media_range: bytes) -> bool:
    essence, *parameters = (part.strip(b" \t") for part in media_range.split(b";"))
    return essence == _EVENT_STREAM and not any(map(_NO_WEIGHT.fullmatch, parameters))


def _essence(content_type: bytes) -> bytes:
    if len(content_type) <= _SHORT_BYTES:  # there are few of these, and each response is asked two or three times
        return _known_essence(content_type)
    return _essence_of(content_type)


def _essence_of(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip(b" \t").lower()


_SHORT_BYTES = 64
_known_essence = lru_cache(maxsize=256)(_essence_of)
