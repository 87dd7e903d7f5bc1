"""What of a request target may be written down: values of query arguments that look like secrets are masked.

Browsers' EventSource cannot set headers, so tokens travel in the query more often than elsewhere.
Invariant: when in doubt a value is masked; a masked log line is a nuisance, a leaked token an incident.
"""

from __future__ import annotations

import re
from collections.abc import Collection
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
    return path + mark + "&".join(_mask_argument(argument, extra) for argument in query.split("&"))


def _mask_argument(argument: str, extra: Collection[str]) -> str:
    """Mask one piece between ``&``; some servers part arguments at ``;`` too, so a secret after one is found as well."""
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
    name = (unquote_plus(name) if "%" in name else name).strip("+ ").lower()
    if name in extra or name in _NAMES:
        return True
    words = _WORD.findall(name)
    singular = [word.removesuffix("s") for word in words]
    return not _WORDS.isdisjoint(words + singular) or any(word.endswith(_ENDINGS) for word in singular)
