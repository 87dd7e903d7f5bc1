from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.plain_exchange import PlainExchange, chain, exchange, run_events
from tests.plugins.refusals import refusal_of

FIRST = b"id: 7\nevent: tick\ndata: h\xc3\xa9llo\n\n"
SECOND = b"data: two\ndata: lines\n\n"


def logged(conf: dict[str, Any], stream: bytes) -> list[dict[str, Any]]:
    given = exchange()
    assert run_events(chain(stream_log=conf), given, stream) == stream
    assert {name for name, _ in given.records} <= {"event"}
    return [fields for _, fields in given.records]


def test_one_record_per_event_and_the_stream_untouched() -> None:
    first, second = logged({}, FIRST + b": keep-alive\n\nretry: 5\n\n" + SECOND)
    assert first == {"event_id": "7", "event_type": "tick", "event_bytes": len(FIRST), "since_previous_s": None}
    assert 0 <= second.pop("since_previous_s") < 60
    assert second == {"event_id": None, "event_type": "message", "event_bytes": len(SECOND)}


@pytest.mark.parametrize(("data_bytes", "shown"), [(4096, "héllo"), (3, "hé"), (2, "h\ufffd")])
def test_data_is_shown_as_far_as_asked(data_bytes: int, shown: str) -> None:
    assert [record["event_data"] for record in logged({"data_bytes": data_bytes}, FIRST)] == [shown]


def test_time_is_kept_per_exchange() -> None:
    plugins = chain(stream_log={})
    for given in (exchange(), exchange()):
        run_events(plugins, given, FIRST)
        assert [fields["since_previous_s"] for _, fields in given.records] == [None]


def test_a_block_too_large_to_hold_is_shown_as_fragments() -> None:
    given: PlainExchange = exchange()
    stream = b"data: " + b"x" * 200 + b"\n\n"
    run_events(chain(stream_log={}), given, stream, max_event_bytes=64)
    assert {fields.get("event_fragment") for _, fields in given.records} == {True}
    assert 0 < sum(int(str(fields["event_bytes"])) for _, fields in given.records) <= len(stream)


@pytest.mark.parametrize(
    ("data_bytes", "text"),
    [
        (-1, 'property "data_bytes" validation failed: expected -1 to be at least 0'),
        (4097, 'property "data_bytes" validation failed: expected 4097 to be at most 4096'),
        (True, 'property "data_bytes" validation failed: wrong type: expected integer, got boolean'),
    ],
)
def test_refusals(data_bytes: object, text: str) -> None:
    assert refusal_of("stream-log", {"data_bytes": data_bytes}) == text
