"""A worker's answers about its streams: a real gateway with real streams, and control as the test plays it over a link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from tests.client import Client
from tests.origin import EVENT_STREAM, Gate, Origin, Received, Steps, Wire
from tests.running_gateway import RunningGateway, eventually, route

from headgate.runtime.link import ControlLink, WorkerLink, open_control_link, open_worker_link
from headgate.runtime.stream_commands import StreamCommands, StreamSession
from headgate.runtime.stream_messages import (
    BATCH_ITEMS,
    MAX_TAILS,
    WINDOW_BATCHES,
    KillStream,
    ListStreams,
    ReadTail,
    StartTail,
    StopTail,
    StreamCommand,
    StreamKilled,
    StreamReport,
    StreamRows,
    TailBatch,
    TailStarted,
)
from headgate.server.stream_table import STEP_ROWS, Search
from headgate.stream.ending import Ending
from headgate.stream.event_stream_relay import EventStreamRelay
from headgate.stream.tail import MAX_ITEMS, TailEvent, TailGap

ANSWER_S = 20.0
A, B, C = (b"data: %c\n\n" % letter for letter in b"abc")
Report = TypeVar("Report", bound=StreamReport)


class Scene:
    """A gateway before an origin, and the session of its one link. ``lost`` is what tails did not take down."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.lost = 0
        self.origin = stack.enter_context(Origin())
        self.gateway = stack.enter_context(RunningGateway([route("r", "/*", self.origin.address)]))
        self.control: ControlLink
        self.session: StreamSession
        stack.callback(lambda: self.gateway.await_(self._close()))
        self.gateway.await_(self._open())

    async def _open(self) -> None:
        ours, theirs = socket.socketpair()
        self.control = await open_control_link(ours.detach())
        self.worker: WorkerLink = await open_worker_link(theirs.detach())
        commands = StreamCommands(self.gateway.gateway, mask=(), on_lost=self._lose)
        self.session = commands.open(self.worker)
        self._running = asyncio.create_task(self.session.run())

    async def _close(self) -> None:
        self._running.cancel()
        self.session.close()
        self.control.close()
        self.worker.close()
        await asyncio.wait([self._running])
        await asyncio.gather(self.control.closed.wait(), self.worker.closed.wait())

    def _lose(self, events: int) -> None:
        self.lost += events

    def open(self, target: str, first: bytes = A) -> Client:
        """Open a stream and see its first event."""
        client = self.stack.enter_context(Client(self.gateway.port))
        client.get(target)
        assert client.read_head().status == 200
        assert client.read_event().data == first
        return client

    def steps(self, target: str, *steps: bytes) -> Steps:
        """Have the origin stream these, each one when the one before is confirmed."""
        return self.origin.events(target, steps=steps)

    def tell(self, *commands: StreamCommand) -> None:
        """Give commands, as they come over the link."""

        def take_all() -> None:
            for command in commands:
                self.session.take(command)

        self.gateway.call(take_all)

    def hear(self, kind: type[Report]) -> Report:
        """Give the worker's next report, which has to be of a kind."""
        report = self.gateway.await_(asyncio.wait_for(self.control.receive(), ANSWER_S))
        assert isinstance(report, kind), report
        return report

    def ids(self) -> dict[str, str]:
        """Give the ids of open streams by their targets."""
        return {one.request.target.decode(): one.id for one in list(self.gateway.gateway.streams.values())}

    def taps(self, stream_id: str) -> int:
        """Give how many look on at a stream."""
        exchange = self.gateway.gateway.streams[stream_id]
        assert isinstance(exchange.relay, EventStreamRelay)
        return len(exchange.relay._taps)


def scene_of(test: Callable[[Scene], None]) -> None:
    with ExitStack() as stack:
        test(Scene(stack))


def event_numbers(batch: TailBatch) -> list[int]:
    return [item.number for item in batch.items if isinstance(item, TailEvent)]


