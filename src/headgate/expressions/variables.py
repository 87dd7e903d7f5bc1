"""Variables of a request, by the names that NGINX and APISIX give them.

A name is compiled once into a function from a source to the variable's raw bytes, or None if the variable is absent.
Nothing is decoded: ``arg_x`` is the text between the separators, as in NGINX.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Protocol

from headgate.wire.request import Request


class VariableSource(Protocol):
    """What variables are read from: an exchange, or a request on its way to a route."""

    @property
    def request(self) -> Request:
        """The request as received."""

    @property
    def form(self) -> Mapping[bytes, bytes] | None:
        """First value of each field of a form body, decoded; empty when the body is no form, None = not read yet."""

    def extra(self, name: str) -> bytes | None:
        """Give a variable that the request alone does not hold (``route_id``, ``upstream_addr``, ``status`` …)."""


Variable = Callable[[VariableSource], bytes | None]

FORM_PREFIXES = ("post_arg.", "post_arg_")
"""Variables by these prefixes need the request's body."""


def needs_form(name: str) -> bool:
    """Say whether the variable can be read only after the request's form body."""
    return name.startswith(FORM_PREFIXES)


@lru_cache(maxsize=1024)
def compile_variable(name: str) -> Variable:
    """Compile a variable's name, without ``$``; a name that is not known here is asked of ``source.extra``."""
    fixed = _FIXED.get(name)
    if fixed is not None:
        return fixed
    for prefix, read in _PREFIXED:
        if name.startswith(prefix) and name != prefix:
            return partial(read, name[len(prefix) :].encode())
    return partial(_extra, name)


def _extra(name: str, source: VariableSource) -> bytes | None:
    return source.extra(name)


def _argument(name: bytes, source: VariableSource) -> bytes | None:
    query = source.request.query
    if not query:
        return None
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return value
    return None


def _header(name: bytes, source: VariableSource) -> bytes | None:
    """Several fields of a name are one list (RFC 9110 §5.3); Cookie alone is joined as it is split (RFC 6265 §5.4)."""
    lower = name.lower().replace(b"_", b"-")
    if lower != b"cookie":
        return source.request.headers.combined(lower)
    return b"; ".join(source.request.headers.get_all(lower)) or None


def _cookie(name: bytes, source: VariableSource) -> bytes | None:
    for line in source.request.headers.get_all(b"cookie"):
        for pair in line.split(b";"):
            key, separator, value = pair.partition(b"=")
            if separator and key.strip(b" \t") == name:
                return value.strip(b" \t")
    return None


def _form_field(name: bytes, source: VariableSource) -> bytes | None:
    form = source.form
    return None if form is None else form.get(name)


_HOSTNAME = socket.gethostname().encode()

_FIXED: dict[str, Variable] = {
    "uri": lambda source: source.request.path,
    "request_uri": lambda source: source.request.target,
    "host": lambda source: source.request.host,
    "hostname": lambda _source: _HOSTNAME,
    "scheme": lambda source: source.request.peer.scheme,
    "request_method": lambda source: source.request.method,
    "remote_addr": lambda source: source.request.peer.remote_addr.encode(),
    "remote_port": lambda source: b"%d" % source.request.peer.remote_port,
    "server_addr": lambda source: source.request.peer.server_addr.encode(),
    "server_port": lambda source: b"%d" % source.request.peer.server_port,
    "query_string": lambda source: source.request.query,
    "args": lambda source: source.request.query,
    "is_args": lambda source: b"?" if source.request.query else b"",
}

_PREFIXED: tuple[tuple[str, Callable[[bytes, VariableSource], bytes | None]], ...] = (
    ("arg_", _argument),
    ("http_", _header),
    ("cookie_", _cookie),
    *((prefix, _form_field) for prefix in FORM_PREFIXES),
)
