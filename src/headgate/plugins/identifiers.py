"""The kinds of ids that ``request-id`` makes, all from the system's random source."""

from __future__ import annotations

import secrets
import time
import uuid

_URL_SAFE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KSUID_EPOCH_S = 1_400_000_000
_KSUID_CHARACTERS = 27


def uuid4() -> str:
    """Make a random UUID (RFC 9562 §5.4)."""
    return str(uuid.uuid4())


def uuid7() -> str:
    """Make a UUID that begins with the time in milliseconds (RFC 9562 §5.7)."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return str(uuid.UUID(int=value))


def nanoid() -> str:
    """Make a Nano ID: 21 characters that need no escaping in a URL."""
    return range_id(21, _URL_SAFE)


def range_id(length: int, characters: str) -> str:
    """Make an id of ``length`` characters, each drawn alike."""
    return "".join(secrets.choice(characters) for _ in range(length))


def ksuid() -> str:
    """Make a KSUID: 32 bits of seconds since May 2014, 128 random bits, in base 62; sorts by time."""
    value = (int(time.time()) - _KSUID_EPOCH_S) << 128 | secrets.randbits(128)
    characters = []
    for _ in range(_KSUID_CHARACTERS):
        value, digit = divmod(value, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))
