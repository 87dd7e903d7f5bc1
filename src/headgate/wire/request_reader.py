"""Requests cut from a connection's bytes: sans I/O, one at a time, pipelined ones kept for later.

The connection feeds what it reads and asks for the next thing until it gets NEED_DATA, or END, after which it asks
again only when the response is out. Held at most: one head (bounded by its limits), or what is read of a pipelined
request, which the connection bounds by not reading (``held_bytes``).

How the bytes were cut into reads changes nothing: of two things wrong with a head, the one that shows first counts.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from headgate.wire import request_head
from headgate.wire.chunked import BadChunk, ChunkedDecoder
from headgate.wire.request import Peer, Request
from headgate.wire.request_head import BadRequest, Limits

_BAD_OCTET_SO_FAR = re.compile(rb"\0|(?<!\r)\n|\r(?=[^\n])")
"""What :func:`request_head.check_octets` looks for in a head that is not whole: a CR at its end may still be good."""
_REST_OF_LINE_BYTES = 64
"""Room in a request line for method and version, beside the longest target."""


class Signal(Enum):
    """What stands in place of a head or a piece of body."""

    NEED_DATA = auto()
    END = auto()


class RequestReader:
    """The reading half of an HTTP/1.1 server connection (RFC 9112)."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_empty_line_seen",
        "_in_body",
        "_limits",
        "_peer",
        "_plain_bytes",
        "_remaining",
        "_scanned",
    )

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._limits = limits
        self._plain_bytes = min(limits.max_head_bytes, limits.max_uri_bytes)
        self._buffer = b""
        self._scanned = 0
        self._empty_line_seen = False
        self._in_body = False
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes fed and not yet given out."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as read."""
        self._buffer = self._buffer + data if self._buffer else data

    def take_held(self) -> bytes:
        """Give up what is held: it is not HTTP any more."""
        held, self._buffer = self._buffer, b""
        return held

    def next(self) -> Request | bytes | Signal:
        """Give the next head, a piece of its body, END behind its last piece, or NEED_DATA; raises BadRequest."""
        if self._in_body:
            return self._next_of_body()
        buffer = self._buffer
        if (
            not (self._scanned or self._empty_line_seen)
            and len(buffer) <= self._plain_bytes
            and buffer.find(b"\r\n\r\n") == len(buffer) - 4 > 0
            and not buffer.startswith(b"\r\n")
        ):
            head: bytes | None = buffer[:-4]  # one read brought one head and nothing else, of a size that nobody minds
            self._buffer = b""
        else:
            head = self._take_head()
        if head is None:
            return Signal.NEED_DATA
        request = request_head.parse(head, self._peer, self._limits)
        self._in_body = True
        self._decoder = ChunkedDecoder() if request.chunked else None
        self._remaining = request.content_length or 0
        return request

    def _take_head(self) -> bytes | None:
        while self._buffer.startswith(b"\r\n"):
            self._drop_empty_line()
        end = self._buffer.find(b"\r\n\r\n", max(self._scanned - 3, 0))
        self._check_size(end)
        if end < 0:
            self._check_octets(len(self._buffer))
            self._scanned = len(self._buffer)
            return None
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        self._scanned = 0
        self._empty_line_seen = False
        return head

    def _drop_empty_line(self) -> None:
        """Forgive one empty line before a request (RFC 9112 §2.2)."""
        if self._empty_line_seen:
            raise BadRequest(400, "the request line is empty")
        self._empty_line_seen = True
        self._buffer = self._buffer[2:]
        self._scanned = 0

    def _check_size(self, end: int) -> None:
        """Refuse a request line or head that has got too long, without waiting for its end."""
        head_bytes = self._limits.max_head_bytes
        line_bytes = min(self._limits.max_uri_bytes + _REST_OF_LINE_BYTES, head_bytes + 2)
        held_bytes = len(self._buffer)
        if held_bytes >= line_bytes + 2 > self._scanned and self._buffer.find(b"\r\n", 0, line_bytes + 2) < 0:
            self._check_octets(line_bytes + 2)
            raise BadRequest(414, "the request target is too long")
        if end > head_bytes or (end < 0 and held_bytes >= head_bytes + 4):
            self._check_octets(head_bytes + 4)
            raise BadRequest(431, f"the head is longer than {head_bytes} bytes")

    def _check_octets(self, to: int) -> None:
        request_head.check_octets(self._buffer, _BAD_OCTET_SO_FAR, max(self._scanned - 1, 0), to)

    def _next_of_body(self) -> bytes | Signal:
        if not self._remaining and self._decoder is None:
            self._in_body = False
            return Signal.END
        piece = self._next_sized() if self._decoder is None else self._next_chunked(self._decoder)
        if piece is Signal.END:
            self._in_body = False
            self._decoder = None
        return piece

    def _next_sized(self) -> bytes | Signal:
        if not self._remaining:
            return Signal.END
        if not self._buffer:
            return Signal.NEED_DATA
        piece = self._buffer[: self._remaining]
        self._buffer = self._buffer[len(piece) :]
        self._remaining -= len(piece)
        return piece

    def _next_chunked(self, decoder: ChunkedDecoder) -> bytes | Signal:
        if self._remaining < 0:
            return Signal.END
        data, self._buffer = self._buffer, b""
        try:
            piece = decoder.feed(data)
        except BadChunk as error:
            raise BadRequest(400, f"the chunked body is malformed: {error}") from error
        if decoder.done:
            self._buffer = decoder.rest
            self._remaining = -1  # its last piece is out: END comes next
            return piece or Signal.END
        return piece or Signal.NEED_DATA
