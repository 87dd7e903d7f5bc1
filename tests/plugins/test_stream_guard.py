from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.plugins.plain_exchange import chain, exchange, run_request, run_response

from headgate.plugins.stream_guard import StreamGuard
from headgate.plugins.stream_guard_config import StreamGuardConfig
from headgate.stream.end_marker import EndMarker
from headgate.stream.peek_rules import PeekRule, PeekRules
from headgate.stream.policy import COMMENT, Close, OnClientGone, OnRouteRemoved, Refusals, StreamPolicy
from headgate.stream.terminal_event import PRESETS, TerminalEvent

SETTINGS = StreamPolicy(keepalive_s=15.0, max_event_bytes=1000, retry_s=3.0)
EVENTS = [(b"Content-Type", b"text/event-stream")]


def policy(conf: dict[str, Any], base: StreamPolicy = SETTINGS) -> StreamPolicy:
    """Give the policy that an exchange has behind the plugin's first phase."""
    given = exchange()
    given.stream_policy = base
    assert run_request(chain(stream_guard=conf), given) is None
    return given.stream_policy


def test_nothing_said_is_the_settings_policy() -> None:
    assert policy({}) == SETTINGS


@pytest.mark.parametrize(
    ("conf", "changed"),
    [
        ({"completeness": "any_eof"}, {}),
        ({"completeness": "data: [DONE]"}, {"end_marker": EndMarker("data", b"[DONE]")}),
        ({"completeness": "event: message_stop"}, {"end_marker": EndMarker("event", b"message_stop")}),
        ({"terminal_event": "plain"}, {"terminal_event": TerminalEvent(PRESETS["plain"])}),
        ({"terminal_event": "data: $ending\n\n"}, {"terminal_event": TerminalEvent("data: $ending")}),
        (
            {"terminal_event": "data: x", "close": "clean"},
            {"terminal_event": TerminalEvent("data: x"), "close": Close.CLEAN},
        ),
        ({"first_event_s": 30, "event_gap_s": 0.5}, {"first_event_s": 30.0, "event_gap_s": 0.5}),
        (
            {"max_duration_s": 3600, "max_duration_jitter_s": 3600},
            {"max_duration_s": 3600.0, "max_duration_jitter_s": 3600.0},
        ),
        ({"max_bytes": 5}, {"max_bytes": 5}),
        ({"max_event_bytes": 0}, {"max_event_bytes": 0}),
        ({"max_event_bytes": 7}, {"max_event_bytes": 7}),
        ({"keepalive_s": 0}, {"keepalive_s": 0.0}),
        ({"keepalive_s": 0.2}, {"keepalive_s": 0.2}),
        ({"keepalive_style": "comment"}, {"keepalive": COMMENT}),
        ({"keepalive_style": "event:ping"}, {"keepalive": b"event: ping\ndata: {}\n\n"}),
        ({"keepalive_style": "padded:10"}, {"keepalive": b":       \n\n"}),
        ({"early_keepalive": True}, {"early": True}),
        ({"on_client_gone": "finish"}, {"on_client_gone": OnClientGone.FINISH}),
        ({"on_route_removed": "drain"}, {"on_route_removed": OnRouteRemoved.DRAIN}),
        ({"on_route_removed": "close"}, {"on_route_removed": OnRouteRemoved.CLOSE}),
        ({"refusals": "sse"}, {"refusals": Refusals.SSE}),
        ({"refusals": "auto"}, {"refusals": Refusals.AUTO}),
        ({"retry_s": 0.1}, {"retry_s": 0.1}),
    ],
    ids=str,
)
def test_each_attribute_is_one_of_the_policys(conf: dict[str, Any], changed: dict[str, Any]) -> None:
    assert policy(conf) == replace(SETTINGS, **changed)


def test_every_attribute_and_every_field_is_used() -> None:
    fields = set(StreamPolicy.__dataclass_fields__)
    attributes = set(StreamGuardConfig.model_fields)
    renamed = {"end_marker": "completeness", "keepalive": "keepalive_style", "early": "early_keepalive"}
    assert {renamed.get(field, field) for field in fields} == attributes


