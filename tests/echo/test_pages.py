from __future__ import annotations

from headgate.echo.pages import EVENTS_PAGE, websocket_page


def test_websocket_page_carries_its_path_as_text() -> None:
    assert b'data-path="/a&quot;&lt;b&gt;/"' in websocket_page('/a"<b>/')


def test_events_page_listens_to_the_stream() -> None:
    assert b'new EventSource("/events/")' in EVENTS_PAGE
