"""What of a request target may be written down: values of query arguments that look like secrets are masked.

Browsers' EventSource cannot set headers, so tokens travel in the query more often than elsewhere.
Invariant: when in doubt a value is masked; a masked log line is a nuisance, a leaked token an incident.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import unquote_plus

MASK = "***"
MAX_TARGET_BYTES = 2048
"""A longer target is cut, with ``…`` at its end, before it is looked at: the work per line is bounded."""

_ENDINGS = ("token", "secret", "password", "passwd", "signature", "apikey", "jwt", "credential")
_WORDS = frozenset({"key", "sig", "auth", "authorization", "pwd", "pass", "session", "sid", "bearer"})
_WORD = re.compile(r"[^\W_]+")
_NAMES = frozenset({"code", "state", "ticket", "assertion"})


def mask_query(target: bytes, extra: Collection[str] = ()) -> str:
    """Give ``target`` (a request target as received) as text with each secret argument's value as ``***``.

    ``extra`` are further argument names in lower case. Names are compared without case and after percent-decoding.
    """
    text = target[:MAX_TARGET_BYTES].decode("utf-8", "backslashreplace")
    if len(target) > MAX_TARGET_BYTES:
        text += "…"
    path, mark, query = text.partition("?")
    if not mark:
        return text
    if "&" not in query:
        return f"{path}?{_mask_argument(query, extra)}"
    return f"{path}?{'&'.join([_mask_argument(argument, extra) for argument in query.split('&')])}"


def _mask_argument(argument: str, extra: Collection[str]) -> str:
    """Mask one piece between ``&``; some servers part arguments at ``;`` too, so a secret after one is found as well."""
    if ";" not in argument:
        name, equals, _ = argument.partition("=")
        return f"{name}={MASK}" if equals and _is_secret(name, extra) else argument
    start = 0
    while start <= len(argument):
        end = argument.find(";", start)
        end = len(argument) if end < 0 else end
        name, equals, _ = argument[start:end].partition("=")
        if equals and _is_secret(name, extra):
            return f"{argument[:start]}{name}={MASK}"  # to the end of the piece: the value may hold a ";"
        start = end + 1
    return argument


def _is_secret(name: str, extra: Collection[str]) -> bool:
    if extra and _plain(name) in extra:
        return True
    return _known_sound(name) if len(name) <= _SHORT else _sounds_secret(name)


def _plain(name: str) -> str:
    return (unquote_plus(name) if "%" in name else name).strip("+ ").lower()


def _sounds_secret(name: str) -> bool:
    name = _plain(name)
    if name in _NAMES:
        return True
    words = _WORD.findall(name)
    singular = [word.removesuffix("s") for word in words]
    return not _WORDS.isdisjoint(words + singular) or any(word.endswith(_ENDINGS) for word in singular)


_SHORT = 32
_known_sound = lru_cache(maxsize=1024)(_sounds_secret)
"""Names come again and again; values are not kept."""