def test_peek() -> None:
    conf = {
        "skip_events": ["ping", "message"],
        "rules": [
            {"event": "error"},
            {"json": "error.code", "values": [429, "429", True], "next_upstream": False, "status": 429},
            {"empty": True},
        ],
    }
    assert policy({"peek": conf}).peek == PeekRules(
        timeout_s=5.0,
        max_bytes=65536,
        skip=frozenset({b"ping", b"message"}),
        rules=(
            PeekRule(event=b"error"),
            PeekRule(path=("error", "code"), values=(429, "429", True), next_upstream=False, status=429),
            PeekRule(empty=True),
        ),
    )
    other = policy({"peek": {"timeout_s": 0.5, "max_bytes": 1, "rules": [{"json": "a.0"}]}}).peek
    assert other == PeekRules(timeout_s=0.5, max_bytes=1, rules=(PeekRule(path=("a", 0)),))


def test_a_policy_is_made_once_for_the_same_settings() -> None:
    guard = StreamGuard(StreamGuardConfig.model_validate({"first_event_s": 1}))
    first, second, other = exchange(), exchange(), exchange()
    first.stream_policy = second.stream_policy = SETTINGS
    other.stream_policy = replace(SETTINGS, retry_s=9.0)
    for given in (first, second, other):
        guard.on_request(given)
    assert first.stream_policy is second.stream_policy
    assert (other.stream_policy.retry_s, other.stream_policy.first_event_s) == (9.0, 1.0)
    guard.on_request(first)
    guard.on_request(first)
    assert first.stream_policy.first_event_s == 1.0


def test_a_route_takes_the_place_of_a_global_rule_but_for_what_it_leaves_to_the_settings() -> None:
    everywhere = policy({"keepalive_s": 5, "retry_s": 7, "terminal_event": "plain", "first_event_s": 9})
    assert policy({"retry_s": 1, "event_gap_s": 2}, everywhere) == replace(
        SETTINGS, keepalive_s=5.0, retry_s=1.0, event_gap_s=2.0
    )


def test_the_upstream_is_asked_for_no_encoding() -> None:
    given = exchange(headers=[(b"accept-encoding", b"gzip"), (b"Accept-Encoding", b"br")])
    for method in chain(stream_guard={}).on_upstream_request:
        method(given, given.upstream_request)
    assert given.upstream_request.headers.get_all(b"accept-encoding") == [b"identity"]
    assert given.request.headers.get_all(b"accept-encoding") == [b"gzip", b"br"]


@pytest.mark.parametrize(
    ("upstream", "cache_control"),
    [
        ([], b"no-transform"),
        ([b""], b"no-transform"),
        ([b"no-cache"], b"no-cache, no-transform"),
        ([b"no-cache", b"private"], b"no-cache, private, no-transform"),
        ([b"No-Transform, no-cache"], b"No-Transform, no-cache"),
        ([b"no-cache", b"no-transform"], b"no-cache, no-transform"),
        ([b"no-transformation"], b"no-transformation, no-transform"),
    ],
    ids=str,
)
def test_hops_behind_are_told_to_hold_nothing(upstream: list[bytes], cache_control: bytes) -> None:
    fields = [*EVENTS, (b"X-Accel-Buffering", b"yes"), *((b"Cache-Control", value) for value in upstream)]
    found = run_response(chain(stream_guard={}), exchange(), fields)
    assert (found[b"cache-control"], found[b"x-accel-buffering"]) == (cache_control, b"no")


@pytest.mark.parametrize("content_type", [b"text/event-stream", b"Text/Event-Stream ; charset=utf-8"])
def test_a_stream_has_a_name(content_type: bytes) -> None:
    fields = [(b"Content-Type", content_type), (b"X-Stream-Id", b"the upstream's")]
    assert run_response(chain(stream_guard={}), exchange(), fields)[b"x-stream-id"] == b"e1"


@pytest.mark.parametrize(
    "fields",
    [[], [(b"Content-Type", b"application/json")], [(b"Content-Type", b"text/event-streams")]],
    ids=["no type", "json", "like it"],
)
def test_other_responses_are_left_alone(fields: list[tuple[bytes, bytes]]) -> None:
    found = run_response(chain(stream_guard={}), exchange(), [*fields, (b"Cache-Control", b"max-age=60")])
    assert found == {**{name.lower(): value for name, value in fields}, b"cache-control": b"max-age=60"}


def test_beside_the_plugin_sse_that_ones_headers_hold() -> None:
    found = run_response(chain(stream_guard={}, sse={}), exchange(), EVENTS)
    assert (found[b"cache-control"], found[b"x-accel-buffering"]) == (b"no-cache", b"no")
    assert found[b"x-stream-id"] == b"e1"
