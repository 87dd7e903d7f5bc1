"""The raw client shows what came, when, and says so when it did not come."""

from __future__ import annotations

import pytest
from tests.client import Client, get
from tests.origin import Handler, Origin, Received, Wire


def answer(raw: bytes, *, end: str = "hold") -> Handler:
    """Make a handler that sends these bytes and ends as told."""

    async def handler(_: Received, wire: Wire) -> None:
        await wire.send(raw)
        if end == "hold":
            await wire.gone()
        (wire.rst if end == "rst" else wire.fin)()

    return handler


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


BODIES = [
    (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (HEAD + b"Content-Length: 0\r\n\r\n", b""),
    (CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: 1\r\n\r\n", b"hello!"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b""),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", b"ok"),
]


@pytest.mark.parametrize(("raw", "body"), BODIES)
def test_a_body_ends_where_its_framing_says(raw: bytes, body: bytes) -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.on("/", answer(raw))
        client.get("/")
        assert client.read_response().body == body


def test_a_body_without_framing_ends_with_the_connection() -> None:
    with Origin() as origin:
        origin.on("/", answer(HEAD + b"\r\nhello", end="fin"))
        assert get(origin.port, "/").body == b"hello"


CUTS = [
    (HEAD + b"Content-Length: 9\r\n\r\nhello", "fin", "fin inside the body"),
    (HEAD + b"\r\nhello", "rst", "rst ins"),
    (CHUNKED + b"5\r\nhel", "fin", "fin instead of a chunk of 5 bytes"),
    (CHUNKED + b"5\r\nhello\r\n", "fin", r"fin instead of b'\\r\\n'"),
    (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", "hold", "no CRLF behind a chunk"),
    (b"HTTP/1.1 200", "fin", "fin instead of .*HTTP/1.1 200"),
]


@pytest.mark.parametrize(("raw", "end", "text"), CUTS)
def test_a_broken_body_is_told(raw: bytes, end: str, text: str) -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.on("/", answer(raw, end=end))
        client.get("/")
        with pytest.raises(AssertionError, match=text):
            client.read_response()


def test_silence_tells_what_had_arrived() -> None:
    with Origin() as origin, Client(origin.port, timeout_s=0.05) as client:
        origin.on("/", answer(HEAD + b"Content-Length: 9\r\n\r\nhello"))
        client.get("/")
        with pytest.raises(AssertionError, match=r"nothing came for 0.05 s.*hello"):
            client.read_response()


def test_chunks_are_shown_as_they_were_cut() -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.on("/", answer(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"))
        client.get("/")
        client.read_head()
        assert [client.read_chunk().data for _ in range(3)] == [b"abc", b"de", b""]
        assert client.trailers == [b"X: y"]
        assert client.read_body() == b""


def test_events_are_cut_whatever_carries_them() -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.on("/", answer(CHUNKED + b"5\r\nda:a\n\r\n7\r\n\nda:b\n\n\r\n9\r\nda:c\r\n\r\n|\r\n"))
        client.get("/")
        client.read_head()
        events = [client.read_event() for _ in range(3)]
        assert [one.data for one in events] == [b"da:a\n\n", b"da:b\n\n", b"da:c\r\n\r\n"]
        assert client.arrivals[0][0] <= events[0].at <= events[2].at


def test_the_end_is_not_mistaken() -> None:
    with Origin() as origin, Client(origin.port) as client:
        origin.on("/", answer(HEAD + b"Content-Length: 0\r\n\r\nmore", end="fin"))
        client.get("/")
        client.read_response()
        with pytest.raises(AssertionError, match="more"):
            client.read_end()
        assert client.read_rest() == b"more"
        assert client.ended == "fin"
