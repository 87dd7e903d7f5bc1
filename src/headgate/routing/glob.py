"""Paths with ``*`` inside, such as ``/users/*/events``: a ``*`` stands for any bytes, none and ``/`` included.

Matched by finding the literal pieces from left to right, each as early as possible, which is exact when nothing but
``*`` is special, and takes no more than one pass over the path for each piece.
"""

from __future__ import annotations

Glob = tuple[bytes, ...]
"""The literal pieces between the stars; the first and the last stand at the ends of the path."""


def compile_glob(text: bytes) -> Glob:
    """Split a text with at least one ``*`` in it; several in a row are one."""
    first, *middle, last = text.split(b"*")
    return (first, *(piece for piece in middle if piece), last)


def matches_glob(glob: Glob, text: bytes) -> bool:
    """Say whether all of ``text`` matches."""
    first, *middle, last = glob
    position, limit = len(first), len(text) - len(last)
    if position > limit or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        found = text.find(piece, position, limit)
        if found < 0:
            return False
        position = found + len(piece)
    return True
