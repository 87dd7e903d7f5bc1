"""A request's body on its way up: streamed as it comes, unless routing has to look into it first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headgate.server.form import MAX_FORM_BYTES, parse_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate.server.http1_connection import Http1Connection
    from headgate.upstream.http1_client import Http1Client
    from headgate.wire.request import Request


class Upload:
    """Nothing is read of a body before it is wanted: by :meth:`read_form`, or by :meth:`begin`.

    ``is_used`` says that body bytes went to a target: the request cannot be sent to another one.
    """

    __slots__ = ("_client", "_connection", "_count", "_form_read", "_held", "_held_bytes", "_is_whole", "is_used")

    def __init__(self, connection: Http1Connection, count: Callable[[int], None]) -> None:
        self._connection = connection
        self._count = count
        self._client: Http1Client | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_whole = False
        self._form_read: asyncio.Future[None] | None = None
        self.is_used = False

    async def read_form(self, request: Request, loop: asyncio.AbstractEventLoop) -> dict[bytes, bytes]:
        """Read ahead, up to MAX_FORM_BYTES, and give the form's fields."""
        if request.has_body:
            self._form_read = loop.create_future()
            self._connection.want_body()
            await self._form_read
        body = b"".join(self._held)[:MAX_FORM_BYTES]
        return parse_form(request.headers.get(b"content-type"), body)

    def begin(self, client: Http1Client) -> None:
        """Send to ``client`` what is held, and what comes as it comes."""
        self._client = client
        held, self._held = self._held, []
        for piece in held:
            self.received(piece)
        if self._is_whole:
            client.end_upload()
        elif self._form_read is not None:
            self._connection.resume_body()
        else:
            self._connection.want_body()

    def received(self, piece: bytes) -> None:
        """Take a piece."""
        if self._client is not None:
            self.is_used = True
            self._count(len(piece))
            self._client.send_piece(piece)
            return
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= MAX_FORM_BYTES:
            self._connection.pause_body()
            self._form_is_read()

    def ended(self) -> None:
        """Hear that the body is whole."""
        self._is_whole = True
        if self._client is not None:
            self._client.end_upload()
        else:
            self._form_is_read()

    def drop(self) -> None:
        """Send nothing more: the target is gone."""
        self._client = None

    def _form_is_read(self) -> None:
        if self._form_read is not None and not self._form_read.done():
            self._form_read.set_result(None)
