"""Responses cut from a connection's bytes by httptools: sans I/O, what one read brings gathered as one piece.

After each :meth:`ResponseReader.feed` the connection takes what is there, in this order: ``interim`` heads, the
``head``, the body's :meth:`~ResponseReader.take_piece`, then ``ended`` or ``trouble``. There is no head where trouble
came before its end, so that how the bytes were cut into reads changes nothing.

The reader is stricter than its parser (RFC 9112 §6.3): a response that says two lengths, or a length and a transfer
coding, is an error, because whoever reads it next may choose the other one; so is one of another protocol's version, a
status outside 100 to 599 (RFC 9110 §15) and an interim head that announces a body.
"""

from __future__ import annotations

import httptools

from headgate.errors import GatewayError, Source
from headgate.wire.headers import Field, Headers, valid_value
from headgate.wire.request import ResponseHead


def failure(code: str, *, status: int = 502, retryable: bool = False, detail: str = "") -> GatewayError:
    """Make the error record of something that the upstream did."""
    return GatewayError(code, source=Source.UPSTREAM, status=status, retryable=retryable, detail=detail)


class ResponseReader:
    """The reading half of an HTTP/1.1 client connection.

    ``content_length`` is None where the head says none; ``close_delimited`` means that only EOF ends the body.
    ``has_extra`` says that bytes stood behind the response's end, ``upgraded`` holds the bytes behind a 101's head,
    ``is_untouched`` says that nothing has come yet. ``max_head_bytes`` bounds a head with all interim heads before it,
    and any stretch of a body that is framing and trailers only.
    """

    __slots__ = (
        "_fields",
        "_max_head_bytes",
        "_no_body",
        "_parser",
        "_piece",
        "_pieces",
        "_reason",
        "_silent_bytes",
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
        self._parser = httptools.HttpResponseParser(self)
        self._no_body = False
        self._reset()

    def _reset(self) -> None:
        self._fields: list[Field] = []
        self._reason = b""
        self._silent_bytes = 0
        self._piece: bytes | None = None
        self._pieces: list[bytes] | None = None
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

    def start(self, *, no_body: bool) -> None:
        """Expect the response to a new request; ``no_body`` for one to HEAD."""
        if self._no_body:  # llhttp still waits for the body that a response to HEAD announces
            self._parser = httptools.HttpResponseParser(self)
        self._no_body = no_body
        self._reset()

    @property
    def is_untouched(self) -> bool:
        """Whether no byte of a response has come."""
        return self.head is None and not self._silent_bytes

    def feed(self, data: bytes) -> None:
        """Parse what one read brought."""
        had_head = self.head is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if self.ended:
                self.has_extra = True
            else:
                self._note("protocol_error", str(error))
        if self._piece is not None or (self.head is not None and not had_head):
            self._silent_bytes = 0
        elif not self.ended:
            self._count_silent(len(data))
        if self.ended and not had_head and not self.has_body and not _ends_head(data):
            self.has_extra = True

    def feed_body(self, data: bytes) -> None:
        """Parse what one read brought behind the head: :meth:`feed` without what concerns heads."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self.ended:
                self.has_extra = True
            else:
                self._note("protocol_error", str(error))
        if self._piece is not None:
            self._silent_bytes = 0
        elif not self.ended:
            self._count_silent(len(data))

    def take_piece(self) -> bytes | None:
        """Give the body bytes of the last read as one piece, or None."""
        piece = self._piece
        if piece is None:
            return None
        self._piece = None
        if self._pieces is not None:
            piece = b"".join(self._pieces)
            self._pieces = None
        return piece

    def _count_silent(self, count: int) -> None:
        """Bound what the parser keeps, or reads without an end, while it gives out nothing."""
        self._silent_bytes += count
        if self._silent_bytes > self._max_head_bytes:
            if self.head is None:
                self._note("head_too_large", f"more than {self._max_head_bytes} bytes of head")
            else:
                self._note("protocol_error", f"more than {self._max_head_bytes} bytes of framing or trailers")

    def _note(self, code: str, detail: str) -> None:
        """Keep the first error of a response: callbacks must not raise into the parser."""
        if self.trouble is None:
            self.trouble = failure(code, detail=detail)

    # -- httptools callbacks ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self.ended or self.head is not None:
            self.has_extra = True
        self._fields = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field, unless it is a trailer: those are dropped."""
        if self.head is not None:
            return
        value = value.rstrip(b" \t")
        if not valid_value(value):
            self._note("protocol_error", "a header value holds a control character")
        self._fields.append((name.lower(), name, value))

    def on_headers_complete(self) -> None:
        """Keep the head; the connection takes it once the read is parsed."""
        if self.has_extra:
            return
        head = ResponseHead(self._parser.get_status_code(), self._reason, Headers(self._fields))
        self._check(head)
        if self.trouble is not None:
            return
        if 100 <= head.status < 200 and head.status != 101:
            self.interim.append(head)
        else:
            self.head = head
            self._set_framing(head)

    def _check(self, head: ResponseHead) -> None:
        lengths = head.headers.get_all(b"content-length")
        codings = head.headers.get_all(b"transfer-encoding")
        if self._parser.get_http_version() not in {"1.0", "1.1"} or not 100 <= head.status <= 599:
            self._note("protocol_error", "a version or status that is not HTTP/1.1's")
        elif not valid_value(head.reason):
            self._note("protocol_error", "the reason phrase holds a control character")
        elif sum(len(name) + len(value) + 4 for name, _, value in self._fields) > self._max_head_bytes:
            self._note("head_too_large", f"more than {self._max_head_bytes} bytes of head")
        elif len(lengths) > 1 or (lengths and codings):
            self._note("protocol_error", "contradictory framing")
        elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
            self._note("protocol_error", "a transfer coding that is not chunked")
        elif lengths and not (lengths[0].isdigit() and len(lengths[0]) < 19):
            self._note("protocol_error", "a malformed Content-Length")
        elif head.status < 200 and (codings or lengths not in ([], [b"0"])):
            self._note("protocol_error", "an interim response with a body")

    def _set_framing(self, head: ResponseHead) -> None:
        """Find where the body ends; the head has been checked.

        A transfer coding on HTTP/1.0 is decoded, and the connection not used again (RFC 9112 §6.1).
        """
        length = head.headers.get(b"content-length")
        chunked = b"transfer-encoding" in head.headers
        self.content_length = None if length is None else int(length)
        self.has_body = not self._no_body and head.status not in {101, 204, 304}
        self.close_delimited = self.has_body and not chunked and length is None
        options = head.headers.tokens(b"connection")
        is_1_0 = self._parser.get_http_version() == "1.0"
        self.keep_alive = b"close" not in options and (not is_1_0 or (b"keep-alive" in options and not chunked))
        self.ended = not self.has_body

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        if self.ended:
            self.has_extra = True
        elif self._piece is None:
            self._piece = body
        elif self._pieces is None:
            self._pieces = [self._piece, body]
        else:
            self._pieces.append(body)

    def on_chunk_header(self) -> None:
        """Note a chunk where no body belongs."""
        if self.ended:
            self.has_extra = True

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim head."""
        if self.head is not None:
            self.ended = True
            # Where the parser sees a reason to close that is not seen here, it would refuse the next response.
            self.keep_alive = self.keep_alive and (self._no_body or self._parser.should_keep_alive())


def _ends_head(data: bytes) -> bool:
    """Say whether the read that ended a head brought nothing behind it, its empty line perhaps cut."""
    return data.endswith(b"\r\n\r\n") or data in {b"\n\r\n", b"\r\n", b"\n"}
