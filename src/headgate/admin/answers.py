"""What the Admin API answers: a status and a body, in APISIX's shapes.

Invariants: every body is JSON with one newline at its end, or bare text, and goes out as ``application/json`` as
APISIX's do; an error is an object with ``error_msg``, a missing resource one with ``message``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from headgate.config.store import Item, Write

if TYPE_CHECKING:
    from fastapi import Response


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one request and, for a write, what it stores.

    ``body`` is a JSON value; a text goes out as it is, without quotes and newline; None is an empty body. ``etag`` is
    the ``modifiedIndex`` of the resource that the answer shows.
    """

    status: int
    body: object = None
    writes: Sequence[Write] = ()
    etag: int | None = None


class Refusal(Exception):
    """A request that is answered with an error; ``outcome`` is that answer."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.status}: {outcome.body}")
        self.outcome = outcome


def error(status: int, text: str) -> Outcome:
    """Make an error answer, ``{"error_msg": text}``."""
    return Outcome(status, {"error_msg": text})


def refuse(status: int, text: str) -> Refusal:
    """Make the exception that ends a request with ``{"error_msg": text}``."""
    return Refusal(error(status, text))


def key_not_found() -> Outcome:
    """Make the answer to a GET, PATCH or DELETE of what is not there."""
    return Outcome(404, {"message": "Key not found"})


def written(status: int, item: Item) -> Outcome:
    """Make the answer to a PUT, POST or PATCH that stores ``item``; it shows no indexes."""
    return Outcome(status, {"key": item.key, "value": item.value}, writes=(item,), etag=item.modified_index)


def shown(item: Item) -> Outcome:
    """Make the answer to a GET of one resource."""
    return Outcome(200, as_listed(item), etag=item.modified_index)


def as_listed(item: Item) -> dict[str, object]:
    """Give an item as GET shows it, alone or in a list."""
    return {
        "key": item.key,
        "value": item.value,
        "createdIndex": item.created_index,
        "modifiedIndex": item.modified_index,
    }


def encode(body: object) -> bytes:
    """Encode a body as it goes out."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return msgspec.json.encode(body) + b"\n"


def respond(outcome: Outcome) -> Response:
    """Make the HTTP response of an outcome; its ETag (RFC 9110 §8.8.3) is what If-Match takes."""
    from fastapi import Response  # noqa: PLC0415 - what decides about writes is loaded before what speaks HTTP

    headers = {} if outcome.etag is None else {"ETag": f'"{outcome.etag}"'}
    return Response(encode(outcome.body), outcome.status, headers, media_type="application/json")
