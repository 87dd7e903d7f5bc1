"""A reload under a page's open EventSources: each is told when to come back, comes back behind its last event, and misses none."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.browser.chromium import WAIT_S, Seen, State, Watch, serve_page, visit
from tests.browser.confirmed_feed import ConfirmedFeed
from tests.client import Client
from tests.origin import Origin
from tests.running_program import Program

ENDLESS = 1_000_000
SILENT = 3
"""Events before a stream falls silent, so that it is reloaded under one of which nothing is on its way."""
FURTHER = 20
"""Events behind the reload."""
ENVIRON = {"HEADGATE_DRAIN_WINDOW_S": "1", "HEADGATE_DRAIN_IDLE_S": "1", "HEADGATE_STREAMS_RETRY_S": "0.2"}


def check_unbroken(watch: Watch, feed: ConfirmedFeed) -> None:
    """Every event once and in order; each time that it came back it said where it was.

    It may come back twice: the first time over a connection that was kept alive, to a worker that drains.
    """
    seen = watch.seen
    assert seen == [Seen("message", f"event {number}", str(number)) for number in range(1, len(seen) + 1)]
    first, *behind = feed.resumed_behind
    assert first is None
    assert behind
    assert None not in behind
    assert watch.states == [State.OPEN] + [State.CONNECTING, State.OPEN] * len(behind)


def wait_returned(origin: Origin, feed: ConfirmedFeed) -> None:
    origin.wait_for(lambda: len(feed.requests) > 1, f"the return to {feed.path}", timeout_s=WAIT_S)


@contextmanager
def told_to_come_back(port: int, path: str) -> Iterator[None]:
    """See that a stream that was open before the block is sent ``retry:`` before it ends.

    Over a connection of the test's own: what comes in the same moment as a cut Chromium may drop.
    """
    with Client(port, timeout_s=WAIT_S) as client:
        client.get(path)
        assert client.read_head().status == 200
        assert client.read_event().data == b":\n\n"
        assert client.read_event().data == b"id: 1\ndata: event 1\n\n"
        yield
        assert re.fullmatch(rb"retry: [1-9]\d*\n\n", client.read_event().data)


@pytest.mark.slow
def test_no_event_is_lost_or_doubled(tmp_path: Path, browser: Browser) -> None:
    flowing = ConfirmedFeed("/flowing", last=ENDLESS, pause_s=0.01)
    pouring = ConfirmedFeed("/pouring", last=ENDLESS, pause_s=0.01, is_eager=True)
    silent = ConfirmedFeed("/silent", last=SILENT)
    told = ConfirmedFeed("/told", last=1)
    with Origin() as origin, Program(tmp_path, workers=2, environ=ENVIRON) as program:
        origin.on("/page", serve_page)
        for feed in (flowing, pouring, silent, told):
            feed.serve_on(origin)
            feed.confirm_on(origin)
        program.route("1", "/*", origin.address)
        with visit(browser, f"http://127.0.0.1:{program.port}/page") as visitor:
            flow = visitor.watch(flowing.path, confirm=flowing.confirm_path)
            pour = visitor.watch(pouring.path)
            silence = visitor.watch(silent.path, confirm=silent.confirm_path)
            for watch in (flow, pour, silence):
                watch.wait_seen(SILENT)
            with told_to_come_back(program.port, told.path):
                program.process.send_signal(signal.SIGHUP)
                for feed in (flowing, pouring, silent):
                    wait_returned(origin, feed)
            program.wait_log("^reload ended$")
            goals = {watch: len(watch.seen) + FURTHER for watch in (flow, pour, silence)}
            silent.go_on_to(goals[silence])
            for watch, goal in goals.items():
                watch.wait_seen(goal)
            check_unbroken(flow, flowing)
            check_unbroken(pour, pouring)
            check_unbroken(silence, silent)
