"""A page's own EventSource and fetch, through headgate: nothing held back, lost or doubled, and who leaves is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.chromium import Seen, State, Visitor, serve_page, visit
from tests.browser.confirmed_feed import CHUNKED, ConfirmedFeed
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Wire
from tests.running_program import Program

BURST = 20
ALL = 100
"""Events over several bursts, each of which is cut."""


@dataclass(frozen=True, slots=True)
class Site:
    """A page and its origin, and a gateway before them."""

    origin: Origin
    program: Program
    visitor: Visitor


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    environ = {"HEADGATE_STREAMS_KEEPALIVE_S": "0.1"}
    with Program(tmp_path_factory.mktemp("gateway"), environ=environ) as program:
        yield program


@pytest.fixture
def site(program: Program, browser: Browser) -> Iterator[Site]:
    with Origin() as origin:
        origin.on("/page", serve_page)
        program.route("1", "/*", origin.address)
        with visit(browser, f"http://127.0.0.1:{program.port}/page") as visitor:
            yield Site(origin, program, visitor)


def numbered(first: int, last: int) -> list[Seen]:
    return [Seen("message", f"event {number}", str(number)) for number in range(first, last + 1)]


def test_each_event_is_dispatched_before_the_next_is_made(site: Site) -> None:
    written = [
        (b": a comment\n\nid: 1\ndata: plain\n\n", Seen("message", "plain", "1")),
        (b"id: 2\nevent: tick\ndata: named\n: a comment inside\n\n", Seen("tick", "named", "2")),
        (b"data: one\ndata:two\ndata:  three\n\n", Seen("message", "one\ntwo\n three", "2")),
        (
            b"id: 4\r\ndata: h\xc3\xa9 \xe2\x82\xac\r\n\r\n",
            Seen("message", "h\N{LATIN SMALL LETTER E WITH ACUTE} \N{EURO SIGN}", "4"),
        ),
        (b"id: 5\n\ndata\n\n", Seen("message", "", "5")),
        (
            b"event: tick\nunknown: x\n\nevent: tick\ndata: " + b"x" * 100_000 + b"\n\n",
            Seen("tick", "x" * 100_000, "5"),
        ),
    ]
    confirmed: list[Seen] = []
    stream = site.origin.events("/events", steps=[raw for raw, _ in written], end="hold")

    async def confirm(request: Received, wire: Wire) -> None:
        confirmed.append(Seen(**json.loads(await request.body())))
        await wire.respond(204)
        stream.confirm(len(confirmed) - 1)

    site.origin.on("/confirm", confirm)
    watch = site.visitor.watch("/events", types=["tick"], confirm="/confirm")
    watch.wait_seen(len(written))
    assert watch.seen == [seen for _, seen in written]
    assert confirmed[:-1] == watch.seen[:-1]
    assert watch.states == [State.OPEN]


def test_it_comes_back_behind_its_last_event(site: Site) -> None:
    feed = ConfirmedFeed("/feed", last=8, opening=b"retry: 10\n\n", ends={2: "proper", 4: "fin", 6: "rst"})
    feed.serve_on(site.origin)
    feed.confirm_on(site.origin)
    watch = site.visitor.watch("/feed", confirm=feed.confirm_path)
    watch.wait_seen(8)
    assert watch.seen == numbered(1, 8)
    assert feed.resumed_behind == [None, 2, 4, 6]
    assert watch.states == [State.OPEN, State.CONNECTING] * 3 + [State.OPEN]


def test_half_an_event_is_none(site: Site) -> None:
    whole = Gate()  # Chromium may drop bytes that come in the same moment as the cut, so they come before

    async def cut(request: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, CHUNKED)
        number = int(request.get(b"last-event-id") or 0) + 1
        await wire.chunk(b"retry: 10\nid: %d\ndata: event %d\n\n" % (number, number))
        if number > 1:
            await wire.gone()
        await whole.wait()
        await wire.chunk(b"id: 2\ndata: event 2\n")
        wire.fin()

    site.origin.on("/cut", cut)
    watch = site.visitor.watch("/cut")
    watch.wait_seen(1)
    whole.open()
    watch.wait_seen(2)
    assert watch.seen == numbered(1, 2)
    requests = [one for one in site.origin.requests if one.path == b"/cut"]
    assert [one.get(b"last-event-id") for one in requests] == [None, b"1"]


def test_a_cut_in_a_burst_costs_no_event(site: Site) -> None:
    async def burst(request: Received, wire: Wire) -> None:
        first = int(request.get(b"last-event-id") or 0) + 1
        numbers = range(first, first + BURST)
        await wire.head(200, EVENT_STREAM, CHUNKED)
        await wire.chunk(b"retry: 10\n\n" + b"".join(b"id: %d\ndata: event %d\n\n" % (one, one) for one in numbers))
        if first > ALL:
            await wire.gone()
        await wire.chunk(b"id: %d\ndata: half" % (numbers[-1] + 1))
        wire.rst()

    site.origin.on("/burst", burst)
    watch = site.visitor.watch("/burst")
    watch.wait_seen(ALL)
    seen = watch.seen
    assert seen == numbered(1, len(seen))


async def think(_: Received, wire: Wire) -> None:
    await wire.head(200, EVENT_STREAM, CHUNKED)
    await wire.chunk(b"id: 1\ndata: event 1\n\n")
    await wire.gone()


def test_keepalives_are_not_seen(site: Site) -> None:
    site.origin.on("/think", think)
    watch = site.visitor.watch("/think")
    watch.wait_seen(1)
    reader = site.visitor.read("/think")  # begun later, so by its fifth keep-alive the EventSource was sent four
    reader.wait_text("\n:\n\n", 5)
    assert (watch.seen, watch.states) == (numbered(1, 1), [State.OPEN])
    watch.close()
    ended = wait_client_gone(site.program, "/think")
    assert (ended["events"], ended["keepalives"] >= 4) == (1, True)


def test_keepalives_that_a_page_asks_for_are_seen(site: Site) -> None:
    site.origin.on("/think", think)
    guard = {"keepalive_s": 0.1, "keepalive_style": "event:ping"}
    site.program.route("1", "/*", site.origin.address, plugins={"stream-guard": guard})
    watch = site.visitor.watch("/think", types=["ping"])
    watch.wait_seen(3, "ping")
    first, *pings = watch.seen
    assert first == numbered(1, 1)[0]
    assert set(pings) == {Seen("ping", "{}", "1")}


def wait_client_gone(program: Program, target: str) -> dict[str, Any]:
    """Wait for the record of a stream whose client has left, and give it."""
    wanted = {"event": "stream_ended", "ending": "client_gone", "target": target}
    return program.wait_record(lambda record: wanted.items() <= record.items())


def close_source(visitor: Visitor, url: str) -> None:
    watch = visitor.watch(url)
    watch.wait_seen(1)
    watch.close()


def abort_fetch(visitor: Visitor, url: str) -> None:
    reader = visitor.read(url)
    reader.wait_text("event 1")
    reader.abort()
    reader.wait_end()
    assert reader.end == "AbortError"


def close_tab(visitor: Visitor, url: str) -> None:
    visitor.watch(url).wait_seen(1)
    visitor.leave()


@pytest.mark.parametrize("leave", [close_source, abort_fetch, close_tab])
def test_who_leaves_ends_the_upstream(site: Site, leave: Callable[[Visitor, str], None]) -> None:
    feed = ConfirmedFeed(f"/{leave.__name__}", last=1)
    feed.serve_on(site.origin)
    leave(site.visitor, feed.path)
    site.origin.closed(feed.requests[0].connection)
    wait_client_gone(site.program, feed.path)
    assert feed.resumed_behind == [None]
