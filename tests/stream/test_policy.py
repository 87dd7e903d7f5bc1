from __future__ import annotations

import dataclasses

import pytest

from headgate.stream.policy import COMMENT, Close, OnClientGone, OnRouteRemoved, Refusals, StreamPolicy
from headgate.wire.sse import EventParser, RawEvent


def test_without_anything_said_nothing_is_done() -> None:
    values = {field.name: field.default for field in dataclasses.fields(StreamPolicy)}
    assert values == {
        "keepalive_s": 0.0,
        "keepalive": COMMENT,
        "early": False,
        "first_event_s": 0.0,
        "event_gap_s": 0.0,
        "max_duration_s": 0.0,
        "max_duration_jitter_s": 0.0,
        "max_bytes": 0,
        "max_event_bytes": 0,
        "end_marker": None,
        "terminal_event": None,
        "close": Close.ABORT,
        "on_client_gone": OnClientGone.CANCEL,
        "on_route_removed": OnRouteRemoved.KEEP,
        "refusals": Refusals.STATUS,
        "retry_s": 3.0,
        "peek": None,
    }


def test_a_policy_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        StreamPolicy().keepalive_s = 1.0  # type: ignore[misc]  # what is tried


def test_the_comment_is_a_block_that_no_client_acts_on() -> None:
    assert RawEvent(COMMENT).is_comment_only
    assert EventParser().feed(COMMENT) == []
