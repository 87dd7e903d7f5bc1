"""Responses cut from a connection's bytes by httptools: sans I/O, what one read brings gathered as one piece.

After each :meth:`ResponseReader.feed` the connection takes what is there, in this order: ``interim`` heads, the
``head``, the body's :meth:`~ResponseReader.take_piece`, then ``ended`` or ``trouble``. The reader is stricter than
its parser on framing (RFC 9112 §6.3): a response that says two lengths, or a length and a transfer coding, is an
error, because whoever reads it next may choose the other one.
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
    ``has_extra`` says that bytes stood behind the response's end, ``upgraded`` holds the bytes behind a 101's head.
    """

    __slots__ = (
        "_fields",
        "_max_head_bytes",
        "_no_body",
        "_parser",
        "_piece",
        "_pieces",
        "_reason",
        "_unfinished_bytes",
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
        self._unfinished_bytes = 0
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

    def feed(self, data: bytes) -> None:
        """Parse what one read brought."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if self.ended:
                self.has_extra = True
            else:
                self._note("protocol_error", str(error))
        if self.head is None:
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > self._max_head_bytes:
                self._note("head_too_large", f"more than {self._max_head_bytes} bytes of head")

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
        """Keep a field."""
        value = value.rstrip(b" \t")
        if not valid_value(value):
            self._note("protocol_error", "a header value holds a control character")
        self._fields.append((name.lower(), name, value))

    def on_headers_complete(self) -> None:
        """Keep the head; the connection takes it once the read is parsed."""
        if self.has_extra:
            return
        status = self._parser.get_status_code()
        head = ResponseHead(status, self._reason, Headers(self._fields))
        if 100 <= status < 200 and status != 101:
            self.interim.append(head)
            return
        self.head = head
        if sum(len(name) + len(value) + 4 for name, _, value in self._fields) > self._max_head_bytes:
            self._note("head_too_large", f"more than {self._max_head_bytes} bytes of head")
        self._set_framing(head)

    def _set_framing(self, head: ResponseHead) -> None:
        lengths = head.headers.get_all(b"content-length")
        codings = head.headers.get_all(b"transfer-encoding")
        chunked = bool(codings)
        if len(lengths) > 1 or (lengths and chunked):
            self._note("protocol_error", "contradictory framing")
        elif chunked and [coding.lower() for coding in codings] != [b"chunked"]:
            self._note("protocol_error", "a transfer coding that is not chunked")
        elif lengths and not (lengths[0].isdigit() and len(lengths[0]) < 19):
            self._note("protocol_error", "a malformed Content-Length")
        elif lengths:
            self.content_length = int(lengths[0])
        self.has_body = not self._no_body and head.status not in {204, 304}
        self.close_delimited = self.has_body and not chunked and not lengths
        options = head.headers.tokens(b"connection")
        is_1_0 = self._parser.get_http_version() == "1.0"
        self.keep_alive = b"keep-alive" in options if is_1_0 else b"close" not in options
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

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim head."""
        if self.head is not None:
            self.ended = True
