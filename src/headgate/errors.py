"""The one error record.

Whatever goes wrong with an exchange is said as a :class:`GatewayError`: what happened (``code``), on whose side
(``source``), what the client is told (``status``) and whether another target may be tried (``retryable``).
"""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """The side on which an error arose."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class GatewayError(Exception):
    """An error that ends an exchange or one try of it.

    ``code`` is a short snake_case word that appears in logs (``connect_refused``, ``read_timeout``); ``status`` the
    HTTP status for a client that has not had a response head yet; ``retryable`` says that no byte of a response has
    been seen and the request may go to another target.
    """

    def __init__(self, code: str, *, source: Source, status: int, retryable: bool = False, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.source = source
        self.status = status
        self.retryable = retryable
        self.detail = detail
