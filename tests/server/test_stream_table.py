from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from tests.client import Client
from tests.origin import EVENT_STREAM, Origin, Received, Wire
from tests.running_gateway import RunningGateway, eventually, route

from headgate.server.stream_table import STEP_STREAMS, Search, StreamRow, StreamTable
from headgate.stream.ending import Ending


class Scene:
    """A gateway with a route to an origin whose streams stay open behind one event, and its stream table."""

    def __init__(self, stack: ExitStack, **settings: Any) -> None:
        self.stack = stack
        self.origin = stack.enter_context(Origin())
        self.origin.on("/*", self._stream)
        self.gateway = stack.enter_context(
            RunningGateway(
                [route("a", "/a/*", self.origin.address), route("b", "/b/*", self.origin.address)], **settings
            )
        )
        self.table = StreamTable(self.gateway.gateway.streams, mask={"mine"})

    async def _stream(self, request: Received, wire: Wire) -> None:
        kind = request.path.rpartition(b"/")[2]
        more = [(b"Content-Encoding", b"gzip")] if kind == b"encoded" else []
        await wire.head(200, EVENT_STREAM, *more, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(b"data: a\n\n")
        await wire.gone()

    def open(self, target: str) -> Client:
        """Open a stream and see its first event."""
        client = self.stack.enter_context(Client(self.gateway.port))
        client.get(target, host=b"some.example")
        assert client.read_head().status == 200
        client.read_chunk()
        return client

    def find(self, search: Search) -> list[StreamRow]:
        """Give the rows of what is found."""

        def look() -> list[StreamRow]:
            found = [exchange for some in self.table.search(search) for exchange in some]
            return self.table.rows(found, self.gateway.gateway.clock(), is_draining=False)

        return self.gateway.call(look)


def test_a_row_has_what_the_access_log_has() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.open("/a/1?token=secret&mine=too&x=y")
        (row,) = scene.find(Search())
        record = scene.gateway.record(event="stream_opened")
        for name in ("id", "route", "client", "method", "host", "status", "upstream"):
            assert getattr(row, name) == record[name]
        assert row.target == "/a/1?token=***&mine=***&x=y"
        assert (row.service, row.consumer, row.untouched, row.state) == (None, None, None, "open")
        assert (row.events, row.bytes, row.keepalives, row.blocked, row.blocked_s) == (1, 9, 0, False, 0.0)
        assert row.first_event_s is not None
        assert row.since_event_s is not None
        assert 0 <= row.first_event_s <= row.age_s
        assert 0 <= row.since_event_s <= row.age_s


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), ["/a/1", "/a/2", "/b/1"]),
        (Search(route="a"), ["/a/1", "/a/2"]),
        (Search(route="A"), []),
        (Search(client="127.0.0.1"), ["/a/1", "/a/2", "/b/1"]),
        (Search(client="127.0.0.2"), []),
        (Search(consumer="somebody"), []),
        (Search(route="b", client="127.0.0.1"), ["/b/1"]),
        (Search(id="0-1-1"), []),
    ],
)
def test_searches(search: Search, expected: list[str]) -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        for target in ("/a/1", "/a/2", "/b/1"):
            scene.open(target)
        assert sorted(row.target for row in scene.find(search)) == expected


def test_one_by_its_id() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.open("/a/1")
        scene.open("/a/2")
        first, second = scene.find(Search())
        assert [row.target for row in scene.find(Search(id=second.id))] == [second.target]
        assert scene.find(Search(id=first.id, route="b")) == []
        exchange = scene.gateway.call(lambda: scene.table.get(first.id))
        assert exchange is not None
        assert exchange.id == first.id


def test_a_stream_that_cannot_be_read_shows_no_events() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.open("/a/encoded")
        (row,) = scene.find(Search())
        assert (row.events, row.bytes, row.untouched, row.first_event_s) == (None, 9, "encoded", None)


def test_a_client_that_takes_nothing_shows_as_blocked() -> None:
    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        while True:
            await wire.chunk(b"data: %s\n\n" % (b"x" * 60_000))

    with ExitStack() as stack:
        scene = Scene(stack)
        scene.origin.on("/a/flood", flood)
        client = stack.enter_context(Client(scene.gateway.port, receive_buffer_bytes=4096))
        client.get("/a/flood")
        row = eventually(lambda: next((row for row in scene.find(Search()) if row.blocked), None))
        later = eventually(lambda: next((one for one in scene.find(Search()) if one.blocked_s > row.blocked_s), None))
        assert later.blocked


def test_a_stream_that_is_to_end_shows_as_draining() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        client = scene.open("/a/1")
        (row,) = scene.find(Search())

        def half_and_drain() -> list[StreamRow]:
            exchange = scene.table.get(row.id)
            assert exchange is not None
            assert exchange.relay is not None
            exchange.relay.piece_received(b"data: half")
            exchange.end_soon(Ending.DRAIN)
            assert scene.table.rows([exchange], 0.0, is_draining=True)[0].state == "draining"
            return scene.table.rows([exchange], 0.0, is_draining=False)

        assert [one.state for one in scene.gateway.call(half_and_drain)] == ["draining"]
        client.close()


def test_what_has_ended_meanwhile_is_left_out() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.open("/a/1")
        scene.open("/a/2")

        def look() -> list[StreamRow]:
            found = [exchange for some in scene.table.search(Search()) for exchange in some]
            found[0].stop(Ending.KILLED)
            return scene.table.rows(found, 0.0, is_draining=False)

        assert [row.target for row in scene.gateway.call(look)] == ["/a/2"]


def test_a_large_table_is_read_in_steps_while_it_changes() -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.open("/a/1")

        def look() -> list[int]:
            (exchange,) = scene.gateway.gateway.streams.values()
            many = {str(number): exchange for number in range(2 * STEP_STREAMS + 1)}
            sizes = []
            for some in StreamTable(many, mask=()).search(Search()):
                sizes.append(len(some))
                many.clear()
            return sizes

        assert scene.gateway.call(look) == [STEP_STREAMS, STEP_STREAMS, 1]