def test_a_list_comes_in_parts_the_oldest_first() -> None:
    streams = 2 * STEP_ROWS + 3

    def test(scene: Scene) -> None:
        for number in range(streams):
            scene.steps(f"/{number}", A)
            scene.open(f"/{number}")
        scene.tell(ListStreams(1, Search()))
        parts = [scene.hear(StreamRows) for _ in range(4)]
        rows = [row for part in parts for row in part.rows]
        assert [len(part.rows) for part in parts] == [STEP_ROWS, STEP_ROWS, 3, 0]
        assert [part.total for part in parts] == [None, None, None, streams]
        assert [row.target for row in rows] == [f"/{number}" for number in range(streams)]
        scene.tell(ListStreams(2, Search(limit=2)))
        assert [row.target for row in scene.hear(StreamRows).rows] == ["/0", "/1"]
        assert scene.hear(StreamRows) == StreamRows(2, [], streams)
        scene.tell(ListStreams(3, Search(route="none")))
        assert scene.hear(StreamRows) == StreamRows(3, [], 0)

    scene_of(test)


def test_kill_ends_just_the_one() -> None:
    def test(scene: Scene) -> None:
        for target in ("/1", "/2"):
            scene.steps(target, A)
        one, two = scene.open("/1"), scene.open("/2")
        ids = scene.ids()
        scene.tell(KillStream(1, ids["/1"]), KillStream(2, ids["/1"]), KillStream(3, "nobody"))
        assert scene.hear(StreamKilled) == StreamKilled(1, Ending.KILLED)
        assert scene.hear(StreamKilled) == StreamKilled(2, None)
        assert scene.hear(StreamKilled) == StreamKilled(3, None)
        assert one.read_end() in {"fin", "rst"}
        assert scene.gateway.ending(event="stream_ended") == "killed"
        assert list(scene.ids()) == ["/2"]
        two.close()

    scene_of(test)


def test_a_tail_shows_each_event_before_the_next_is_sent_and_the_end() -> None:
    def test(scene: Scene) -> None:
        steps = scene.steps("/1", A, B, C)
        client = scene.open("/1")
        scene.tell(StartTail(5, scene.ids()["/1"], True))
        assert scene.hear(TailStarted) == TailStarted(5, None)
        for number, step in ((2, B), (3, C)):
            steps.confirm(number - 2)
            batch = scene.hear(TailBatch)
            (item,) = batch.items
            assert isinstance(item, TailEvent)
            assert (item.number, item.data, batch.ending) == (number, step[6:7], None)
            scene.tell(ReadTail(5))
        steps.confirm(2)
        assert scene.hear(TailBatch) == TailBatch(5, [], Ending.COMPLETE)
        assert client.read_body() == B + C

    scene_of(test)


def test_without_data_none_leaves_the_worker() -> None:
    def test(scene: Scene) -> None:
        steps = scene.steps("/1", A, B)
        scene.open("/1")
        scene.tell(StartTail(5, scene.ids()["/1"], False))
        scene.hear(TailStarted)
        steps.confirm(0)
        (item,) = scene.hear(TailBatch).items
        assert isinstance(item, TailEvent)
        assert item.data is None

    scene_of(test)


