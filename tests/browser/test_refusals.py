"""A browser's EventSource and an upstream that is down: told by a status it gives up for good, told by an event it comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.chromium import PLAIN_HOST, Seen, State, Visitor, serve_page, visit
from tests.browser.confirmed_feed import ConfirmedFeed
from tests.origin import Handler, Origin, Received, Wire
from tests.running_program import Program

RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Site:
    """A page, and an upstream of its feed that is down: nobody listens at ``port``, and nobody else can take it."""

    pages: Origin
    program: Program
    visitor: Visitor
    port: int

    def route(self, plugins: dict[str, Any]) -> None:
        """Write the feed's route."""
        self.program.route("feed", "/feed*", f"127.0.0.1:{self.port}", plugins=plugins)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("gateway")) as program:
        yield program


@pytest.fixture
def site(program: Program, browser: Browser) -> Iterator[Site]:
    with Origin() as pages, socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the upstream can listen beside it
        reserved.bind(("127.0.0.1", 0))
        pages.on("/page", serve_page)
        program.route("pages", "/*", pages.address)
        with visit(browser, f"http://127.0.0.1:{program.port}/page") as visitor:
            yield Site(pages, program, visitor, reserved.getsockname()[1])


def guard(refusals: str) -> dict[str, Any]:
    return {"stream-guard": {"refusals": refusals, "retry_s": RETRY_S}}


def messages(first: int, last: int) -> list[Seen]:
    return [Seen("message", f"event {number}", str(number)) for number in range(first, last + 1)]


@pytest.mark.parametrize("refusals", ["sse", "auto"])
def test_told_by_an_event_it_comes_back_until_the_upstream_is_up(site: Site, refusals: str) -> None:
    feed = ConfirmedFeed("/feed", last=3)
    feed.confirm_on(site.pages)
    site.program.route("confirm", feed.confirm_path, site.pages.address)
    site.route(guard(refusals))
    watch = site.visitor.watch("/feed", types=["refused"], confirm=feed.confirm_path)
    watch.wait_seen(3, "refused")
    assert {json.loads(one.data)["status"] for one in watch.seen} == {502}
    with Origin(port=site.port) as upstream:
        feed.serve_on(upstream)
        watch.wait_seen(3, "message")
    down = len([one for one in watch.seen if one.type == "refused"])
    watch.wait_seen(down + 2, "refused")  # down again, under an open stream
    with Origin(port=site.port) as upstream:
        feed.serve_on(upstream)
        feed.go_on_to(6)
        watch.wait_seen(6, "message")
        assert [one for one in watch.seen if one.type == "message"] == messages(1, 6)
        assert feed.resumed_behind == [None, 3]
        assert watch.state is State.OPEN
    assert State.CLOSED not in watch.states


@pytest.mark.parametrize("plugins", [{}, guard("status")], ids=["no plugin", "status"])
def test_told_by_a_status_it_gives_up(site: Site, plugins: dict[str, Any]) -> None:
    site.route(plugins)
    watch = site.visitor.watch("/feed", types=["refused"])
    watch.wait_state(State.CLOSED)
    with Origin(port=site.port) as upstream:
        feed = ConfirmedFeed("/feed", last=1)
        feed.serve_on(upstream)
        another = site.visitor.watch("/feed")
        another.wait_seen(1)
        assert len(feed.requests) == 1
    assert (watch.states, watch.seen) == ([State.CLOSED], [])


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_later_said_by_the_upstream_is_an_event_too(site: Site, status: int) -> None:
    with Origin(port=site.port) as upstream:
        upstream.on("/feed", answering(status))
        site.route(guard("auto"))
        watch = site.visitor.watch("/feed", types=["refused"])
        watch.wait_seen(2, "refused")
        assert {json.loads(one.data)["status"] for one in watch.seen} == {status}


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 500])
def test_never_keeps_its_status(site: Site, status: int) -> None:
    with Origin(port=site.port) as upstream:
        upstream.on("/feed", answering(status))
        site.route(guard("sse"))
        watch = site.visitor.watch("/feed", types=["refused"])
        watch.wait_state(State.CLOSED)
        assert (watch.states, watch.seen) == ([State.CLOSED], [])


def answering(status: int) -> Handler:
    """Make a handler that answers with a page, which is no event stream."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.respond(status, b"no events here\n", (b"Content-Type", b"text/plain"))

    return answer


def test_auto_knows_a_browser_on_a_plain_host_too(site: Site, browser: Browser) -> None:
    feed = ConfirmedFeed("/feed", last=1)
    site.route(guard("auto"))
    with visit(browser, f"http://{PLAIN_HOST}:{site.program.port}/page") as visitor:
        watch = visitor.watch("/feed", types=["refused"])
        watch.wait_seen(2, "refused")
        with Origin(port=site.port) as upstream:
            feed.serve_on(upstream)
            watch.wait_seen(1, "message")
            [request] = feed.requests
            assert (request.get(b"sec-fetch-mode"), request.get(b"origin")) == (None, None)
            assert request.get(b"referer") == visitor.page.url.encode()
            assert State.CLOSED not in watch.states


def test_a_page_of_another_origin_is_told_too(site: Site, browser: Browser) -> None:
    origin = f"http://{site.pages.address}"
    cors = {"allow_origins": origin, "allow_methods": "GET", "allow_headers": "X-None", "allow_credential": True}
    site.route({**guard("auto"), "cors": cors})
    with visit(browser, f"{origin}/page") as visitor:
        watch = visitor.watch(f"http://127.0.0.1:{site.program.port}/feed", types=["refused"], credentials=True)
        watch.wait_seen(2, "refused")
        assert State.CLOSED not in watch.states
