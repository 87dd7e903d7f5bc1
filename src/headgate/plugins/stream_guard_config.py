"""The attributes of ``stream-guard``, as they are written, and what no configuration of it may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from headgate.config.strict_model import Maybe
from headgate.plugins.api import PluginConfig
from headgate.stream.end_marker import EndMarker
from headgate.stream.keepalive import parse_keepalive
from headgate.stream.peek_rules import parse_path
from headgate.stream.terminal_event import TerminalEvent, claims_success
from headgate.wire.sse import RawEvent

ANY_EOF = "any_eof"
YEAR_S = 31_536_000
MAX_PEEK_BYTES = 4 * 1024 * 1024


def end_marker(text: str) -> EndMarker | None:
    """Give the marker that ``completeness`` asks for, None for any end. Raises ValueError with the reason."""
    return None if text == ANY_EOF else EndMarker.parse(text)


def _check_completeness(text: str) -> str:
    end_marker(text)
    return text


def _check_terminal_event(text: str) -> str:
    TerminalEvent.parse(text)
    return text


def _check_keepalive_style(text: str) -> str:
    if claims_success(RawEvent(parse_keepalive(text))):
        raise ValueError("an event of that type says that the stream is complete")
    return text


def _check_path(text: str) -> str:
    parse_path(text)
    return text


def _check_type(text: str) -> str:
    if set(text) & set("\r\n"):
        raise ValueError("an event type is one line")
    return text


def _check_value(value: Any) -> Any:
    if not isinstance(value, str | int | float):  # a bool is an int
        raise ValueError("expected a text, a number or a boolean")
    return value


Seconds = Annotated[float, Field(ge=0, le=YEAR_S, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0)]
EventType = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_type)]
JsonPath = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_path)]
JsonValue = Annotated[Any, AfterValidator(_check_value), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class PeekRuleConfig(PluginConfig):
    """One rule of ``stream-guard.peek``: all that it names must hold for the first meaningful event."""

    event: Maybe[EventType] = Field(None, description="The event's type; `message` = none of its own.")
    path: Maybe[JsonPath] = Field(
        None,
        alias="json",
        description="Member of the event's data as JSON, which must be there and not null: `error.code`, `choices.0.delta`.",
    )
    values: Maybe[list[JsonValue]] = Field(
        None,
        min_length=1,
        max_length=64,
        description="What may stand in `json`: texts, numbers, booleans; any by default.",
    )
    empty: bool = Field(
        False, description="The stream ended before any meaningful event; beside neither `event` nor `json`."
    )
    next_upstream: bool = Field(True, description="Send the request to the upstream's next node, if there is one left.")
    status: int = Field(502, ge=400, le=599, description="Status of the answer if the request goes to no other node.")

    @model_validator(mode="after")
    def _check(self) -> PeekRuleConfig:
        looks_at_events = self.event is not None or self.path is not None
        if self.empty is looks_at_events:
            raise ValueError("a rule needs event, json or both, or empty alone")
        if self.values is not None and self.path is None:
            raise ValueError("values need json, which says where they stand")
        return self


class PeekConfig(PluginConfig):
    """``stream-guard.peek``: the head is held back until the first meaningful event has been looked at."""

    timeout_s: float = Field(
        5.0,
        gt=0,
        le=300,
        allow_inf_nan=False,
        description="Longest time that the head is held back, in seconds; then the stream goes on as it is.",
    )
    max_bytes: int = Field(
        65536,
        ge=1,
        le=MAX_PEEK_BYTES,
        description="How much of the body is held back, in bytes; with more the stream goes on as it is.",
    )
    skip_events: list[EventType] = Field(
        [], max_length=64, description="Types of events that are not meaningful; comments never are."
    )
    rules: list[PeekRuleConfig] = Field(
        min_length=1, max_length=64, description="What to look for; the first rule that matches counts."
    )


class StreamGuardConfig(PluginConfig):
    """Attributes of ``stream-guard``."""

    completeness: Annotated[str, Field(max_length=1024), AfterValidator(_check_completeness)] = Field(
        ANY_EOF,
        description="What a complete stream ends with: `any_eof` = a proper end; `data: VALUE` or `event: VALUE` = that event.",
    )
    terminal_event: Maybe[Annotated[str, Field(max_length=16384), AfterValidator(_check_terminal_event)]] = Field(
        None,
        description="Event sent when the stream ends short of complete: a preset's name, or the event's lines with "
        "`$ending`, `$reason` and `$stream_id`; none by default.",
    )
    close: Literal["abort", "clean"] = Field(
        "abort",
        description="How such a stream is closed: `abort` = HTTP shows the cut; `clean` = only the terminal event tells.",
    )
    first_event_s: Seconds = Field(
        0.0, description="Longest time from the request to the first event, in seconds; 0 = no limit."
    )
    event_gap_s: Seconds = Field(
        0.0, description="Longest time between two events, in seconds; comments do not count; 0 = no limit."
    )
    max_duration_s: Seconds = Field(0.0, description="Longest duration of a stream, in seconds; 0 = no limit.")
    max_duration_jitter_s: Seconds = Field(
        0.0, description="How much less `max_duration_s` may be, by chance for each stream, in seconds."
    )
    max_bytes: Bytes = Field(0, description="Largest body of a stream, in bytes; 0 = no limit.")
    max_event_bytes: Maybe[Bytes] = Field(
        None, description="Largest event, in bytes; 0 = no limit; by default what the settings say."
    )
    keepalive_s: Maybe[Seconds] = Field(
        None,
        description="Silence towards the client after which a keep-alive is sent, in seconds; 0 = none; by default what "
        "the settings say.",
    )
    keepalive_style: Annotated[str, Field(max_length=256), AfterValidator(_check_keepalive_style)] = Field(
        "comment",
        description="What is sent: `comment`; `event:NAME`, which scripts of a page see; `padded:N`, a comment of N bytes.",
    )
    early_keepalive: bool = Field(
        False,
        description="Send one right after the head, and others before the upstream's first byte; a BOM of its is dropped.",
    )
    on_client_gone: Literal["cancel", "finish"] = Field(
        "cancel", description="What becomes of the upstream when the client leaves: it is closed, or it may finish."
    )
    on_route_removed: Literal["keep", "drain", "close"] = Field(
        "keep",
        description="What becomes of streams whose route is deleted or switched off: they go on, end between two events "
        "within `drain.window_s`, or end at once.",
    )
    refusals: Literal["status", "sse", "auto"] = Field(
        "status",
        description="How 429, 502, 503 and 504 are told: by status; by an event `refused`; by that to a browser's "
        "EventSource only.",
    )
    retry_s: Maybe[Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]] = Field(
        None,
        description="Reconnection time told to clients whose stream headgate ends or refuses, in seconds; each gets one "
        "between it and its double; by default what the settings say.",
    )
    peek: Maybe[PeekConfig] = Field(
        None, description="Look at the first event before the head goes on; off by default."
    )

    @field_validator("terminal_event")
    @classmethod
    def _is_not_the_end_marker(cls, text: str | None, info: ValidationInfo) -> str | None:
        marker = end_marker(info.data.get("completeness", ANY_EOF))
        if text is not None and marker is not None and TerminalEvent.parse(text).holds(marker):
            raise ValueError("it is what a complete stream of this route ends with")
        return text

    @field_validator("close")
    @classmethod
    def _can_be_told(cls, close: str, info: ValidationInfo) -> str:
        if close == "clean" and info.data.get("terminal_event", "") is None:
            raise ValueError('"clean" needs a terminal_event: nothing else tells that the stream is not complete')
        return close

    @field_validator("max_duration_jitter_s")
    @classmethod
    def _is_part_of_the_duration(cls, jitter_s: float, info: ValidationInfo) -> float:
        if jitter_s > info.data.get("max_duration_s", jitter_s):
            raise ValueError("expected at most max_duration_s")
        return jitter_s

    @field_validator("keepalive_style")
    @classmethod
    def _does_not_end_the_stream(cls, text: str, info: ValidationInfo) -> str:
        marker = end_marker(info.data.get("completeness", ANY_EOF))
        if marker is not None and marker.matches(RawEvent(parse_keepalive(text))):
            raise ValueError("it is what a complete stream of this route ends with")
        return text
