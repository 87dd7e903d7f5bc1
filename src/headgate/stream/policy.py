"""What a route wants of its event streams: the plugin ``stream-guard`` compiled, or the settings alone.

Seconds and bytes; 0 = off. A policy is immutable; an exchange has one from its start to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headgate.stream.end_marker import EndMarker
from headgate.stream.peek_rules import PeekRules
from headgate.stream.terminal_event import TerminalEvent

COMMENT = b":\n\n"


class Close(StrEnum):
    """How a stream that ended short of complete is closed."""

    ABORT = "abort"
    """So that HTTP shows it: no last chunk, too few bytes, or RST."""
    CLEAN = "clean"
    """As if it were complete; only the terminal event tells."""


class OnClientGone(StrEnum):
    """What becomes of the upstream when the client has left."""

    CANCEL = "cancel"
    """Its connection is closed at once."""
    FINISH = "finish"
    """It may finish; what it sends is dropped."""


class OnRouteRemoved(StrEnum):
    """What becomes of a running stream when its route is deleted or switched off."""

    KEEP = "keep"
    DRAIN = "drain"
    """It ends between two events, within ``drain.window_s``."""
    CLOSE = "close"
    """It ends at once."""


class Refusals(StrEnum):
    """How a client is told 429, 502, 503 or 504."""

    STATUS = "status"
    SSE = "sse"
    """By an event in a ``200 text/event-stream``, so that it tries again."""
    AUTO = "auto"
    """``sse`` for a browser's EventSource, ``status`` for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """See the module.

    ``keepalive`` is what is sent after ``keepalive_s`` without bytes to the client, one or more whole blocks; ``early``:
    also before the upstream's first byte, a BOM of which is then dropped. ``event_gap_s`` counts events, not comments.
    ``max_duration_jitter_s`` is the most that is taken off ``max_duration_s``. ``retry_s``: see ``streams.retry_s``.
    """

    keepalive_s: float = 0.0
    keepalive: bytes = COMMENT
    early: bool = False
    first_event_s: float = 0.0
    event_gap_s: float = 0.0
    max_duration_s: float = 0.0
    max_duration_jitter_s: float = 0.0
    max_bytes: int = 0
    max_event_bytes: int = 0
    end_marker: EndMarker | None = None
    terminal_event: TerminalEvent | None = None
    close: Close = Close.ABORT
    on_client_gone: OnClientGone = OnClientGone.CANCEL
    on_route_removed: OnRouteRemoved = OnRouteRemoved.KEEP
    refusals: Refusals = Refusals.STATUS
    retry_s: float = 3.0
    peek: PeekRules | None = None
