"""A raw HTTP/1.1 client for tests: sends the bytes it is given and reads the answer piece by piece.

After a silence of ``timeout_s`` (default 30) an AssertionError tells what had arrived. Nothing is normalised, so a
test sees the framing, the order and the spelling that the gateway chose. Example::

    with Client(port) as client:
        client.get("/events", (b"Accept", b"text/event-stream"))
        assert client.read_head().status == 200
        assert client.read_event().data == b"data: a\n\n"
        client.reset()

    assert get(port, "/hello").body == b"hello world\n"
"""

from __future__ import annotations

import re
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Self

Ended = Literal["fin", "rst"]
_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.")


class Arrived(NamedTuple):
    """Bytes, and when the last of them was read (``time.monotonic()`` seconds)."""

    data: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Head:
    """A response head; ``raw`` has it byte for byte with its blank line."""

    status: int
    reason: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    raw: bytes
    at: float

    def get_all(self, name: bytes) -> list[bytes]:
        """Give every value of a field; ``name`` in any case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        """Give the first value of a field, or None."""
        return next(iter(self.get_all(name)), None)

    def __contains__(self, name: bytes) -> bool:
        return bool(self.get_all(name))


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def get(self, name: bytes) -> bytes | None:
        """Give the first value of a field, or None."""
        return self.head.get(name)


class Client:
    """One connection. ``arrivals`` lists (time, bytes) of every read; ``raw`` is everything read so far.

    ``receive_buffer_bytes`` sets SO_RCVBUF before connecting, for tests of a client that does not read.
    """

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", timeout_s: float = 30.0, receive_buffer_bytes: int | None = None
    ) -> None:
        self.timeout_s = timeout_s
        self.raw = bytearray()
        self.arrivals: list[tuple[float, int]] = []
        self.trailers: list[bytes] = []
        self.ended: Ended | None = None
        self._host = f"{host}:{port}".encode()
        self._methods: list[bytes] = []
        self._buffer = bytearray()  # as received
        self._body = bytearray()  # freed of its framing, not yet given out
        self._left: int | None = 0  # body bytes still to come; None: until the connection ends
        self._chunked = False
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._connect(host, port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, host: str, port: int) -> None:
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise

    # Sending.

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        line = _REQUEST_LINE.match(raw)
        if line:
            self._methods.append(line[1])
        self.socket.sendall(raw)

    def get(self, target: str, *fields: tuple[bytes, bytes], host: bytes | None = None) -> None:
        """Send a GET with a Host field (default: this address) and these fields."""
        lines = [b"GET %s HTTP/1.1" % target.encode(), b"Host: %s" % (host or self._host)]
        self.send(b"\r\n".join([*lines, *(b"%s: %s" % one for one in fields)]) + b"\r\n\r\n")

    def close(self) -> None:
        """Close: the gateway sees FIN (or RST, if bytes that it sent were not read: TCP's own rule)."""
        self.socket.close()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Reading.

    def read_head(self) -> Head:
        """Read one response head (1xx are heads of their own) and prepare to read its body."""
        raw, at = self.read_until(b"\r\n\r\n")
        line, *lines = raw[:-4].split(b"\r\n")
        version, status, reason = (*line.split(b" ", 2), b"")[:3]
        pairs = [one.partition(b":") for one in lines]
        fields = tuple((name, value.strip(b" \t")) for name, _, value in pairs)
        head = Head(int(status), reason, version, fields, raw, at)
        self._expect_body(head)
        return head

    def read_until(self, marker: bytes) -> Arrived:
        """Read undecoded bytes up to and with a marker."""
        while (at := self._buffer.find(marker)) < 0:
            self._receive_some(f"{marker!r}")
        return Arrived(self._take(at + len(marker)), self._now())

    def read_chunk(self) -> Arrived:
        """Read the next chunk of a chunked body just as it was cut; the last one is empty."""
        assert self._chunked, f"the body is not chunked; so far {self._so_far()}"
        size = int(self.read_until(b"\r\n").data.split(b";")[0], 16)
        while len(self._buffer) < size + 2 and size:
            self._receive_some(f"a chunk of {size} bytes")
        data = self._take(size)
        self._read_chunk_end(last=not size)
        return Arrived(data, self._now())

    def read_event(self, ending: bytes | None = None) -> Arrived:
        r"""Read the next event with its blank line, whatever the framing.

        An event ends with ``\n\n`` or ``\r\n\r\n``; give ``ending`` for a stream that has other line ends.
        """
        endings = (ending,) if ending else (b"\n\n", b"\r\n\r\n")
        while not (ends := [at + len(one) for one in endings if (at := self._body.find(one)) >= 0]):
            assert self._read_piece(), f"the body ended inside an event: {bytes(self._body)!r}; so far {self._so_far()}"
        event = bytes(self._body[: min(ends)])
        del self._body[: min(ends)]
        return Arrived(event, self._now())

    def read_body(self) -> bytes:
        """Read the rest of the body up to the end that its framing promised, and give it."""
        while self._read_piece():
            pass
        body = bytes(self._body)
        self._body.clear()
        return body

    def read_response(self) -> Response:
        """Read a whole response, passing over 1xx heads other than 101."""
        head = self.read_head()
        while 100 <= head.status < 200 and head.status != 101:
            head = self.read_head()
        return Response(head, self.read_body())

    def read_end(self) -> Ended:
        """Wait until the gateway ends the connection, without another byte, and say whether by FIN or RST."""
        assert not self._buffer, f"bytes before the end: {bytes(self._buffer)!r}"
        self._receive()
        assert self.ended is not None, f"bytes instead of the end: {bytes(self._buffer)!r}; so far {self._so_far()}"
        return self.ended

    def read_rest(self) -> bytes:
        """Read undecoded bytes until the connection ends; ``ended`` then says how."""
        while self.ended is None:
            self._receive()
        return self._take(len(self._buffer))

    def _expect_body(self, head: Head) -> None:
        if 100 <= head.status < 200 and head.status != 101:
            self._left, self._chunked = 0, False
            return
        method = self._methods.pop(0) if self._methods else b""
        self._chunked = b"chunked" in (head.get(b"transfer-encoding") or b"").lower()
        length = head.get(b"content-length")
        self._left = None if length is None else int(length)
        if method == b"HEAD" or head.status in (204, 304):
            self._left, self._chunked = 0, False

    def _read_piece(self) -> bool:
        """Move the next piece of the body into ``_body``; False at its proper end."""
        if self._chunked:
            piece = self.read_chunk().data
        elif self._left == 0:
            return False
        else:
            if not self._buffer:
                self._receive()
            if self._left is None and self.ended == "fin":
                return False
            assert self.ended is None, f"{self.ended} inside the body; so far {self._so_far()}"
            piece = self._take(len(self._buffer) if self._left is None else min(self._left, len(self._buffer)))
            self._left = None if self._left is None else self._left - len(piece)
        self._body += piece
        return bool(piece)

    def _read_chunk_end(self, *, last: bool) -> None:
        line = self.read_until(b"\r\n").data
        while last and line != b"\r\n":
            self.trailers.append(line[:-2])
            line = self.read_until(b"\r\n").data
        assert line == b"\r\n", f"no CRLF behind a chunk but {line!r}"
        self._chunked = not last
        self._left = 0

    def _receive_some(self, awaited: str) -> None:
        self._receive()
        assert self.ended is None, f"{self.ended} instead of {awaited}; so far {self._so_far()}"

    def _receive(self) -> None:
        if self.ended is not None:
            return
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing came for {self.timeout_s} s; so far {self._so_far()}") from None
        except ConnectionError:
            self.ended = "rst"
            return
        if not data:
            self.ended = "fin"
            return
        self.arrivals.append((time.monotonic(), len(data)))
        self.raw += data
        self._buffer += data

    def _take(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def _now(self) -> float:
        return self.arrivals[-1][0]

    def _so_far(self) -> str:
        return f"{len(self.raw)} bytes: {bytes(self.raw[-2000:])!r}"


def request(port: int, raw: bytes, *, timeout_s: float = 30.0) -> Response:
    """Send raw bytes on a connection of their own and give the whole response."""
    with Client(port, timeout_s=timeout_s) as client:
        client.send(raw)
        return client.read_response()


def get(port: int, target: str, *fields: tuple[bytes, bytes], host: bytes | None = None) -> Response:
    """GET a target on a connection of its own and give the whole response."""
    with Client(port) as client:
        client.get(target, *fields, host=host)
        return client.read_response()
