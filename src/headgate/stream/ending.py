"""Why an exchange ended: one word, the same in the access log, the metrics, the stream table and passive health."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """The reasons. Exactly one is given to every exchange."""

    COMPLETE = "complete"
    """The framing ended properly: last chunk, full length, or FIN on a close-delimited body."""
    UPSTREAM_EOF = "upstream_eof"
    """FIN from the upstream before the framing's end."""
    UPSTREAM_RESET = "upstream_reset"
    """The upstream's connection broke (RST or a network error) after the response head."""
    UPSTREAM_STALL = "upstream_stall"
    """The read timeout passed after the response head."""
    UPSTREAM_PROTOCOL_ERROR = "upstream_protocol_error"
    """The upstream sent what is not HTTP, or broke its own framing."""
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    """No response head from any target: the client got 502, 503 or 504."""
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    MAX_DURATION = "max_duration"
    MAX_BYTES = "max_bytes"
    MAX_EVENT_BYTES = "max_event_bytes"
    CLIENT_GONE = "client_gone"
    """The client closed its connection, or half of it, before the response had ended."""
    CLIENT_STALLED = "client_stalled"
    DRAIN = "drain"
    """headgate is stopping."""
    ROUTE_REMOVED = "route_removed"
    REVOKED = "revoked"
    KILLED = "killed"
    REFUSED = "refused"
    """Answered by headgate itself: no route, a plugin's answer, a malformed request."""
    GATEWAY_ERROR = "gateway_error"
    """headgate failed: a defect, or a worker that died with the exchange open."""
