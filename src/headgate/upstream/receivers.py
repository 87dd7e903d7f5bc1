"""Who hears of a response: first whoever sent the request, then whoever takes the body."""

from __future__ import annotations

from typing import Protocol

from headgate.errors import GatewayError
from headgate.wire.request import ResponseHead


class HeadReceiver(Protocol):
    """Whoever sent the request: it hears of everything up to the final head, and of the upload."""

    def interim_received(self, head: ResponseHead) -> None:
        """Hear a 1xx other than 100 and 101."""

    def head_received(self, head: ResponseHead, content_length: int | None, *, has_body: bool) -> BodyReceiver:
        """Hear the final head, end-to-end fields only; give whoever takes the body."""

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """Hear a 101 that was asked for; ``rest`` are the first bytes of the new protocol."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Hear that there will be no head."""

    def upload_blocked(self) -> None:
        """Hear that the target takes no more body for now."""

    def upload_ready(self) -> None:
        """Hear that the target takes body again."""


class BodyReceiver(Protocol):
    """Whoever takes the response's body."""

    def piece_received(self, piece: bytes) -> None:
        """Take the body bytes of one read."""

    def chunks_received(self, data: bytes) -> bool:
        """Take a read that begins with a chunk, framing and all, if it needs no parsing; False: it does."""

    def response_ended(self) -> None:
        """Hear that the framing ended properly."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Hear that the body will not be completed."""
