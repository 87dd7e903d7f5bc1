"""Form bodies, for routes that match on ``post_arg.…``."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from urllib.parse import parse_qsl

MAX_FORM_BYTES = 64 * 1024
"""How much of a body is read ahead for routing; fields beyond are not seen."""

_MAX_FIELDS = 1000
_NESTED = re.compile(rb"^content-type:[ \t]*multipart/", re.IGNORECASE | re.MULTILINE)
"""Parts within a part: RFC 7578 §4.3 is done with them, and a deep nest of them costs a second of parsing."""


def parse_form(content_type: bytes | None, body: bytes) -> dict[bytes, bytes]:
    """Give the first value of each field of a form; nothing for a body that is none.

    Takes ``application/x-www-form-urlencoded`` and ``multipart/form-data`` (RFC 7578).
    """
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    if media_type == b"application/x-www-form-urlencoded":
        return _parse_urlencoded(body)
    if media_type == b"multipart/form-data":
        return _parse_multipart(content_type or b"", body)
    return {}


def _parse_urlencoded(body: bytes) -> dict[bytes, bytes]:
    form: dict[bytes, bytes] = {}
    try:
        pairs = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FIELDS
        )
    except ValueError:  # more fields than any form has: none of them is looked at
        return {}
    for name, value in pairs:
        form.setdefault(name.encode("latin-1"), value.encode("latin-1"))
    return form


def _parse_multipart(content_type: bytes, body: bytes) -> dict[bytes, bytes]:
    if _NESTED.search(body):
        return {}
    message = message_from_bytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    form: dict[bytes, bytes] = {}
    for part in message.get_payload() if message.is_multipart() else []:
        if not isinstance(part, Message):
            continue
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            form.setdefault(name.encode(), value)
    return form
