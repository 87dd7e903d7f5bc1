"""Responses cut from a connection's bytes: sans I/O, what one read brings gathered as one piece.

Heads are parsed by httptools, bodies by us: what ends a body is checked as strictly as what a client sends, and a read
that is exactly one chunk, which is what most events are, need not be parsed at all.

After each :meth:`ResponseReader.feed` the connection takes what is there, in this order: ``interim`` heads, the
``head``, the body's :meth:`~ResponseReader.take_piece`, then ``ended`` or ``trouble``. There is no head where trouble
came before its end, so that how the bytes were cut into reads changes nothing.

An upstream says the same head again and again, or another one each second, with the Date: one that came in one read and was
good is not parsed again, but known by its bytes.

The reader is stricter than its parser (RFC 9112 §6.3): a response that says two lengths, or a length and a transfer
coding, is an error, because whoever reads it next may choose the other one; so is one of another protocol's version, a
status outside 100 to 599 (RFC 9110 §15) and an interim head that announces a body.
"""

from __future__ import annotations

from dataclasses import dataclass

import httptools

from headgate.errors import GatewayError, Source
from headgate.wire.chunked import BadChunk, ChunkedDecoder
from headgate.wire.headers import Field, Headers, valid_value
from headgate.wire.request import ResponseHead

_HEAD_END = b"\r\n\r\n"

KNOWN_HEADS = 256
"""How many heads are remembered, the youngest of them."""
KNOWN_HEAD_BYTES = 1024
"""The longest head that is remembered."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A final head that came alone and had nothing wrong with it: what identical bytes say when they begin a response."""

    status: int
    reason: bytes
    fields: tuple[Field, ...]
    content_length: int | None
    is_chunked: bool
    keep_alive: bool


_known: dict[bytes, _Known] = {}


def failure(code: str, *, status: int = 502, retryable: bool = False, detail: str = "") -> GatewayError:
    """Make the error record of something that the upstream did."""
    return GatewayError(code, source=Source.UPSTREAM, status=status, retryable=retryable, detail=detail)


