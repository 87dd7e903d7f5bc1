from __future__ import annotations

from typing import Any

import pytest

from headgate.runtime.channel import Channel, Message
from headgate.runtime.child import Child
from headgate.runtime.control_seat import ControlSeat
from headgate.runtime.reactor import Reactor
from headgate.runtime.start import Start

SERVE = {"type": "serve"}


class Seated(Child):
    """A child whose process is only said to be there."""

    def __init__(self, number: int, *, worker: int | None = None) -> None:
        super().__init__(
            module="none", worker=worker, start=lambda channel: Start(channel=channel, settings=0, counters=[])
        )
        self.number: int | None = number
        self.channel, theirs = Channel.pair()
        self._theirs = Channel(theirs)

    @property
    def pid(self) -> int | None:
        return self.number

    def told(self) -> list[Message]:
        """Give what was sent to it since the last look."""
        messages: list[Message] = []
        while True:
            try:
                received = self._theirs.receive()
            except BlockingIOError:
                return messages
            assert received is not None
            messages.append(received[0])
            for descriptor in received[1]:
                Channel(descriptor).close()

    def close(self) -> None:
        self._theirs.close()
        self.close_channel()


@pytest.fixture
def cast() -> Any:
    children = {"old": Seated(1), "new": Seated(2), "worker": Seated(3, worker=0)}
    yield children
    for child in children.values():
        child.close()


def test_a_successor_begins_when_the_one_before_it_is_gone(cast: dict[str, Seated]) -> None:
    old, new, worker = cast["old"], cast["new"], cast["worker"]
    seat = ControlSeat(Reactor(), old, workers=lambda: [worker], readiness=lambda: "ready")
    link = {"type": "link", "worker": 0, "pid": 3}
    seat.link(worker)  # not yet
    seat.begin()
    assert old.told() == [{"type": "begin"}, {"type": "readiness", "status": "ready"}, link, SERVE]
    assert worker.told() == [{"type": "link"}]
    seat.hand_over(new)
    assert (seat.holder, seat.children) == (new, [new, old])
    assert (old.told(), new.told()) == ([{"type": "stop"}], [])
    seat.link(worker)
    assert worker.told() == []
    old.number = None
    assert not seat.has_left(worker)
    assert seat.has_left(old)
    assert new.told() == [{"type": "begin"}, {"type": "readiness", "status": "ready"}, link, SERVE]
    assert seat.children == [new]


def test_a_successor_of_nobody_begins_at_once(cast: dict[str, Seated]) -> None:
    old, new = cast["old"], cast["new"]
    old.number = None
    seat = ControlSeat(Reactor(), old, workers=list, readiness=lambda: "starting")
    seat.hand_over(new)
    assert new.told() == [{"type": "begin"}, {"type": "readiness", "status": "starting"}, SERVE]


def test_a_successor_that_has_died_meanwhile_begins_when_it_is_there_again(cast: dict[str, Seated]) -> None:
    old, new = cast["old"], cast["new"]
    seat = ControlSeat(Reactor(), old, workers=list, readiness=lambda: "ready")
    new.number = None
    seat.hand_over(new)
    old.number = None
    assert seat.has_left(old)
    assert new.told() == []
    new.number = 4
    seat.begin()
    assert new.told()[0] == {"type": "begin"}
