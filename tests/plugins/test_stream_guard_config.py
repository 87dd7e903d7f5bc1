from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.refusals import refusal_of

from headgate.config.validation import InvalidConfiguration
from headgate.plugins.catalog import Catalog
from headgate.stream.terminal_event import PRESETS

PRESET_NAMES = "openai-chat, openai-responses, anthropic, tyk, plain"
MARKERS = 'expected "any_eof", "data: VALUE" or "event: VALUE" on one line'
STYLES = 'expected "comment", "event:NAME" or "padded:N" with N from 8 to 65536 bytes'
SUCCESS = "the template says that the stream is complete, which it is not when this is sent"
OWN_END = "it is what a complete stream of this route ends with"
NAMES = "a rule needs event, json or both, or empty alone"


@pytest.mark.parametrize(
    ("conf", "attribute", "text"),
    [
        ({"completeness": "[DONE]"}, "completeness", MARKERS),
        ({"completeness": "data: a\nb"}, "completeness", MARKERS),
        (
            {"completeness": "event: message"},
            "completeness",
            "every event without a type of its own is a message: none of them ends the stream",
        ),
        ({"completeness": 5}, "completeness", "wrong type: expected string, got number"),
        (
            {"terminal_event": "openai"},
            "terminal_event",
            f'there is no preset "openai": use one of {PRESET_NAMES}, or write an event',
        ),
        ({"terminal_event": "event: error"}, "terminal_event", "the template is no event: it needs a data line"),
        ({"terminal_event": "data: [DONE]"}, "terminal_event", SUCCESS),
        ({"terminal_event": "event: message_stop\ndata: {}"}, "terminal_event", SUCCESS),
        (
            {"terminal_event": "id: 1\ndata: x"},
            "terminal_event",
            "the template sets an id, with which a client that comes back would miss events",
        ),
        ({"terminal_event": "data: over", "completeness": "data: over"}, "terminal_event", OWN_END),
        ({"terminal_event": "data: $ending", "completeness": "data: drain"}, "terminal_event", OWN_END),
        ({"terminal_event": "event: end\ndata: x", "completeness": "event: end"}, "terminal_event", OWN_END),
        ({"terminal_event": None}, "terminal_event", "wrong type: expected string, got null"),
        (
            {"close": "clean"},
            "close",
            '"clean" needs a terminal_event: nothing else tells that the stream is not complete',
        ),
        ({"close": "soft"}, "close", "matches none of the enum values"),
        ({"first_event_s": -1}, "first_event_s", "expected -1 to be at least 0"),
        ({"first_event_s": "5"}, "first_event_s", "wrong type: expected number, got string"),
        ({"first_event_s": float("inf")}, "first_event_s", "expected inf to be finite"),
        ({"event_gap_s": -0.1}, "event_gap_s", "expected -0.1 to be at least 0"),
        ({"max_duration_s": 31536001}, "max_duration_s", "expected 31536001 to be at most 31536000"),
        ({"max_duration_jitter_s": 5}, "max_duration_jitter_s", "expected at most max_duration_s"),
        (
            {"max_duration_s": 5, "max_duration_jitter_s": 5.1},
            "max_duration_jitter_s",
            "expected at most max_duration_s",
        ),
        ({"max_bytes": 1.5}, "max_bytes", "wrong type: expected integer, got number"),
        ({"max_bytes": -1}, "max_bytes", "expected -1 to be at least 0"),
        ({"max_event_bytes": None}, "max_event_bytes", "wrong type: expected integer, got null"),
        ({"max_event_bytes": "1MB"}, "max_event_bytes", "wrong type: expected integer, got string"),
        ({"keepalive_s": None}, "keepalive_s", "wrong type: expected number, got null"),
        ({"keepalive_s": -1}, "keepalive_s", "expected -1 to be at least 0"),
        ({"keepalive_style": "ping"}, "keepalive_style", STYLES),
        ({"keepalive_style": "padded:7"}, "keepalive_style", STYLES),
        ({"keepalive_style": "event:a\nb"}, "keepalive_style", STYLES),
        (
            {"keepalive_style": "event:message_stop"},
            "keepalive_style",
            "an event of that type says that the stream is complete",
        ),
        ({"keepalive_style": "event:end", "completeness": "event: end"}, "keepalive_style", OWN_END),
        ({"keepalive_style": "event:ping", "completeness": "data: {}"}, "keepalive_style", OWN_END),
        ({"early_keepalive": 1}, "early_keepalive", "wrong type: expected boolean, got number"),
        ({"on_client_gone": "linger"}, "on_client_gone", "matches none of the enum values"),
        ({"on_route_removed": True}, "on_route_removed", "wrong type: expected string, got boolean"),
        ({"refusals": "event"}, "refusals", "matches none of the enum values"),
        ({"retry_s": 0}, "retry_s", "expected 0 to be greater than 0"),
        ({"retry_s": 3601}, "retry_s", "expected 3601 to be at most 3600"),
        ({"peek": None}, "peek", "wrong type: expected object, got null"),
        ({"peek": {}}, "peek", 'property "rules" is required'),
    ],
    ids=str,
)
def test_refusals(conf: dict[str, Any], attribute: str, text: str) -> None:
    assert refusal_of("stream-guard", conf) == f'property "{attribute}" validation failed: {text}'


