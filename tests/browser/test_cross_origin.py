"""A page of one origin and a stream of another: what the plugin ``cors`` has to say before a browser lets events through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.chromium import Seen, State, Visitor, serve_page, visit
from tests.browser.confirmed_feed import ConfirmedFeed
from tests.origin import Origin
from tests.running_program import Program

COOKIE = b"session=s3cret"


@dataclass(frozen=True, slots=True)
class Site:
    """A page that is served without the gateway, at ``origin``, and a feed that it reads through the gateway."""

    origin: Origin
    program: Program
    visitor: Visitor

    @property
    def page_origin(self) -> str:
        """The page's origin."""
        return f"http://{self.origin.address}"

    def url(self, path: str) -> str:
        """Give a path's address at the gateway, which is another origin."""
        return f"http://127.0.0.1:{self.program.port}{path}"

    def route(self, plugins: dict[str, Any]) -> None:
        """Write the route."""
        self.program.route("1", "/*", self.origin.address, plugins=plugins)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("gateway")) as program:
        yield program


@pytest.fixture
def site(program: Program, browser: Browser) -> Iterator[Site]:
    with Origin() as origin:
        origin.on("/page", serve_page)
        with visit(browser, f"http://{origin.address}/page") as visitor:
            visitor.page.context.add_cookies(
                [{"name": "session", "value": "s3cret", "domain": "127.0.0.1", "path": "/", "httpOnly": True}]
            )
            yield Site(origin, program, visitor)


def allowing(site: Site, **more: Any) -> dict[str, Any]:
    """Give the attributes that let the page in: with credentials none of the defaults, which are ``*``, may stand."""
    return {"allow_origins": site.page_origin, "allow_methods": "GET", "allow_headers": "Last-Event-ID", **more}


def test_with_credentials(site: Site) -> None:
    feed = ConfirmedFeed("/feed", last=4, opening=b"retry: 10\n\n", ends={2: "proper"})
    feed.serve_on(site.origin)
    feed.confirm_on(site.origin)  # the page posts them to its own origin
    site.route({"cors": allowing(site, allow_credential=True)})
    watch = site.visitor.watch(site.url("/feed"), credentials=True, confirm=feed.confirm_path)
    watch.wait_seen(4)
    assert watch.seen == [Seen("message", f"event {number}", str(number)) for number in (1, 2, 3, 4)]
    assert feed.resumed_behind == [None, 2]
    assert [one.get(b"cookie") for one in feed.requests] == [COOKIE, COOKIE]
    assert [one.get(b"origin") for one in feed.requests] == [site.page_origin.encode()] * 2


def test_without_credentials(site: Site) -> None:
    feed = ConfirmedFeed("/feed", last=4, opening=b"retry: 10\n\n", ends={2: "proper"})
    feed.serve_on(site.origin)
    feed.confirm_on(site.origin)
    site.route({"cors": {}})
    watch = site.visitor.watch(site.url("/feed"), confirm=feed.confirm_path)
    watch.wait_seen(4)
    assert feed.resumed_behind == [None, 2]
    assert [one.get(b"cookie") for one in feed.requests] == [None, None]


def test_no_preflight_is_made(site: Site) -> None:
    feed = ConfirmedFeed("/asked", last=2, opening=b"retry: 10\n\n", ends={1: "proper"})
    feed.serve_on(site.origin)
    feed.confirm_on(site.origin)
    site.route({"cors": allowing(site, allow_methods="POST", allow_headers="X-Other")})  # a preflight would fail
    site.visitor.watch(site.url("/asked"), confirm=feed.confirm_path).wait_seen(2)
    site.visitor.leave()
    asked: list[str] = []

    def both_have_ended() -> bool:
        ended = [one for one in site.program.records if one["event"].endswith("_ended")]
        asked[:] = [one["method"] for one in ended if one["target"] == "/asked"]
        return len(asked) >= 2

    site.program.wait_for(both_have_ended, "both streams' records")
    assert asked == ["GET", "GET"]


@pytest.mark.parametrize(
    ("cors", "credentials"),
    [
        pytest.param(None, False, id="no plugin"),
        pytest.param(None, True, id="no plugin, credentials"),
        pytest.param({}, True, id="any origin, so no credentials"),
        pytest.param({"allow_origins": "**"}, True, id="the origin is named, credentials are not"),
        pytest.param({"allow_origins": "https://other.example"}, False, id="another origin"),
    ],
)
def test_what_is_not_allowed_is_closed_for_good(site: Site, cors: dict[str, Any] | None, credentials: bool) -> None:
    feed = ConfirmedFeed("/feed", last=1, opening=b"retry: 10\n\n")
    feed.serve_on(site.origin)
    site.route({} if cors is None else {"cors": cors})
    watch = site.visitor.watch(site.url("/feed"), credentials=credentials)
    watch.wait_state(State.CLOSED)
    assert (watch.states, watch.seen) == ([State.CLOSED], [])
    assert len(feed.requests) == 1  # it was asked all the same