def test_what_is_not_read_waits_in_the_worker_up_to_a_limit_while_the_stream_flows() -> None:
    events = 5000
    begin = Gate()

    async def flood(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(A)
        await begin.wait()
        for number in range(events):
            await wire.chunk(b"data: %d\n\n" % number)
        await wire.last_chunk()

    def test(scene: Scene) -> None:
        scene.origin.on("/1", flood)
        client = scene.open("/1")
        scene.tell(StartTail(5, scene.ids()["/1"], True))
        scene.hear(TailStarted)
        begin.open()
        assert client.read_body() == b"".join(b"data: %d\n\n" % number for number in range(events))
        batches = [scene.hear(TailBatch) for _ in range(WINDOW_BATCHES)]
        scene.tell(ListStreams(6, Search()))
        assert scene.hear(StreamRows).rows == []  # no more batches than were asked for
        while batches[-1].ending is None:
            scene.tell(ReadTail(5))
            batches.append(scene.hear(TailBatch))
        items = [item for batch in batches for item in batch.items]
        assert max(len(batch.items) for batch in batches) == BATCH_ITEMS
        lost = sum(item.lost for item in items if isinstance(item, TailGap))
        shown = [number for batch in batches for number in event_numbers(batch)]
        assert len(shown) + lost == events
        assert len(shown) <= MAX_ITEMS + WINDOW_BATCHES * BATCH_ITEMS
        assert (scene.lost, batches[-1].ending) == (lost, Ending.COMPLETE)

    scene_of(test)


def test_a_burst_is_sent_as_far_as_the_window_goes() -> None:
    burst = b"".join(b"data: %d\n\n" % number for number in range(2, MAX_ITEMS + 1))

    def test(scene: Scene) -> None:
        steps = scene.steps("/1", A, burst)
        scene.open("/1")
        scene.tell(StartTail(5, scene.ids()["/1"], True))
        scene.hear(TailStarted)
        steps.confirm(0)  # one piece, and nothing behind it that would move the tail on
        numbers = [number for _ in range(WINDOW_BATCHES) for number in event_numbers(scene.hear(TailBatch))]
        assert numbers == list(range(2, 2 + WINDOW_BATCHES * BATCH_ITEMS))

    scene_of(test)


def test_a_tail_that_is_stopped_takes_its_tap_away() -> None:
    def test(scene: Scene) -> None:
        scene.steps("/1", A)
        scene.open("/1")
        stream_id = scene.ids()["/1"]
        scene.tell(StartTail(1, stream_id, True), StartTail(2, stream_id, True))
        scene.hear(TailStarted)
        scene.hear(TailStarted)
        assert scene.taps(stream_id) == 2
        scene.tell(StopTail(1))
        eventually(lambda: scene.taps(stream_id) == 1)
        # One that is stopped before it was begun leaves none either.
        scene.tell(StartTail(3, stream_id, True), StopTail(3), ReadTail(3), StopTail(99))
        assert scene.hear(TailStarted) == TailStarted(3)
        eventually(lambda: scene.taps(stream_id) == 1)
        scene.gateway.call(scene.session.close)
        assert scene.taps(stream_id) == 0

    scene_of(test)


def test_why_there_is_no_tail() -> None:
    async def encoded(_: Received, wire: Wire) -> None:
        await wire.head(200, EVENT_STREAM, (b"Content-Encoding", b"gzip"), (b"Transfer-Encoding", b"chunked"))
        await wire.chunk(A)
        await wire.gone()

    def test(scene: Scene) -> None:
        scene.origin.on("/encoded", encoded)
        scene.open("/encoded")
        scene.tell(StartTail(1, "nobody", True), StartTail(2, scene.ids()["/encoded"], True))
        assert scene.hear(TailStarted) == TailStarted(1, "unknown")
        assert scene.hear(TailStarted) == TailStarted(2, "unreadable")
        scene.steps("/1", A)
        scene.open("/1")
        stream_id = scene.ids()["/1"]
        scene.tell(*(StartTail(10 + number, stream_id, False) for number in range(MAX_TAILS + 1)))
        answers = [scene.hear(TailStarted).refusal for _ in range(MAX_TAILS + 1)]
        assert answers == [None] * MAX_TAILS + ["too_many"]
        scene.tell(StopTail(10), StartTail(999, stream_id, False))
        assert scene.hear(TailStarted) == TailStarted(999)

    scene_of(test)


def test_flushing_waits_until_the_end_is_told() -> None:
    def test(scene: Scene) -> None:
        scene.steps("/1", A)
        scene.open("/1")
        stream_id = scene.ids()["/1"]
        scene.tell(StartTail(1, stream_id, True))
        scene.hear(TailStarted)
        scene.gateway.await_(scene.session.flush())  # a stream that is open is not waited for
        scene.tell(KillStream(2, stream_id))
        assert scene.hear(StreamKilled).ending is Ending.KILLED
        scene.gateway.await_(scene.session.flush())
        assert scene.session._tails == {}
        assert scene.hear(TailBatch).ending is Ending.KILLED

    scene_of(test)


def test_a_link_that_ends_ends_the_session() -> None:
    def test(scene: Scene) -> None:
        scene.steps("/1", A, B)
        scene.open("/1")
        scene.gateway.call(scene.control.close)
        scene.gateway.await_(asyncio.wait_for(scene.worker.closed.wait(), ANSWER_S))
        scene.tell(ListStreams(1, Search()))
        scene.gateway.await_(asyncio.wait_for(asyncio.shield(scene._running), ANSWER_S))

    scene_of(test)
