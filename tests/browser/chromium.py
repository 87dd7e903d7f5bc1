"""Debian's Chromium without a window, and the page in it that the tests look through.

A test reads as what a page's author would write and see::

    watch = visitor.watch("/events")
    watch.wait_seen(2)
    assert watch.seen == [Seen("message", "one", "1"), Seen("message", "two", "2")]
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as WaitedTooLong
from tests.origin import Received, Wire

WAIT_S = 120.0
PAGE = Path(__file__).with_name("page.html").read_bytes()
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)
PLAIN_HOST = "plain.test"
"""Leads here too, but is not localhost: over plain HTTP the browser trusts it less, and sends it no ``Sec-Fetch-…``."""


class State(IntEnum):
    """``EventSource.readyState`` (WHATWG HTML §9.2.2)."""

    CONNECTING = 0
    OPEN = 1
    CLOSED = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as the page got it; ``id`` is ``lastEventId``."""

    type: str
    data: str
    id: str


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium for the length of a ``with`` block. ``make test`` installs it where it is missing."""
    program = shutil.which("chromium")
    assert program is not None, "these tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=WAIT_S * 1000)
        try:
            yield browser
        finally:
            browser.close()


async def serve_page(_: Received, wire: Wire) -> None:
    """Answer with the page."""
    await wire.respond(200, PAGE, (b"Content-Type", b"text/html; charset=utf-8"))


class Watch:
    """An EventSource of the page."""

    def __init__(self, page: Page, number: int) -> None:
        self._page = page
        self._this = f"watches[{number}]"

    @property
    def seen(self) -> list[Seen]:
        """Every event so far."""
        return [Seen(**one) for one in self._page.evaluate(f"{self._this}.seen")]

    @property
    def state(self) -> State:
        """Its readyState now."""
        return State(self._page.evaluate(f"{self._this}.source.readyState"))

    @property
    def states(self) -> list[State]:
        """Its readyState at each ``open`` and ``error``."""
        return [State(one) for one in self._page.evaluate(f"{self._this}.states")]

    def wait_seen(self, events: int, type_: str | None = None) -> None:
        """Wait until it has that many events, of that type if one is given."""
        wanted = f"{self._this}.seen.filter((one) => argument === null || one.type === argument)"
        wait_for(self._page, f"{wanted}.length >= {events}", type_)

    def wait_state(self, state: State) -> None:
        """Wait until it has been in that state at an ``open`` or ``error``."""
        wait_for(self._page, f"{self._this}.states.includes({state})")

    def close(self) -> None:
        """Call ``EventSource.close()``."""
        self._page.evaluate(f"{self._this}.source.close()")


class Reader:
    """A streaming fetch of the page."""

    def __init__(self, page: Page, number: int) -> None:
        self._page = page
        self._this = f"readers[{number}]"

    @property
    def text(self) -> str:
        """What has come of the body."""
        return str(self._page.evaluate(f"{self._this}.text"))

    @property
    def end(self) -> str | None:
        """``complete``, the name of the error that ended it, or None while it runs."""
        end: str | None = self._page.evaluate(f"{self._this}.end")
        return end

    def wait_text(self, needle: str, times: int = 1) -> None:
        """Wait until ``needle`` has come that often."""
        wait_for(self._page, f"{self._this}.text.split(argument).length > {times}", needle)

    def wait_end(self) -> None:
        """Wait until it has ended."""
        wait_for(self._page, f"{self._this}.end !== null")

    def abort(self) -> None:
        """Call ``AbortController.abort()``."""
        self._page.evaluate(f"{self._this}.aborter.abort()")


class Visitor:
    """Somebody with a browser of their own, who has the page open."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def watch(
        self,
        url: str,
        *,
        types: Sequence[str] = (),
        credentials: bool = False,
        confirm: str | None = None,
    ) -> Watch:
        """Open an EventSource for ``message`` and ``types``; each event is posted to ``confirm``, if given, as JSON."""
        options = {"url": url, "types": list(types), "credentials": credentials, "confirm": confirm}
        return Watch(self.page, self.page.evaluate("(options) => watch(options)", options))

    def read(self, url: str) -> Reader:
        """Begin a fetch."""
        return Reader(self.page, self.page.evaluate("(options) => read(options)", {"url": url}))

    def leave(self) -> None:
        """Close the tab."""
        self.page.close()


@contextmanager
def visit(browser: Browser, url: str) -> Iterator[Visitor]:
    """Open the page in a profile of its own; what goes wrong in its script fails the test."""
    with browser.new_context() as context:
        context.set_default_timeout(WAIT_S * 1000)
        page = context.new_page()
        page.goto(url)
        yield Visitor(page)
        if not page.is_closed():
            assert page.evaluate("problems") == []


def wait_for(page: Page, condition: str, argument: Any = None) -> None:
    """Wait until a condition of the page holds, an expression in which ``argument`` may stand."""
    checked = f"(argument) => {{ if (problems.length) throw new Error(problems[0]); return {condition}; }}"
    try:
        page.wait_for_function(checked, arg=argument)
    except WaitedTooLong as error:
        raise AssertionError(f"waited for {condition} ({argument!r}); {page.evaluate('summary()')}") from error
