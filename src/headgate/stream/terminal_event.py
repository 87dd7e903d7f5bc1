"""What a client is told when its stream ends short of complete: one event, never one that means success."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headgate.stream.end_marker import EndMarker
from headgate.stream.ending import Ending
from headgate.wire.sse import EventCutter, RawEvent

PRESETS = {
    # An `error` member is what OpenAI's own SDKs raise on; [DONE] does not follow.
    "openai-chat": 'data: {"error":{"message":"$reason","type":"server_error","param":null,"code":"$ending"}}',
    "openai-responses": (
        'event: response.failed\ndata: {"type":"response.failed","response":{"id":"$stream_id","object":"response",'
        '"status":"failed","error":{"code":"server_error","message":"$reason"}}}'
    ),
    "anthropic": 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"$reason"}}',
    "tyk": "event: error\ndata: upstream connection terminated unexpectedly",
    "plain": 'event: error\ndata: {"ending":"$ending","stream_id":"$stream_id"}',
}
"""Templates by name: what the clients of each dialect take for an error."""

_SUCCESS_LINES = frozenset({b"[DONE]"})
_SUCCESS_TYPES = frozenset({"message_stop", "response.completed", "response.done", "done", "complete", "completed"})
_FINISHED = frozenset({"finish_reason", "stop_reason", "finishReason"})
"""Members that dialects of language models fill in when an answer is whole; ``error`` may stand in them."""

_REASONS = {
    Ending.UPSTREAM_EOF: "the upstream closed before the end of the stream",
    Ending.UPSTREAM_RESET: "the connection to the upstream broke",
    Ending.UPSTREAM_STALL: "the upstream sent nothing for too long",
    Ending.UPSTREAM_PROTOCOL_ERROR: "the upstream broke its own framing",
    Ending.FIRST_EVENT_TIMEOUT: "the first event did not come in time",
    Ending.MAX_DURATION: "the stream has reached its longest duration",
    Ending.MAX_BYTES: "the stream has reached its largest size",
    Ending.MAX_EVENT_BYTES: "an event of the stream is too large",
    Ending.DRAIN: "the gateway is restarting",
    Ending.ROUTE_REMOVED: "the route has been removed",
    Ending.REVOKED: "the credential is no longer valid",
    Ending.KILLED: "an operator ended the stream",
}
_OTHER_REASON = "the gateway failed"


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """``template`` with ``$ending`` (the word), ``$reason`` (a sentence) and ``$stream_id``, which need no escaping in JSON."""

    template: str

    @classmethod
    def parse(cls, text: str) -> TerminalEvent:
        """Read a preset's name or a template: the lines of one event or more. Raises ValueError with the reason."""
        if "\n" not in text and ":" not in text:
            if text not in PRESETS:
                raise ValueError(f'there is no preset "{text}": use one of {", ".join(PRESETS)}, or write an event')
            text = PRESETS[text]
        found = cls(text.rstrip("\r\n"))
        blocks = list(_blocks(found.render(Ending.UPSTREAM_EOF, "id")))
        if not any(block.is_event for block in blocks):
            raise ValueError("the template is no event: it needs a data line")
        if any(claims_success(block) for block in blocks):
            raise ValueError("the template says that the stream is complete, which it is not when this is sent")
        if any(block.id is not None for block in blocks):
            raise ValueError("the template sets an id, with which a client that comes back would miss events")
        return found

    def holds(self, marker: EndMarker) -> bool:
        """Say whether some rendering of it is what the route's upstream ends a complete stream with."""
        rendered = b"".join(self.render(ending, "id") for ending in Ending if ending is not Ending.COMPLETE)
        return any(marker.matches(block) for block in _blocks(rendered))

    def render(self, ending: Ending, stream_id: str) -> bytes:
        """Give the bytes to send, blank line included."""
        text = self.template.replace("$ending", ending.value).replace("$reason", _REASONS.get(ending, _OTHER_REASON))
        return text.replace("$stream_id", stream_id).encode() + b"\n\n"


def claims_success(block: RawEvent) -> bool:
    """Say whether clients of a known dialect take this block for the end of a complete stream.

    A type without data counts, and each line of the data on its own: there are clients that read so.
    """
    if block.type.decode(errors="replace") in _SUCCESS_TYPES:
        return True
    if not _SUCCESS_LINES.isdisjoint(line.strip() for line in block.data.split(b"\n")):
        return True
    try:
        return _is_finished(json.loads(block.data))
    except (ValueError, RecursionError):
        return False


def _is_finished(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_finished, value))
    if not isinstance(value, dict):
        return False
    return any(_means_finished(name, inner) or _is_finished(inner) for name, inner in value.items())


def _means_finished(name: str, value: Any) -> bool:
    if name in _FINISHED:
        return value not in (None, "error")
    if name in {"type", "status"}:
        return isinstance(value, str) and value in _SUCCESS_TYPES
    return name == "done" and value is True


def _blocks(rendered: bytes) -> Iterator[RawEvent]:
    """Cut what stands somewhere in a stream, not at its start, where a BOM would be none of its lines."""
    return iter(EventCutter().feed(b"\n" + rendered)[1:])
