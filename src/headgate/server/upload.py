"""A request's body on its way up: read from the connection as it is wanted, streamed as it comes.

Nothing of a body is read before it is wanted: by :meth:`Upload.read_form`, because routing has to look into it, or by
:meth:`Upload.begin`, because a target is there to take it. What a target does not take in time stays with the client.

While body is wanted and taken, and no response flows yet, no gap between two reads of it is longer than ``http.body_timeout_s`` (as NGINX's
``client_body_timeout``): the deadline is the connection's entry in the timer wheel, a read only moves a stamp.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headgate.server.form import MAX_FORM_BYTES, parse_form
from headgate.stream.ending import Ending
from headgate.wire.request_head import BadRequest
from headgate.wire.request_reader import Signal

if TYPE_CHECKING:
    from headgate.server.gateway import Gateway
    from headgate.server.http1_connection import Http1Connection
    from headgate.upstream.http1_client import Http1Client
    from headgate.wire.request import Request


class Upload:
    """``is_used``: body bytes went to a target and were not kept, so that the request cannot go to another.

    ``is_whole``: all of it was read. ``sent_bytes``: how many went to targets.
    """

    __slots__ = (
        "_client",
        "_connection",
        "_form_read",
        "_gateway",
        "_held",
        "_held_bytes",
        "_is_paused",
        "_is_wanted",
        "_kept",
        "_kept_bytes",
        "_read_at",
        "_reader",
        "is_used",
        "is_whole",
        "sent_bytes",
    )

    def __init__(self, connection: Http1Connection, request: Request, gateway: Gateway) -> None:
        self._connection = connection
        self._reader = connection.reader
        self._gateway = gateway
        self._client: Http1Client | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._form_read: asyncio.Future[None] | None = None
        self._is_wanted = False
        self._is_paused = False
        self._kept: list[bytes] | None = None  # what went to a target and could go to another
        self._kept_bytes = 0
        self._read_at = 0.0
        self.is_used = False
        self.sent_bytes = 0
        self.is_whole = not request.has_body
        if self.is_whole:
            self._reader.next()  # its END

    async def read_form(self, request: Request, loop: asyncio.AbstractEventLoop) -> dict[bytes, bytes]:
        """Read ahead, up to MAX_FORM_BYTES, and give the form's fields."""
        if not self.is_whole:
            self._form_read = loop.create_future()
            self._want()
            await self._form_read
        body = b"".join(self._held)[:MAX_FORM_BYTES]
        return parse_form(request.headers.get(b"content-type"), body)

    def keep(self, max_bytes: int) -> None:
        """Keep a body of up to ``max_bytes`` as it goes out, so that it can be sent to another target."""
        self._kept = []
        self._kept_bytes = max_bytes

    def keep_no_longer(self) -> None:
        """Let go of what was kept: the request goes to no other target."""
        self._kept = None
        self.is_used = bool(self.sent_bytes)

    def begin(self, client: Http1Client) -> None:
        """Send to ``client`` what is kept and held, and what comes as it comes."""
        self._client = client
        self._is_paused = False
        held, self._held, self._held_bytes = self._held, [], 0
        if self._kept:
            kept, self._kept = self._kept, []
            self._kept_bytes += sum(map(len, kept))
            held = kept + held
        for piece in held:
            self._take(piece)
        if self.is_whole:
            client.end_upload()
        else:
            self._want()

    def read(self) -> None:
        """Take what has come of the body, as far as it is wanted now."""
        self._read_at = self._gateway.clock()
        while self._is_wanted and not (self._is_paused or self.is_whole):
            try:
                item = self._reader.next()
            except BadRequest as error:
                self._is_wanted = False
                self._connection.body_failed(error, Ending.REFUSED)
                return
            if isinstance(item, bytes):
                self._take(item)
            elif item is Signal.END:
                self._end()
            else:
                return

    def pause(self) -> None:
        """Take no more for now."""
        self._is_paused = True
        self._connection.hold_if_early()

    def resume(self) -> None:
        """Take body again."""
        self._is_paused = False
        self.read()
        self._connection.hold_if_early()

    def drop(self) -> None:
        """Send nothing more: the target is gone."""
        self._client = None

    def check_stall(self, now: float) -> float | None:
        """Give the exchange up if body is awaited and none has come for too long; give the time of the next look."""
        if self.is_whole or not self._is_wanted:
            return None
        timeout_s = self._gateway.settings.http.body_timeout_s
        due = self._read_at + timeout_s if self._is_awaited else now + timeout_s
        if now < due:
            return due
        self._is_wanted = False
        self._connection.body_failed(BadRequest(408, "the request body did not come in time"), Ending.CLIENT_STALLED)
        return None

    @property
    def _is_awaited(self) -> bool:
        """Whether only the client holds the body up: not a target that blocks, and not one that is being looked for."""
        is_form_awaited = self._form_read is not None and not self._form_read.done()
        return not self._is_paused and (self._client is not None or is_form_awaited)

    def settle(self) -> bool:
        """Drop what has come of a body that no target takes; say whether another request can follow this one's end."""
        if self._client is None and not self.is_whole:
            self._is_wanted = False
            try:
                while isinstance(item := self._reader.next(), bytes):
                    pass
            except BadRequest:
                return False
            self.is_whole = item is Signal.END
        return self._client is not None or self.is_whole

    def _want(self) -> None:
        if not self._is_wanted:
            self._is_wanted = True
            self._connection.send_continue()
        self.read()
        self._connection.hold_if_early()
        if self._is_wanted and not self.is_whole:
            due = self._read_at + self._gateway.settings.http.body_timeout_s
            self._gateway.wheel.schedule(self._connection, due)

    def _take(self, piece: bytes) -> None:
        if self._client is not None:
            self._keep(piece)
            self.sent_bytes += len(piece)
            self._gateway.count_upload(len(piece))
            self._client.send_piece(piece)
            return
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= MAX_FORM_BYTES:
            self._is_paused = True
            self._form_is_read()

    def _keep(self, piece: bytes) -> None:
        if self._kept is not None and len(piece) <= self._kept_bytes:
            self._kept.append(piece)
            self._kept_bytes -= len(piece)
        else:
            self._kept = None
            self.is_used = True

    def _end(self) -> None:
        self.is_whole = True
        if self._client is not None:
            self._client.end_upload()
        else:
            self._form_is_read()

    def _form_is_read(self) -> None:
        if self._form_read is not None and not self._form_read.done():
            self._form_read.set_result(None)
