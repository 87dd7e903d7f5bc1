"""Reads that are whole chunks of whole events, which most reads of an event stream are: told at a glance.

Such a read can go on as it came, framing and all, and all that a gateway must know of it is two numbers. Where the
package was built with a C compiler the glance is C's; else it is Python's, with the same results.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from headgate.wire.chunked import single_chunk
from headgate.wire.sse_counter import count_blocks

_CR = 0x0D
_size_line = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n").match


def count_in_python(data: bytes) -> tuple[int, int] | None:
    """Give (body bytes, events) of a read that begins between two chunks and between two blocks, if that is where it ends.

    None: it ends elsewhere, or says more than sizes and bodies (extensions, the last chunk), or a body holds a CR or
    ends within a block; then it must be parsed. An event is a block with a data field (WHATWG HTML §9.2.6).
    """
    body = single_chunk(data)
    if (
        body is not None and (first_end := body.find(b"\n\n")) >= 0 and first_end == len(body) - 2
    ):  # one block, as is usual
        if _CR in body:
            return None
        has_data = body.startswith(b"data:") or body.find(b"\ndata:") >= 0
        return len(body), 1 if has_data else count_blocks(body)
    bodies = _bodies(data) if body is None else [body]
    body_bytes = events = 0
    for one in bodies or ():
        if not one.endswith(b"\n\n") or _CR in one:
            return None
        body_bytes += len(one)
        events += count_blocks(one)
    return (body_bytes, events) if bodies else None


def _bodies(data: bytes) -> list[bytes] | None:
    bodies = []
    at = 0
    while at < len(data):
        line = _size_line(data, at)
        if line is None:
            return None
        at = line.end() + int(line[1], 16)
        if data[at : at + 2] != b"\r\n":
            return None
        bodies.append(data[line.end() : at])
        at += 2
    return bodies


count_whole_chunks: Callable[[bytes], tuple[int, int] | None] = count_in_python
"""The form that is used: see :func:`count_in_python` for what it gives."""

with suppress(ImportError):  # there was no compiler where it was installed
    from headgate.wire._whole_chunks import count_whole_chunks as _count_in_c

    count_whole_chunks = _count_in_c

IS_COMPILED = count_whole_chunks is not count_in_python
