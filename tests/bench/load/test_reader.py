"""One client of the load against answers as no gateway should give them."""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections.abc import Iterator

import pytest
from bench.load.event import make_event
from bench.load.reader import Reader
from bench.load.source import HEAD, Source

SIZE = 60
EVENTS = b"".join(make_event(0, number, 1, SIZE) for number in range(3))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Client:
    """A reader, its epoll, and the origin's end of its connection."""

    def __init__(self) -> None:
        self.latencies_ns = array("q")
        self.took: list[tuple[int, int]] = []
        self.reader = Reader(0, SIZE, self.latencies_ns, lambda stream, events: self.took.append((stream, events)))
        self.epoll = select.epoll()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.reader.open(listener.getsockname()[1], self.epoll)
            self.origin, _ = listener.accept()
        self.turn()

    def turn(self) -> None:
        for _, mask in self.epoll.poll(10, 1):
            self.reader.ready(mask)

    def read(self, *pieces: bytes) -> list[str]:
        for piece in pieces:
            self.origin.sendall(piece)
            self.turn()
        if not self.reader.ended:
            self.origin.shutdown(socket.SHUT_WR)
            self.turn()
        return self.reader.check.problems


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.origin.close()
    client.epoll.close()


def test_a_whole_stream_is_read_and_each_read_is_told(client: Client) -> None:
    one = EVENTS[:SIZE]
    problems = client.read(HEAD[:30], HEAD[30:] + chunk(one), chunk(EVENTS[SIZE:]), b"0\r\n\r\n")
    assert problems == []
    assert client.reader.complete
    assert client.took == [(0, 1), (0, 2)]
    assert len(client.latencies_ns) == 3


@pytest.mark.parametrize(
    ("pieces", "problem"),
    [
        ([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"], "answered http/1.1 502 bad gateway"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], "the answer is not chunked"),
        ([HEAD + chunk(EVENTS)], "the connection ended first"),
        ([HEAD, b"nonsense\r\n"], "no chunk's size but b'nonsense'"),
        ([HEAD + chunk(EVENTS[SIZE:]) + b"0\r\n\r\n"], "events 0 to 0 lost"),
        ([HEAD + chunk(EVENTS[:SIZE] * 2) + b"0\r\n\r\n"], "event 0 doubled or out of order"),
        ([HEAD + chunk(EVENTS.replace(b"data", b"dada")) + b"0\r\n\r\n"], "damaged behind event -1"),
        ([HEAD + chunk(EVENTS[:-1]) + b"0\r\n\r\n"], "59 bytes of a torn event at the end"),
    ],
)
def test_what_went_wrong_is_told(client: Client, pieces: list[bytes], problem: str) -> None:
    assert client.read(*pieces) == [f"stream 0: {problem}"]
    assert client.reader.ended


def test_events_that_are_just_what_was_sent_are_checked_too(client: Client) -> None:
    """The short way of a read that is the bytes of the last event: one that is doubled does not pass for the next."""
    asked: list[Source] = []
    with select.epoll() as epoll:
        source = Source(client.origin, epoll, SIZE, asked.append)
        source.ready(select.EPOLLIN)
        assert asked == [source]
        assert source.stream == 0
        client.reader.source = source
        for _ in range(3):
            source.send_event(time.monotonic_ns())
            client.turn()
        assert client.took == [(0, 1)] * 3
        assert all(0 < latency_ns < 10**10 for latency_ns in client.latencies_ns)
        assert client.read(source.last, b"0\r\n\r\n") == ["stream 0: event 2 doubled or out of order"]


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reader = Reader(7, SIZE, array("q"), lambda _stream, _events: None)
    with select.epoll() as epoll:
        reader.open(port, epoll)
        for _, mask in epoll.poll(10, 1):
            reader.ready(mask)
    assert reader.ended
    assert reader.check.problems == ["stream 7: no connection: Connection refused"]


def test_an_event_before_any_head_is_none(client: Client) -> None:
    with select.epoll() as epoll:
        source = Source(client.origin, epoll, SIZE, lambda _source: None)
        source.last, source.sent = chunk(EVENTS[:SIZE]), 1
        client.reader.source = source
        assert client.read(source.last) == ["stream 0: the connection ended first"]
    assert client.took == []
