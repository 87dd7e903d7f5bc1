"""A request written out in the form that jmalloc/echo-server gives it, from an ASGI scope.

Names are spelled canonically as Go's net/http does, sorted by that spelling, values in the order received. Host stands
first and Transfer-Encoding is absent, because Go takes both out of the fields.
"""

from __future__ import annotations

from headgate.echo.asgi import Scope

_NOT_LISTED = (b"host", b"transfer-encoding")
_PRINTABLE = range(0x20, 0x7F)


def canonical_name(name: bytes) -> bytes:
    """Spell a field name as Go does: capitals at the start and after each hyphen, the rest small."""
    return b"-".join(part.capitalize() for part in name.split(b"-"))


def find_header(scope: Scope, lower: bytes) -> bytes:
    """Give the first value of a field, empty if it is absent; takes the name in lower case."""
    return next((value for name, value in scope["headers"] if name == lower), b"")


def request_url(scope: Scope) -> bytes:
    """Give path and query as they stood in the request line."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


def dump_headers(scope: Scope) -> bytes:
    """Write a ``Name: value`` line for every field."""
    fields = [(canonical_name(name), value) for name, value in scope["headers"] if name not in _NOT_LISTED]
    fields.sort(key=lambda field: field[0])
    return b"".join(b"%s: %s\n" % field for field in fields)


def dump_request(scope: Scope, body: bytes) -> bytes:
    """Write request line, blank line, Host and the other fields, and, if there is a body, a blank line and the body."""
    line = b"%s %s HTTP/%s\n\n" % (scope["method"].encode(), request_url(scope), scope["http_version"].encode())
    host = b"Host: %s\n" % find_header(scope, b"host")
    return line + host + dump_headers(scope) + (b"\n" + body if body else b"")


def hex_dump(octets: bytes) -> str:
    """Write octets as ``hexdump -C`` does, sixteen to a line, without the line of the total."""
    return "".join(_hex_line(offset, octets[offset : offset + 16]) for offset in range(0, len(octets), 16))


def _hex_line(offset: int, row: bytes) -> str:
    text = "".join(chr(octet) if octet in _PRINTABLE else "." for octet in row)
    return f"{offset:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  |{text}|\n"
