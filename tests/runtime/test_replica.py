from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from headgate.config.change import Change, Kind
from headgate.runtime.link import (
    Ack,
    Apply,
    ControlLink,
    Down,
    Hello,
    Load,
    LoadEnd,
    WorkerLink,
    Write,
    open_control_link,
    open_worker_link,
)
from headgate.runtime.replica import Replica
from headgate.runtime.stream_messages import KillStream, StreamCommand, StreamKilled


class Recorder:
    """A table that keeps what it was told; a change of the id ``bad`` does not apply."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[tuple[Kind, str, bool]]]] = []

    async def load(self, changes: Sequence[Change]) -> None:
        self._keep("load", changes)

    def apply(self, changes: Sequence[Change]) -> None:
        if any(change.id == "bad" for change in changes):
            raise ValueError("cannot be compiled")
        self._keep("apply", changes)

    async def accept(self) -> None:
        self.told.append(("accept", []))

    def _keep(self, how: str, changes: Sequence[Change]) -> None:
        self.told.append((how, [(change.kind, change.id, change.value is not None) for change in changes]))


class Sessions:
    """Commands about streams: each kill is answered with no ending, on the link that it came by. ``open_links`` counts."""

    def __init__(self) -> None:
        self.open_links = 0
        self.never = asyncio.Event()

    def open(self, link: WorkerLink) -> Session:
        self.open_links += 1
        return Session(self, link)


class Session:
    def __init__(self, sessions: Sessions, link: WorkerLink) -> None:
        self._sessions = sessions
        self._link = link
        self._commands: asyncio.Queue[StreamCommand] = asyncio.Queue()

    def take(self, command: StreamCommand) -> None:
        self._commands.put_nowait(command)

    async def run(self) -> None:
        while True:
            command = await self._commands.get()
            await self._link.send(StreamKilled(command.number, None))

    async def flush(self) -> None:
        await self._sessions.never.wait()

    def close(self) -> None:
        self._sessions.open_links -= 1


class Control:
    """Control as the test plays it, over links that it opens anew."""

    def __init__(self) -> None:
        self.table = Recorder()
        self.sessions = Sessions()
        self.replica = Replica(self.table, self.sessions, on_loaded=self.table.accept)
        self.link: ControlLink | None = None
        self._following: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.disconnect()
        ours, theirs = socket.socketpair()
        self.link = await open_control_link(ours.detach())
        link = await open_worker_link(theirs.detach())
        self._following = asyncio.create_task(self.replica.follow(link, Hello(2, 77, 1.5)))
        assert await self.link.receive() == Hello(2, 77, 1.5)

    async def disconnect(self) -> None:
        if self.link is not None and self._following is not None:
            self.link.close()
            await self._following

    async def send(self, message: Down) -> Ack:
        assert self.link is not None
        await self.link.send(message)
        answer = await self.link.receive()
        assert isinstance(answer, Ack)
        return answer


def run(play: Callable[[Control], Awaitable[None]]) -> None:
    async def main() -> None:
        control = Control()
        async with asyncio.timeout(20):
            await control.connect()
            await play(control)
            await control.disconnect()

    uvloop.run(main())


def write(name: str, index: int = 1, kind: Kind = "routes") -> Write:
    return Write(kind, name, b'{"uri":"/"}', 1, index)


def test_loads_in_slices_then_accepts_then_applies() -> None:
    async def play(control: Control) -> None:
        assert await control.send(Load([write("1"), write("2")])) == Ack(0)
        assert await control.send(Load([write("3")])) == Ack(0)
        assert await control.send(LoadEnd(4)) == Ack(4)
        assert await control.send(Apply(5, [Write("routes", "1", None, 0, 0)])) == Ack(5)
        assert control.table.told == [
            ("load", [("routes", "1", True), ("routes", "2", True)]),
            ("load", [("routes", "3", True)]),
            ("accept", []),
            ("apply", [("routes", "1", False)]),
        ]

    run(play)


def test_an_empty_table_is_complete_too() -> None:
    async def play(control: Control) -> None:
        assert await control.send(LoadEnd(1)) == Ack(1)
        assert control.table.told == [("accept", [])]

    run(play)


def test_what_does_not_apply_is_reported_and_the_rest_goes_on() -> None:
    async def play(control: Control) -> None:
        await control.send(LoadEnd(1))
        assert await control.send(Apply(2, [write("bad")])) == Ack(2, "ValueError: cannot be compiled")
        assert await control.send(Apply(3, [write("good")])) == Ack(3)
        assert control.table.told[1:] == [("apply", [("routes", "good", True)])]

    run(play)


def test_a_new_control_makes_only_the_difference_live_in_one_step() -> None:
    async def play(control: Control) -> None:
        old = [write("u", kind="upstreams"), write("s", kind="services"), write("1"), write("2"), write("3")]
        await control.send(Load(old))
        await control.send(LoadEnd(1))
        await control.send(Apply(2, [write("4")]))
        control.table.told.clear()

        await control.connect()
        await control.send(Load([write("1")]))
        assert control.table.told == []  # nothing until the table is complete
        await control.send(Load([write("2", index=9), write("5")]))
        assert await control.send(LoadEnd(7)) == Ack(7)
        ((how, changes),) = control.table.told
        assert how == "apply"
        assert changes[:2] == [("routes", "2", True), ("routes", "5", True)]
        assert sorted(changes[2:4]) == [("routes", "3", False), ("routes", "4", False)]
        assert changes[4:] == [("services", "s", False), ("upstreams", "u", False)]

    run(play)


def test_a_new_control_with_the_same_table_changes_nothing() -> None:
    async def play(control: Control) -> None:
        for revision in (1, 2, 3):
            await control.send(Load([write("1"), write("2")]))
            assert await control.send(LoadEnd(revision)) == Ack(revision)
            await control.connect()
        assert control.table.told == [("load", [("routes", "1", True), ("routes", "2", True)]), ("accept", [])]

    run(play)


def test_control_that_is_replaced_while_it_loads() -> None:
    async def play(control: Control) -> None:
        await control.send(Load([write("1"), write("gone")]))
        await control.connect()
        await control.send(Load([write("1")]))
        assert await control.send(LoadEnd(1)) == Ack(1)
        assert control.table.told[-2:] == [("apply", [("routes", "gone", False)]), ("accept", [])]
        assert [how for how, _ in control.table.told].count("accept") == 1

    run(play)


def test_half_a_resync_leaves_no_trace() -> None:
    async def play(control: Control) -> None:
        await control.send(Load([write("1")]))
        await control.send(LoadEnd(1))
        control.table.told.clear()
        await control.connect()
        await control.send(Load([write("2")]))
        await control.connect()
        await control.send(Load([write("1")]))
        await control.send(LoadEnd(2))
        assert control.table.told == []

    run(play)


def test_commands_about_streams_are_answered_and_leave_no_ack() -> None:
    async def play(control: Control) -> None:
        assert control.link is not None
        await control.send(LoadEnd(1))
        await control.link.send(KillStream(7, "0-1-2"))
        assert await control.link.receive() == StreamKilled(7, None)
        assert await control.send(Apply(2, [write("1")])) == Ack(2)

    run(play)


def test_a_command_before_the_table_is_complete_is_answered_too() -> None:
    async def play(control: Control) -> None:
        assert control.link is not None
        await control.send(Load([write("1")]))
        await control.link.send(KillStream(1, "0-1-2"))
        assert await control.link.receive() == StreamKilled(1, None)
        await control.send(LoadEnd(1))
        assert control.table.told[-1][0] == "accept"

    run(play)


def test_a_links_session_ends_with_it() -> None:
    async def play(control: Control) -> None:
        await control.connect()
        await control.connect()
        assert control.sessions.open_links == 1
        await control.disconnect()
        assert control.sessions.open_links == 0

    run(play)


def test_flushing_takes_no_longer_than_it_may() -> None:
    async def play(control: Control) -> None:
        began = asyncio.get_running_loop().time()
        await control.replica.flush(0.1)
        assert asyncio.get_running_loop().time() - began < 5
        control.sessions.never.set()
        await control.replica.flush(60)

    run(play)
