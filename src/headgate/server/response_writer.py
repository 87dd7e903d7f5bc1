"""The writing half of a client connection: heads and bodies in the framing that fits the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.server.body_framing import BodyFraming, choose_framing, drop, set_framing_fields
from headgate.server.endpoint import reset_on_close
from headgate.server.send_now import send_now
from headgate.wire import response_head
from headgate.wire.chunked import LAST_CHUNK
from headgate.wire.request import ResponseHead

JOIN_BYTES = 16 * 1024
"""Up to this size a chunk is copied into one piece with its framing; beyond, the parts are written one by one."""

CUT_AFTER_S = 0.05
"""How long after its last bytes a body is cut: browsers drop what they read together with a cut. Measured with Chromium
156, an event and a FIN without the last chunk at once: 58 of 60 events were dispatched; 5 ms apart: 160 of 160."""


class ResponseWriter:
    """See the module. ``framing`` is that of the response that is under way, or was last.

    Heads wait for the end of the loop's turn, so that they leave together with the first bytes of a body. The body's
    bytes do not: in a busy turn they would wait for all the streams that are read in it.
    """

    __slots__ = ("_fd", "_loop", "_transport", "framing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._fd = _descriptor(transport)
        self.framing = BodyFraming.NONE

    def choose_framing(self, content_length: int | None, *, has_body: bool, minor_version: int) -> BodyFraming:
        """Choose how the next response says where its body ends."""
        self.framing = choose_framing(content_length, has_body=has_body, minor_version=minor_version)
        return self.framing

    def send_head(
        self, head: ResponseHead, content_length: int | None, *, minor_version: int, keep_alive: bool
    ) -> None:
        """Send the final head, in the framing that was chosen."""
        set_framing_fields(
            head.headers,
            self.framing,
            content_length,
            status=head.status,
            minor_version=minor_version,
            keep_alive=keep_alive,
        )
        if self.framing is BodyFraming.CLOSE:
            reset_on_close(self._transport, reset=True)
        self.send_bare_head(head)

    def send_bare_head(self, head: ResponseHead) -> None:
        """Send a head as it is: a 1xx, or one of a tunnel."""
        self._transport.write(response_head.encode(head.status, head.reason, head.headers))

    @property
    def piece_sender(self) -> Callable[[bytes], None]:
        """What sends body bytes."""
        if self.framing is BodyFraming.CHUNKED:
            return self._send_chunk
        return drop if self.framing is BodyFraming.NONE else self._write

    @property
    def chunk_passer(self) -> Callable[[bytes], None] | None:
        """What sends chunks that are framed already, where the response is chunked."""
        return self._write if self.framing is BodyFraming.CHUNKED else None

    def connection_lost(self) -> None:
        """Hear that the transport's descriptor is about to be another connection's."""
        self._fd = -1

    def _write(self, data: bytes) -> None:
        """Write at once where nothing waits to be written before; the transport keeps what the socket does not take."""
        if self._transport.get_write_buffer_size():
            self._transport.write(data)
            return
        taken = send_now(self._fd, data)
        if taken < len(data):
            self._transport.write(data[taken:] if taken else data)

    def _send_chunk(self, piece: bytes) -> None:
        if len(piece) <= JOIN_BYTES:
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))

    def end_body(self) -> None:
        """End the body properly."""
        if self.framing is BodyFraming.CHUNKED:
            self._transport.write(LAST_CHUNK)
        elif self.framing is BodyFraming.CLOSE and not self._transport.is_closing():
            reset_on_close(self._transport, reset=False)

    def break_body(self) -> None:
        """Close so that the client can tell: FIN without the last chunk or the full length, RST where FIN means complete.

        It sees everything that was sent before, and a moment later the cut.
        """
        self._loop.call_later(CUT_AFTER_S, self._transport.close)


def _descriptor(transport: asyncio.Transport) -> int:
    """Give the descriptor of a plain socket's transport; -1 where bytes have to go through the transport."""
    if transport.get_extra_info("ssl_object") is not None or (sock := transport.get_extra_info("socket")) is None:
        return -1
    return int(sock.fileno())
