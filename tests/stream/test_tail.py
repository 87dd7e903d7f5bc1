from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import GatewayError, Source
from headgate.stream import tail as tail_module
from headgate.stream.ending import Ending
from headgate.stream.event_gaps import EventGaps
from headgate.stream.event_stream_relay import EventStreamRelay, StreamSettings
from headgate.stream.policy import StreamPolicy
from headgate.stream.tail import DATA_BYTES, MAX_ITEMS, Tail, TailComment, TailEvent, TailGap, TailItem
from headgate.wire.sse import EventCutter


class Ends:
    """The client's and the upstream's side of one relay; ``last_read`` is the clock."""

    def __init__(self) -> None:
        self.last_read = 100.0
        self.sent: list[bytes] = []

    def send_piece(self, piece: bytes) -> None:
        self.sent.append(piece)

    def end_body(self) -> None: ...

    def break_body(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


class Scene:
    """A relay with one tail on it; ``woken`` counts what the tail's reader was told, ``lost`` what it was told is lost."""

    def __init__(self, *before: bytes, with_data: bool = True) -> None:
        self.ends = Ends()
        self.woken = 0
        self.lost = 0
        policy = StreamSettings(policy=StreamPolicy(), gaps=EventGaps())
        self.relay = EventStreamRelay(
            self.ends, self.ends, policy, clock=lambda: self.ends.last_read, on_end=lambda _: None
        )
        self.pass_on(*before)
        self.tail = Tail(self.relay, with_data=with_data, on_more=self._wake, on_lost=self._lose)
        self.tail.open()

    def pass_on(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.ends.last_read += 0.5
            self.relay.piece_received(piece)

    def take(self) -> list[TailItem]:
        """Take all there is."""
        items: list[TailItem] = []
        while some := self.tail.take(MAX_ITEMS, 10**9):
            items += some
        return items

    def events(self) -> list[TailEvent]:
        """Take all there is, which has to be events."""
        items = self.take()
        events = [item for item in items if isinstance(item, TailEvent)]
        assert len(events) == len(items)
        return events

    def _wake(self) -> None:
        self.woken += 1

    def _lose(self, events: int) -> None:
        self.lost += events


def event(number: int) -> bytes:
    return b"id: %d\ndata: %d\n\n" % (number, number)


def test_an_event_is_there_as_soon_as_it_has_passed() -> None:
    scene = Scene()
    scene.pass_on(b"event: tick\nid: 5\ndata: a\ndata: b\n")
    assert (scene.woken, scene.tail.has_more) == (0, False)
    scene.pass_on(b"\n")
    assert (scene.woken, scene.tail.has_more) == (1, True)
    (shown,) = scene.events()
    assert (shown.number, shown.event_type, shown.event_id, shown.data) == (1, b"tick", b"5", b"a\nb")
    assert (shown.size, shown.data_cut, shown.since_previous_s) == (35, False, None)
    assert scene.ends.sent == [b"event: tick\nid: 5\ndata: a\ndata: b\n", b"\n"]


def test_times_are_those_between_events_and_begin_before_the_tail_does() -> None:
    scene = Scene(event(1))
    scene.pass_on(event(2), b": comment\n\n", event(3) + event(4))
    items = scene.take()
    assert [item.since_previous_s for item in items if isinstance(item, TailEvent)] == [0.5, 1.0, 0.0]
    assert [type(item) for item in items] == [TailEvent, TailComment, TailEvent, TailEvent]


def test_without_data_none_is_kept() -> None:
    scene = Scene(with_data=False)
    scene.pass_on(b"id: 1\ndata: secret\n\n")
    (shown,) = scene.events()
    assert (shown.data, shown.data_cut, shown.event_id, shown.size) == (None, False, b"1", 20)


def test_data_is_cut() -> None:
    scene = Scene()
    scene.pass_on(b"data: " + b"x" * DATA_BYTES + b"\n\n", b"data: " + b"x" * (DATA_BYTES + 1) + b"\n\n")
    assert [(len(shown.data or b""), shown.data_cut) for shown in scene.events()] == [
        (DATA_BYTES, False),
        (DATA_BYTES, True),
    ]


def test_a_bom_is_no_part_of_the_first_event() -> None:
    scene = Scene()
    scene.pass_on(b"\xef", b"\xbb\xbfdata: a\n\n")
    assert [shown.data for shown in scene.events()] == [b"a"]


def test_the_event_that_it_came_into_is_neither_shown_nor_lost() -> None:
    scene = Scene(event(1), b"id: 2\nda")
    scene.pass_on(b"ta: 2\n", b"\n" + event(3))
    assert [(shown.number, shown.data) for shown in scene.events()] == [(3, b"3")]
    assert scene.lost == 0


def test_a_line_end_that_it_came_upon_may_be_any() -> None:
    scene = Scene(b"data: 1\n")
    scene.pass_on(b"\n")
    assert scene.take() == []
    scene.pass_on(event(2), event(3))
    assert [shown.number for shown in scene.events()] == [3]
    assert scene.lost == 0


def test_what_does_not_fit_is_lost_and_told_when_there_is_room() -> None:
    scene = Scene()
    scene.pass_on(*map(event, range(1, MAX_ITEMS + 11)))
    woken = scene.woken
    assert woken == MAX_ITEMS
    first = scene.tail.take(10, 10**9)
    assert [item.number for item in first if isinstance(item, TailEvent)] == list(range(1, 11))
    scene.pass_on(event(MAX_ITEMS + 11))
    items = scene.take()
    assert items[-2] == TailGap(10)
    assert isinstance(items[-1], TailEvent)
    assert (items[-1].number, items[-1].data) == (MAX_ITEMS + 11, b"%d" % (MAX_ITEMS + 11))
    assert items[-1].since_previous_s == 0.5
    assert scene.lost == 10


def test_when_it_goes_on_within_an_event_that_one_is_lost_too() -> None:
    scene = Scene()
    scene.pass_on(*map(event, range(1, MAX_ITEMS + 1)), b"id: 999\nda")
    assert len(scene.events()) == MAX_ITEMS
    scene.pass_on(b"ta: 1\nda", b"ta: 2\n\n", event(5))
    gap, shown = scene.take()
    assert gap == TailGap(1)
    assert isinstance(shown, TailEvent)
    assert (shown.number, shown.data) == (MAX_ITEMS + 2, b"5")


def test_a_gap_is_told_even_if_nothing_comes_behind_it() -> None:
    scene = Scene()
    scene.pass_on(*map(event, range(1, MAX_ITEMS + 11)))
    items = scene.take()
    assert (len(items), items[-1], scene.lost) == (MAX_ITEMS + 1, TailGap(10), 10)
    scene.pass_on(event(MAX_ITEMS + 11))
    assert [shown.number for shown in scene.events()] == [MAX_ITEMS + 11]


def test_one_piece_may_be_more_than_fits() -> None:
    scene = Scene()
    scene.pass_on(b"".join(map(event, range(1, 2 * MAX_ITEMS + 1))))
    items = scene.take()
    assert (len(items), items[-1]) == (MAX_ITEMS + 1, TailGap(MAX_ITEMS))


def test_bytes_are_bounded_too() -> None:
    scene = Scene()
    large = b"data: " + b"x" * DATA_BYTES + b"\n\n"
    scene.pass_on(*[large] * 100)
    items = scene.take()
    assert (len(items), items[-1]) == (17, TailGap(84))
    scene.pass_on(*[large] * 10)
    assert len(scene.events()) == 10


def test_a_taker_gets_no_more_than_it_asked_for() -> None:
    scene = Scene()
    scene.pass_on(*[b"data: " + b"x" * 1000 + b"\n\n"] * 20)
    assert len(scene.tail.take(3, 10**9)) == 3
    assert len(scene.tail.take(100, 2500)) == 3
    assert len(scene.take()) == 14


def test_comments_that_are_lost_are_no_gap() -> None:
    scene = Scene()
    scene.pass_on(*[b": hi\n\n"] * (MAX_ITEMS + 10))
    items = scene.take()
    assert [(type(item), scene.lost) for item in items] == [(TailComment, 0)] * MAX_ITEMS


@pytest.mark.parametrize("ending", [Ending.KILLED, Ending.DRAIN])
def test_the_end_is_told(ending: Ending) -> None:
    scene = Scene()
    scene.pass_on(event(1))
    scene.relay.stop(ending)
    assert (scene.tail.ending, scene.woken) == (ending, 2)
    assert len(scene.take()) == 1


def test_an_upstream_that_breaks_is_told_too() -> None:
    scene = Scene()
    scene.relay.upstream_failed(GatewayError("upstream_reset", source=Source.UPSTREAM, status=502))
    assert scene.tail.ending is Ending.UPSTREAM_RESET


def test_a_closed_tail_hears_nothing() -> None:
    scene = Scene()
    scene.tail.close()
    scene.pass_on(event(1))
    scene.relay.stop(Ending.KILLED)
    assert (scene.woken, scene.tail.ending) == (0, None)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_every_event_is_shown_as_it_was_or_counted_as_lost(data: st.DataObject) -> None:
    parts = st.sampled_from(
        [b"data: a\n\n", b"data: bb\r\n\r\n", b": c\n\n", b"id: 1\n\n", b"data: d\ndata\r\r", b"\n"]
    )
    stream = b"".join(data.draw(st.lists(parts, max_size=60)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)) | {0, len(stream)})
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    joined = data.draw(st.integers(0, len(pieces)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail_module, "MAX_ITEMS", 3)
        scene = Scene(*pieces[:joined])
        before, is_within = scene.relay.events, not scene.relay.at_boundary
        seen: list[TailItem] = []
        for piece in pieces[joined:]:
            scene.pass_on(piece)
            if data.draw(st.booleans()):
                seen += scene.tail.take(data.draw(st.integers(1, 3)), 10**9)
        seen += scene.take()
    # Joined within an event, that one is not shown; nor is the next, if the first byte seen is a line end.
    begins = range(before, before + (3 if is_within else 1))
    check(seen, stream, begins, scene.relay.events)
    assert scene.lost == sum(item.lost for item in seen if isinstance(item, TailGap))


def check(seen: list[TailItem], stream: bytes, begins: range, end: int) -> None:
    """Each event is the one of its number in the stream, and numbers and gaps leave none out from one of ``begins`` on."""
    every = [one.data for one in EventCutter().feed(stream) if one.is_event]
    number, lost = None, 0
    for item in seen:
        if isinstance(item, TailGap):
            lost += item.lost
        elif isinstance(item, TailEvent):
            assert item.data == every[item.number - 1]
            last = item.number - 1 - lost
            assert last == number or (number is None and last in begins)
            number, lost = item.number, 0
    assert end - lost == number or (number is None and end - lost in begins)