@pytest.mark.parametrize(
    ("attribute", "start", "most"),
    [("completeness", "data: ", 1024), ("terminal_event", "data: ", 16384), ("keepalive_style", "event:", 256)],
)
def test_the_longest_texts(attribute: str, start: str, most: int) -> None:
    text = start.ljust(most, "x")
    Catalog().check("stream-guard", {attribute: text})
    way = f'property "{attribute}" validation failed: '
    assert refusal_of("stream-guard", {attribute: text + "x"}) == (
        f"{way}string too long, expected at most {most}, got {most + 1}"
    )


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({}, NAMES),
        ({"status": 503}, NAMES),
        ({"empty": False}, NAMES),
        ({"empty": True, "event": "error"}, NAMES),
        ({"empty": True, "json": "error"}, NAMES),
        ({"event": "error", "values": [1]}, "values need json, which says where they stand"),
        ({"empty": True, "values": [1]}, "values need json, which says where they stand"),
        ({"path": "error"}, "additional properties forbidden, found path"),
        ({"event": ""}, 'property "event" validation failed: string too short, expected at least 1, got 0'),
        ({"event": "a\nb"}, 'property "event" validation failed: an event type is one line'),
        (
            {"json": "a..b"},
            'property "json" validation failed: expected names of members separated by dots, such as error.code',
        ),
        (
            {"json": "a", "values": []},
            'property "values" validation failed: expect array to have at least 1 items',
        ),
        (
            {"json": "a", "values": [1, None]},
            'property "values" validation failed: failed to validate item 2: expected a text, a number or a boolean',
        ),
        ({"event": "a", "status": 200}, 'property "status" validation failed: expected 200 to be at least 400'),
        ({"event": "a", "status": 600}, 'property "status" validation failed: expected 600 to be at most 599'),
        (
            {"event": "a", "next_upstream": "no"},
            'property "next_upstream" validation failed: wrong type: expected boolean, got string',
        ),
        ("error", "wrong type: expected object, got string"),
    ],
    ids=str,
)
def test_refused_rules(rule: Any, text: str) -> None:
    way = 'property "peek" validation failed: property "rules" validation failed: failed to validate item 2: '
    assert refusal_of("stream-guard", {"peek": {"rules": [{"event": "error"}, rule]}}) == way + text


@pytest.mark.parametrize(
    ("peek", "text"),
    [
        ({"rules": []}, 'property "rules" validation failed: expect array to have at least 1 items'),
        ({"timeout_s": 0}, 'property "timeout_s" validation failed: expected 0 to be greater than 0'),
        ({"timeout_s": 301}, 'property "timeout_s" validation failed: expected 301 to be at most 300'),
        ({"max_bytes": 0}, 'property "max_bytes" validation failed: expected 0 to be at least 1'),
        ({"max_bytes": 4194305}, 'property "max_bytes" validation failed: expected 4194305 to be at most 4194304'),
        (
            {"skip_events": ["ping", 1]},
            'property "skip_events" validation failed: failed to validate item 2: wrong type: expected string, got number',
        ),
        ({"skip": []}, "additional properties forbidden, found skip"),
    ],
    ids=str,
)
def test_refused_peeks(peek: dict[str, Any], text: str) -> None:
    conf = {"peek": {"rules": [{"event": "error"}], **peek}}
    assert refusal_of("stream-guard", conf) == f'property "peek" validation failed: {text}'


def test_an_unknown_attribute_is_refused() -> None:
    assert refusal_of("stream-guard", {"keepalive": 5}) == "additional properties forbidden, found keepalive"


def test_a_refusal_says_where() -> None:
    conf = {"peek": {"rules": [{"json": "error"}, {"json": "."}]}}
    with pytest.raises(InvalidConfiguration) as refusal:
        Catalog().check("stream-guard", conf)
    assert refusal.value.location == ("peek", "rules", 1, "json")
    with pytest.raises(InvalidConfiguration) as refusal:
        Catalog().check("stream-guard", {"close": "clean"})
    assert refusal.value.location == ("close",)


@pytest.mark.parametrize(
    "conf",
    [
        *({"terminal_event": name, "completeness": "data: [DONE]"} for name in PRESETS),
        *({"terminal_event": name, "completeness": "event: message_stop"} for name in PRESETS),
        {"max_duration_s": 31536000, "max_duration_jitter_s": 31536000},
        {"keepalive_style": "padded:65536", "retry_s": 3600},
        {"peek": {"timeout_s": 300, "max_bytes": 4194304, "rules": [{"json": "a", "values": ["", 0, -1.5, False]}]}},
        {
            "peek": {
                "skip_events": [],
                "rules": [{"event": "a", "json": "b.0", "status": 400}, {"empty": True, "status": 599}],
            }
        },
    ],
    ids=str,
)
def test_the_outermost_that_is_taken(conf: dict[str, Any]) -> None:
    Catalog().check("stream-guard", conf)


def test_the_schema_speaks_of_what_is_written() -> None:
    schema = Catalog().schema("stream-guard")
    rule = schema["$defs"]["PeekRuleConfig"]["properties"]
    assert set(rule) == {"event", "json", "values", "empty", "next_upstream", "status"}
    assert rule["values"]["items"] == {"type": ["string", "number", "boolean"]}
    assert schema["properties"]["terminal_event"]["type"] == "string"
