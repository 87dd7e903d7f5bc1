"""Request bodies: read within a limit, decoded strictly.

Invariants: no more than the limit and one piece of the body is ever held; the Content-Type does not matter (APISIX).
What is decoded can be stored, shown and sent to workers: UTF-8, no NaN or Infinity, integers of 64 bits, bounded depth.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from fastapi import Request

from headgate.admin.answers import Outcome, Refusal, refuse

MAX_BODY_BYTES = 1_572_864
"""APISIX's limit, 1.5 MiB."""

MAX_DEPTH = 64
"""Objects and arrays inside each other; APISIX stops at 1,000, which no resource comes near."""


class Missing:
    """The type of :data:`MISSING`."""


MISSING = Missing()
"""The document of a request without a body."""


class _BadJsonError(ValueError):
    pass


async def read_document(request: Request) -> object:
    """Read the body and decode it; MISSING when there is none. Raises Refusal (400) in the words of APISIX."""
    raw = await _read(request)
    if not raw:
        return MISSING
    try:
        return decode(raw)
    except ValueError as fault:
        body = {"error_msg": f"invalid request body: {fault}", "req_body": raw.decode(errors="replace")}
        raise Refusal(Outcome(400, body)) from fault


async def _read(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large(int(declared))
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_BODY_BYTES:
            raise _too_large(len(raw))
    return bytes(raw)


def _too_large(size: int) -> Refusal:
    return refuse(
        400,
        f"invalid request body: request size {size} is greater than the maximum size {MAX_BODY_BYTES} allowed",
    )


def decode(raw: bytes) -> object:
    """Decode one JSON text (RFC 8259). Raises ValueError with a text that says what is wrong with it."""
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        _check_text(raw, value)
    except RecursionError:
        raise _BadJsonError(f"nested deeper than {MAX_DEPTH} levels") from None
    except UnicodeError:
        raise _BadJsonError("not valid UTF-8") from None
    _check_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise _BadJsonError(f'duplicate key "{double}"')
    return found


def _integer(text: str) -> int:
    # Twenty characters hold every 64-bit number; a longer one is not even converted.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise _BadJsonError(f"number out of range: {text[:40]}")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _BadJsonError(f"number out of range: {text[:40]}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _BadJsonError(f"{name} is not a JSON number")


def _check_text(raw: bytes, value: object) -> None:
    """Refuse lone surrogates, which only an escape can bring in and which no encoder takes."""
    if b"\\u" in raw:
        json.dumps(value, ensure_ascii=False).encode()


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [node for node in level if isinstance(node, dict | list)]
        if not containers:
            return
        level = [child for node in containers for child in (node.values() if isinstance(node, dict) else node)]
    raise _BadJsonError(f"nested deeper than {MAX_DEPTH} levels")
