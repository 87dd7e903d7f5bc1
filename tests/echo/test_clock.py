"""The clock over sockets."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from tests.client import Client, get
from tests.echo.upstream import Upstream, running

from headgate.echo.clock import format_go_time

MESSAGE = re.compile(
    rb"data: Message: (\d+) - the time is "
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})? [+-]\d{4} \S+ m=\+(\d+\.\d{9})\n\n"
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running("clock") as started:
        yield started


def read_number(client: Client) -> int:
    event = client.read_event().data
    found = MESSAGE.fullmatch(event)
    assert found, event
    return int(found[1])


def test_stream_counts_on(upstream: Upstream) -> None:
    with Client(upstream.port) as client:
        client.get("/events/")
        head = client.read_head()
        assert head.status == 200
        assert {name: value for name, value in head.fields if name != b"date"} == {
            b"Content-Type": b"text/event-stream",
            b"Cache-Control": b"no-cache",
            b"Connection": b"keep-alive",
            b"Transfer-Encoding": b"chunked",
        }
        first = read_number(client)
        assert [read_number(client) for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_late_client_gets_the_same_message_and_no_earlier_one(upstream: Upstream) -> None:
    with Client(upstream.port) as early, Client(upstream.port) as late:
        early.get("/events/")
        early.read_head()
        seen = read_number(early)
        late.get("/events/any/where")
        late.read_head()
        first = read_number(late)
        assert first > seen
        assert [read_number(early) for _ in range(first - seen)][-1] == first
        assert late.read_event().data == early.read_event().data


def test_nothing_is_sent_before_the_first_message() -> None:
    started = time.monotonic()
    with running("clock", interval_s=0.5) as upstream, Client(upstream.port) as client:
        client.get("/events/")
        assert client.read_head().at - started >= 0.5
        found = MESSAGE.fullmatch(client.read_event().data)
        assert found
        number, since_start_s = int(found[1]), float(found[3])
        assert number >= 1
        assert since_start_s == number * 0.5


def test_client_that_leaves_before_the_first_message_is_forgotten() -> None:
    with running("clock", interval_s=3600) as upstream:
        with Client(upstream.port) as client:
            client.get("/events/")
        assert upstream.wait_for_line("Finished") == "Finished HTTP request at /events/"


@pytest.mark.parametrize(
    ("target", "status", "location", "body"),
    [
        ("/events", 301, b"/events/", b'<a href="/events/">Moved Permanently</a>.\n\n'),
        ("/events?a=1", 301, b"/events/?a=1", b'<a href="/events/?a=1">Moved Permanently</a>.\n\n'),
        ("/other", 404, None, b""),
        ("/eventsx", 404, None, b""),
        ("/events.html", 404, None, b""),
    ],
)
def test_other_paths(upstream: Upstream, target: str, status: int, location: bytes | None, body: bytes) -> None:
    response = get(upstream.port, target)
    assert (response.status, response.get(b"Location"), response.body) == (status, location, body)


def test_root_is_a_page(upstream: Upstream) -> None:
    response = get(upstream.port, "/")
    assert response.status == 200
    assert response.get(b"Content-Type") == b"text/html; charset=utf-8"
    assert b"EventSource" in response.body


@pytest.mark.parametrize(
    ("nanoseconds", "fraction"),
    [(0, ""), (500_000_000, ".5"), (123_456_789, ".123456789"), (120, ".00000012")],
)
def test_time_is_printed_as_go_does(monkeypatch: pytest.MonkeyPatch, nanoseconds: int, fraction: str) -> None:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        text = format_go_time(1_767_323_045 * 10**9 + nanoseconds, 5.0007)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text == f"2026-01-02 04:04:05{fraction} +0100 CET m=+5.000700000"
