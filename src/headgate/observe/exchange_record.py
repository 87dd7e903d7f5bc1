"""What the access log says of an exchange."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from headgate.observe.access_log import Record


class ExchangeRecord(Record):
    """What is said of an exchange, in the order in which it stands in the log. Left out: what is UNSET."""

    event: str = ""
    id: str = ""
    route: str | None = None
    client: str = ""
    method: str = ""
    host: str = ""
    target: str = ""
    status: int = 0
    upstream: str | None = None
    head_s: float | UnsetType = UNSET
    bytes: int | UnsetType = UNSET
    duration_s: float | UnsetType = UNSET
    first_byte_s: float | UnsetType = UNSET
    keepalives: int | UnsetType = UNSET
    events: int | UnsetType = UNSET
    first_event_s: float | UnsetType = UNSET
    blocked_s: float | UnsetType = UNSET
    untouched: str | UnsetType = UNSET
    ending: str | UnsetType | None = UNSET
    error: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
