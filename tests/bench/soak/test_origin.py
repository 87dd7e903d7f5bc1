"""The soak's origin, without a gateway before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.load.orders import LoadProcess
from bench.soak.events import StreamCheck
from bench.soak.kinds import KINDS
from bench.soak.origin import Stream
from tests.client import Client


@pytest.fixture
def origin() -> Iterator[tuple[LoadProcess, int]]:
    with LoadProcess("bench.soak.origin", 0) as process:
        yield process, process.answer()["port"]


def test_a_stream_begins_and_is_resumed_behind_any_event(origin: tuple[LoadProcess, int]) -> None:
    for after in (-1, 41):
        check = StreamCheck(b"7-0", after)
        with Client(origin[1]) as client:
            client.get("/fat/7-0", *[(b"Last-Event-ID", b"%d" % after)] * (after >= 0))
            assert client.read_head().get(b"content-type") == b"text/event-stream"
            for _ in range(2):
                check.feed(client.read_event().data)
        assert (check.problems, check.number) == ([], after + 2)


def test_a_stream_that_has_an_end_comes_to_it(origin: tuple[LoadProcess, int]) -> None:
    last = Stream(KINDS["brief"], b"7-1", -1).last
    assert last is not None
    check = StreamCheck(b"7-1", last - 2)
    with Client(origin[1]) as client:
        client.get("/brief/7-1", (b"Last-Event-ID", b"%d" % (last - 2)))
        client.read_head()
        check.feed(client.read_body())
    check.end(properly=True)
    assert (check.problems, check.events, check.is_final) == ([], 2, True)


@pytest.mark.parametrize(("order", "ended", "is_torn"), [("reset", "rst", False), ("cut", "fin", True)])
def test_streams_are_broken_when_told_to(
    origin: tuple[LoadProcess, int], order: str, ended: str, is_torn: bool
) -> None:
    process, port = origin
    check = StreamCheck(b"7-0", -1)
    with Client(port) as client:
        client.get("/quiet/7-0")
        client.read_head()
        check.feed(client.read_event().data)
        assert process.ask("tell")["streams"] == 1
        assert process.ask(order, streams=5) == {"streams": 1}
        rest = client.read_rest()
        assert client.ended == ended
    assert b"0\r\n\r\n" not in rest
    check.feed(rest.partition(b"\r\n")[2].removesuffix(b"\r\n"))
    assert (check.problems, check.is_torn) == ([], is_torn)
    assert process.ask("tell")["streams"] == 0
