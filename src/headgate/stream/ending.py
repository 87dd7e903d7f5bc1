"""Why an exchange ended: one word, the same in the access log, the metrics, the stream table and passive health."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """The reasons. Exactly one is given to every exchange."""

    COMPLETE = "complete"
    """The framing ended properly (last chunk, full length, or FIN on a close-delimited body) and the route's end marker, if any, came."""
    UPSTREAM_EOF = "upstream_eof"
    """FIN from the upstream before the framing's end, or an end without the route's end marker."""
    UPSTREAM_RESET = "upstream_reset"
    """The upstream's connection broke (RST or a network error) after the response head."""
    UPSTREAM_STALL = "upstream_stall"
    """The read timeout passed after the response head, or no event came for the route's ``event_gap_s``."""
    UPSTREAM_PROTOCOL_ERROR = "upstream_protocol_error"
    """The upstream sent what is not HTTP, or broke its own framing."""
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    """No response head from any target: the client got 502, 503 or 504."""
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    """No event came within ``first_event_s`` of the request; without a head by then the client got 504."""
    MAX_DURATION = "max_duration"
    MAX_BYTES = "max_bytes"
    MAX_EVENT_BYTES = "max_event_bytes"
    """One event was larger than the limit."""
    CLIENT_GONE = "client_gone"
    """The client closed its connection, or half of it, before the response had ended."""
    CLIENT_STALLED = "client_stalled"
    """The client took no byte for ``http.send_timeout_s`` though some waited, or sent none of a body that was wanted."""
    DRAIN = "drain"
    """headgate is stopping."""
    ROUTE_REMOVED = "route_removed"
    """The route was deleted or switched off, and wants its streams to end then."""
    REVOKED = "revoked"
    """The credential that the stream was opened with is no longer valid."""
    KILLED = "killed"
    """An operator ended it."""
    REFUSED = "refused"
    """Answered by headgate itself: no route, a plugin's answer, a malformed request."""
    GATEWAY_ERROR = "gateway_error"
    """headgate failed: a defect, or a worker that died with the exchange open."""
