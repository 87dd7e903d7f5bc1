from __future__ import annotations

from io import StringIO

import pytest

from headgate.cli.demo_screen import Screen

REQUEST = {"id": "0-abc-7", "method": "GET", "target": "/.sse", "upstream": "127.0.0.1:8080", "status": 200}


def shown(record: dict[str, object]) -> str:
    out = StringIO()
    Screen(out).show(record)
    return out.getvalue()


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({"event": "stream_opened", **REQUEST}, "stream 7 opens  GET /.sse -> 127.0.0.1:8080 200\n"),
        (
            {"event": "event", "id": "0-abc-7", "event_id": "3", "event_type": "time", "event_data": "a\nb"},
            "stream 7 event  id 3  time  a …\n",
        ),
        (
            {"event": "event", "id": "0-abc-7", "event_id": None, "event_type": "message", "since_previous_s": 0.5},
            "stream 7 event  id -  message    +0.500 s\n",
        ),
        (
            {"event": "stream_ended", **REQUEST, "ending": "complete", "events": 3, "bytes": 57, "duration_s": 0.9},
            "stream 7 ended  complete: 3 events, 57 bytes, 0.900 s\n",
        ),
        ({"event": "request_ended", "status": 400, "ending": "refused"}, "request ? ? 400 refused\n"),
        ({"event": "ready"}, ""),
    ],
)
def test_a_record_is_one_line(record: dict[str, object], line: str) -> None:
    assert shown(record) == line


def test_the_welcome_names_what_to_try_on_the_demos_own_ports() -> None:
    out = StringIO()
    Screen(out).welcome(echo=1, proxy=2, admin=3)
    assert "curl -N http://127.0.0.1:2/.sse -H 'Accept: text/event-stream'" in out.getvalue()
    assert "127.0.0.1:3/apisix/admin/routes/demo" in out.getvalue()
