"""The connection of a client that has left while its upstream may finish: it takes everything and sends nothing."""

from __future__ import annotations

from collections.abc import Callable

from headgate.stream.relay import drop
from headgate.wire.request import ResponseHead


class Gone:
    """Stands where a connection stood."""

    is_blocked = False
    piece_sender: Callable[[bytes], None] = staticmethod(drop)
    chunk_passer: Callable[[bytes], None] | None = None

    def send_interim(self, head: ResponseHead) -> None:
        """Send nothing."""

    def send_head(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> None:
        """Send nothing."""

    def send_piece(self, piece: bytes) -> None:
        """Send nothing."""

    def end_body(self) -> None:
        """Do nothing."""

    def break_body(self) -> None:
        """Do nothing."""


GONE = Gone()