class ResponseReader:
    """The reading half of an HTTP/1.1 client connection.

    ``content_length`` is None where the head says none; ``close_delimited`` means that only EOF ends the body.
    ``has_extra`` says that bytes stood behind the response's end, ``upgraded`` holds the bytes behind a 101's head,
    ``is_untouched`` says that nothing has come yet, ``between_chunks`` that the next byte begins a chunk.
    ``max_head_bytes`` bounds a head with all interim heads before it.
    """

    __slots__ = (
        "_decoder",
        "_fields",
        "_head_bytes",
        "_is_chunked",
        "_last_bytes",
        "_max_head_bytes",
        "_no_body",
        "_parser",
        "_piece",
        "_reason",
        "_remaining",
        "between_chunks",
        "close_delimited",
        "content_length",
        "ended",
        "has_body",
        "has_extra",
        "head",
        "interim",
        "keep_alive",
        "trouble",
        "upgraded",
    )

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self.start(no_body=False)

    def start(self, *, no_body: bool) -> None:
        """Expect the response to a new request; ``no_body`` for one to HEAD."""
        self._no_body = no_body
        self._parser: httptools.HttpResponseParser | None = None  # it is made for a head that is not known yet
        self._fields: list[Field] = []
        self._reason = b""
        self._head_bytes = 0
        self._last_bytes = b""
        self._piece: bytes | None = None
        self._decoder: ChunkedDecoder | None = None
        self._remaining = 0
        self._is_chunked = False
        self.between_chunks = False
        self.interim: list[ResponseHead] = []
        self.head: ResponseHead | None = None
        self.content_length: int | None = None
        self.close_delimited = False
        self.has_body = True
        self.keep_alive = False
        self.ended = False
        self.has_extra = False
        self.trouble: GatewayError | None = None
        self.upgraded: bytes | None = None

    @property
    def is_untouched(self) -> bool:
        """Whether no byte of a response has come."""
        return not self._head_bytes

    def feed(self, data: bytes) -> None:
        """Read what one read brought."""
        if not self._head_bytes:
            end = data.find(_HEAD_END) + len(_HEAD_END)
            if len(_HEAD_END) <= end <= KNOWN_HEAD_BYTES and (known := _known.get(data[:end])) is not None:
                data = self._take_known(known, data, end)
        while self.head is None and self.trouble is None and data:
            data = self._feed_head(data)
        if self.head is not None and data:
            self.feed_body(data)
            self.head.body_follows = self._piece is not None

    def feed_body(self, data: bytes) -> None:
        """Read what one read brought behind the head."""
        if self.ended:
            self.has_extra = True
        elif self._decoder is not None:
            self._feed_chunks(self._decoder, data)
        elif self.close_delimited:
            self._piece = data
        else:
            self._piece = data[: self._remaining]
            self._remaining -= len(self._piece)
            self.ended = not self._remaining
            self.has_extra = len(self._piece) < len(data)

    def take_piece(self) -> bytes | None:
        """Give the body bytes of the last read as one piece, or None."""
        piece, self._piece = self._piece, None
        return piece

    def _feed_chunks(self, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            self._piece = decoder.feed(data) or None
        except BadChunk as error:
            self._piece = decoder.decoded or None
            self._note("protocol_error", str(error))
        self.between_chunks = decoder.is_between_chunks
        if decoder.done:
            self.ended = True
            self.has_extra = bool(decoder.rest)

    def _take_known(self, known: _Known, data: bytes, end: int) -> bytes:
        """Take a head without parsing it, if it is not too long; give what is left to read."""
        if end > self._max_head_bytes:
            return data
        self._head_bytes = end
        self.head = ResponseHead(known.status, known.reason, Headers(known.fields))
        self.keep_alive = known.keep_alive
        self._set_framing(known.status, known.content_length, is_chunked=known.is_chunked)
        return data[end:]

    def _remember(self, read: bytes) -> None:
        """Keep a head for the next time, if all of it came with this read."""
        head = self.head
        if head is None or head.status == 101 or self.trouble is not None or self.interim or self.upgraded is not None:
            return
        if len(read) == self._head_bytes <= KNOWN_HEAD_BYTES:
            if len(_known) >= KNOWN_HEADS:
                del _known[next(iter(_known))]
            fields = tuple(head.headers.fields)
            _known[read] = _Known(
                head.status, head.reason, fields, self.content_length, self._is_chunked, self.keep_alive
            )

    def _feed_head(self, data: bytes) -> bytes:
        """Feed the parser up to a head's end; give what stands behind it."""
        joined = self._last_bytes + data
        end = joined.find(_HEAD_END)
        of_head = len(data) if end < 0 else end + len(_HEAD_END) - len(self._last_bytes)
        self._last_bytes = joined[-3:] if end < 0 else b""
        self._head_bytes += of_head
        if self._head_bytes > self._max_head_bytes:
            self._note("head_too_large", f"more than {self._max_head_bytes} bytes of head")
            return b""
        heads = len(self.interim)
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data[:of_head])
        except httptools.HttpParserUpgrade:
            self.upgraded = data[of_head:]
            return b""
        except httptools.HttpParserError as error:
            self._note("protocol_error", str(error))
        if (self.head is None and len(self.interim) == heads) != (end < 0):
            self._note("protocol_error", "a head that ends otherwise than with an empty line")
        if self.head is not None:
            self._remember(data[:of_head])
        return data[of_head:]

    def _note(self, code: str, detail: str) -> None:
        """Keep the first error of a response: callbacks must not raise into the parser."""
        if self.trouble is None:
            self.trouble = failure(code, detail=detail)

    # -- httptools callbacks ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._fields = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        value = value.rstrip(b" \t")
        if not valid_value(value):
            self._note("protocol_error", "a header value holds a control character")
        self._fields.append((name.lower(), name, value))

    def on_headers_complete(self) -> None:
        """Keep the head; the connection takes it once the read is parsed."""
        parser = self._parser
        assert parser is not None
        head = ResponseHead(parser.get_status_code(), self._reason, Headers(self._fields))
        version = parser.get_http_version()
        self._check(head, version)
        if self.trouble is not None:
            return
        if 100 <= head.status < 200 and head.status != 101:
            self.interim.append(head)
        else:
            self.head = head
            self._read_framing(head, is_1_0=version == "1.0")

    # -- framing ------------------------------------------------------------------------------------------------------

    def _check(self, head: ResponseHead, version: str) -> None:
        lengths = head.headers.get_all(b"content-length")
        codings = head.headers.get_all(b"transfer-encoding")
        if version not in {"1.0", "1.1"} or not 100 <= head.status <= 599:
            self._note("protocol_error", "a version or status that is not HTTP/1.1's")
        elif not valid_value(head.reason):
            self._note("protocol_error", "the reason phrase holds a control character")
        elif len(lengths) > 1 or (lengths and codings):
            self._note("protocol_error", "contradictory framing")
        elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
            self._note("protocol_error", "a transfer coding that is not chunked")
        elif lengths and not (lengths[0].isdigit() and len(lengths[0]) < 19):
            self._note("protocol_error", "a malformed Content-Length")
        elif head.status < 200 and (codings or lengths not in ([], [b"0"])):
            self._note("protocol_error", "an interim response with a body")

    def _read_framing(self, head: ResponseHead, *, is_1_0: bool) -> None:
        """Find where the body ends; the head has been checked.

        A transfer coding on HTTP/1.0 is decoded, and the connection not used again (RFC 9112 §6.1).
        """
        length = head.headers.get(b"content-length")
        is_chunked = b"transfer-encoding" in head.headers
        options = head.headers.tokens(b"connection") | head.headers.tokens(b"proxy-connection")
        self.keep_alive = b"close" not in options and (not is_1_0 or (b"keep-alive" in options and not is_chunked))
        self._set_framing(head.status, None if length is None else int(length), is_chunked=is_chunked)

    def _set_framing(self, status: int, content_length: int | None, *, is_chunked: bool) -> None:
        self.content_length = content_length
        self._is_chunked = is_chunked
        self.has_body = not self._no_body and status not in {101, 204, 304}
        self.close_delimited = self.has_body and not is_chunked and content_length is None
        self._remaining = content_length or 0
        if is_chunked and self.has_body:
            self._decoder = ChunkedDecoder()
            self.between_chunks = True
        self.ended = not (self.has_body and (is_chunked or self.close_delimited or self._remaining))
