"""Request targets and the path that routes match on.

What goes upstream is the client's own text; what routes see is the normalised path, made as NGINX makes ``$uri``:
percent-escapes decoded, then dot segments and repeated slashes resolved. A text that cannot be normalised without
guessing (bad escape, NUL, climbing above the root) is refused, so that gateway and upstream cannot disagree on it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(rb"([A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")


class BadTarget(ValueError):
    """The target or authority is not one that can be forwarded; the text says why."""


def split_absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """Split an absolute-form target (RFC 9112 §3.2.2) into authority and origin form; None if it is not absolute."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, rest = match.groups()
    return authority, rest if rest.startswith(b"/") else b"/" + rest


def host_of(authority: bytes) -> bytes:
    """Give the host of ``host[:port]`` in lower case, without the port and without a trailing dot.

    Raises BadTarget for an empty or malformed authority, and for one with user information (RFC 9110 §4.2.4).
    """
    match = _AUTHORITY.fullmatch(authority)
    host = match[1].lower().removesuffix(b".") if match else b""
    if match is None or not host or b".." in match[1]:
        raise BadTarget("the host is empty or malformed")
    port = match[2]
    if port and int(port) > 65535:
        raise BadTarget("the host's port is above 65535")
    return host


def normalise(path: bytes) -> bytes:
    """Give the normalised form of a raw path that starts with "/".

    Raises BadTarget for a bad escape, an escaped or plain NUL, or a path that climbs above the root.
    """
    if b"%" in path:
        if _BAD_ESCAPE.search(path):
            raise BadTarget("the path has a bad percent-escape")
        path = unquote_to_bytes(path)
    if b"\0" in path:
        raise BadTarget("the path holds a NUL")
    if b"//" not in path and b"/." not in path:
        return path
    return _resolve(path)


def _resolve(path: bytes) -> bytes:
    segments = path.split(b"/")[1:]
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            if not kept:
                raise BadTarget("the path climbs above the root")
            kept.pop()
        elif segment not in {b"", b"."}:
            kept.append(segment)
    resolved = b"/" + b"/".join(kept)
    is_folder = segments[-1] in {b"", b".", b".."}
    return resolved + b"/" if is_folder and kept else resolved
