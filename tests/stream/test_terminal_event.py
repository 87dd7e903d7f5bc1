from __future__ import annotations

import json
import re

import pytest

from headgate.stream.end_marker import EndMarker
from headgate.stream.ending import Ending
from headgate.stream.terminal_event import PRESETS, TerminalEvent, claims_success
from headgate.wire.sse import Event, EventParser, RawEvent


def sent(event: TerminalEvent, ending: Ending = Ending.UPSTREAM_EOF, stream_id: str = "0-1a-7") -> list[Event]:
    """Give what a client makes of it between two other events."""
    first, *found, last = EventParser().feed(b"data: 1\n\n" + event.render(ending, stream_id) + b"data: 2\n\n")
    assert (first.data, last.data) == ("1", "2")
    return found


@pytest.mark.parametrize(
    ("preset", "type_", "path", "value"),
    [
        ("openai-chat", "message", ("error", "message"), "the upstream closed before the end of the stream"),
        ("openai-chat", "message", ("error", "code"), "upstream_eof"),
        ("openai-responses", "response.failed", ("type",), "response.failed"),
        ("openai-responses", "response.failed", ("response", "status"), "failed"),
        ("openai-responses", "response.failed", ("response", "id"), "0-1a-7"),
        ("anthropic", "error", ("type",), "error"),
        ("anthropic", "error", ("error", "type"), "api_error"),
        ("plain", "error", ("ending",), "upstream_eof"),
        ("plain", "error", ("stream_id",), "0-1a-7"),
    ],
)
def test_presets_say_it_as_their_clients_expect(preset: str, type_: str, path: tuple[str, ...], value: str) -> None:
    [event] = sent(TerminalEvent.parse(preset))
    found = json.loads(event.data)
    for step in path:
        found = found[step]
    assert (event.type, found) == (type_, value)


def test_tyks_words() -> None:
    assert sent(TerminalEvent.parse("tyk")) == [Event("error", "upstream connection terminated unexpectedly", "")]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("ending", Ending)
def test_every_preset_stays_one_whole_event_for_every_ending(preset: str, ending: Ending) -> None:
    [event] = sent(TerminalEvent.parse(preset), ending)
    if preset != "tyk":
        assert isinstance(json.loads(event.data), dict)


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("data: bye", [Event("message", "bye", "")]),
        ("data: bye\n\n", [Event("message", "bye", "")]),
        ("event: error\r\ndata: $ending\r\n\r\n", [Event("error", "upstream_reset", "")]),
        ("retry: 5000\nevent: error\ndata: $reason", [Event("error", "the connection to the upstream broke", "")]),
        ("data: a\n\nevent: b\ndata: $stream_id", [Event("message", "a", ""), Event("b", "0-1a-7", "")]),
        (": why\ndata: $5 $other $ending$ending", [Event("message", "$5 $other upstream_resetupstream_reset", "")]),
        (
            'data: {"choices":[{"finish_reason":"error"}]}',
            [Event("message", '{"choices":[{"finish_reason":"error"}]}', "")],
        ),
        ('data: {"choices":[{"finish_reason":null}]}', [Event("message", '{"choices":[{"finish_reason":null}]}', "")]),
    ],
)
def test_templates(text: str, events: list[Event]) -> None:
    assert sent(TerminalEvent.parse(text), Ending.UPSTREAM_RESET) == events


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("openai", 'there is no preset "openai": use one of openai-chat, '),
        ("", 'there is no preset ""'),
        ("event: error", "the template is no event"),
        (": comment", "the template is no event"),
        ("Data: x", "the template is no event"),
        ("\ufeffdata: x", "the template is no event"),
        ("data: [DONE]", "the template says that the stream is complete"),
        ("data:  [DONE]  ", "the template says that the stream is complete"),
        ("data: sorry\ndata: [DONE]", "the template says that the stream is complete"),
        ("data: sorry\n\ndata: [DONE]", "the template says that the stream is complete"),
        ("event: message_stop\ndata: {}", "the template says that the stream is complete"),
        ("event: message_stop\n\nevent: error\ndata: x", "the template says that the stream is complete"),
        ('data: {"type":"response.completed"}', "the template says that the stream is complete"),
        ('data: {"response":{"status":"completed"}}', "the template says that the stream is complete"),
        ('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}', "the template says that the stream is complete"),
        ('data: {"delta":{"stop_reason":"end_turn"}}', "the template says that the stream is complete"),
        ('data: {"done":true}', "the template says that the stream is complete"),
        ("event: done\ndata: $reason", "the template says that the stream is complete"),
        ("id: 5\ndata: x", "the template sets an id"),
        ("id\ndata: x", "the template sets an id"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        TerminalEvent.parse(text)


@pytest.mark.parametrize(
    ("template", "marker", "expected"),
    [
        ("data: over", "data: over", True),
        ("event: end\ndata: x", "event: end", True),
        ("data: x\n\ndata: over", "data: over", True),
        ("data: $ending", "data: upstream_stall", True),
        ("data: $reason", "data: an operator ended the stream", True),
        ("data: $ending", "data: complete", False),
        ("data: over", "event: over", False),
        ("data: over and out", "data: over", False),
        ("plain", "data: [DONE]", False),
    ],
)
def test_a_template_with_the_routes_own_end_in_it_is_found(template: str, marker: str, expected: bool) -> None:
    assert TerminalEvent.parse(template).holds(EndMarker.parse(marker)) is expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"event: done\n\n", True),
        (b"data: [DONE]\n\n", True),
        (b'data: [{"finishReason":"STOP"}]\n\n', True),
        (b'data: {"done":"true"}\n\n', False),
        (b"data: " + b"[" * 100_000 + b"\n\n", False),
        (b"event: ping\ndata: {}\n\n", False),
        (b"data: done\n\n", False),
        (b":\n\n", False),
    ],
)
def test_what_clients_take_for_success(block: bytes, expected: bool) -> None:
    assert claims_success(RawEvent(block)) is expected
