"""Routes that look into their streams before the head goes on, for tests of what comes of it."""

from __future__ import annotations

from typing import Any

from tests.origin import Origin
from tests.running_gateway import RunningGateway

from headgate.stream.peek_rules import PeekRule, PeekRules
from headgate.stream.policy import StreamPolicy

GOOD = [b"data: good\n\n", b"data: more\n\n"]
BAD = b'event: error\ndata: {"error":{"code":"overloaded"}}\n\n'
ERROR = PeekRule(event=b"error")
EVENT_STREAM = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def peeking(*rules: PeekRule, timeout_s: float = 30.0, max_bytes: int = 65536, **fields: Any) -> StreamPolicy:
    found = PeekRules(timeout_s=timeout_s, max_bytes=max_bytes, skip=frozenset({b"ping"}), rules=rules or (ERROR,))
    return StreamPolicy(peek=found, **fields)


def peeks(gateway: RunningGateway) -> dict[str, int]:
    """Give what came of looks into streams, without zeros."""
    found = {one: gateway.counter("peeks", outcome=one) for one in PEEKS}
    return {one: count for one, count in found.items() if count}


PEEKS = ("passed", "next_upstream", "answered", "timeout", "too_large")


def streams(origin: Origin, *steps: bytes, **fields: Any) -> None:
    """Let every path of an origin answer with a stream that runs to its end."""
    origin.events("/*", steps=steps, **fields).confirm_all()


def held_bytes(gateway: RunningGateway) -> list[int]:
    """Give how much each held head has behind it."""

    def look() -> list[int]:
        exchanges = [one.exchange for one in gateway.gateway._connections if one.exchange is not None]
        heads = [one.reply._held_head for one in exchanges]
        return [len(one.peek._held) for one in heads if one is not None]

    return gateway.call(look)
