"""The path and query that a rewrite writes, with variables or a pattern's groups in it.

Whatever is put in, the result is a request target in origin form: bytes that a path or a query cannot hold are
percent-encoded as NGINX does (``ngx_escape_uri``), in the path ``%`` and ``?`` too, for they stand for themselves there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from headgate.expressions.template import Template
from headgate.expressions.variables import VariableSource
from headgate.plugins.variables import plugin_template

_SAFE_IN_PATH = "/!$&'()*+,;=:@[]"
_SAFE_IN_QUERY = _SAFE_IN_PATH + "?%"


@dataclass(frozen=True, slots=True)
class UriTemplate:
    """A path, and behind the first ``?`` of the text a query (None = the text has none)."""

    path: Template
    query: Template | None

    @classmethod
    def compile(cls, text: str) -> Self:
        """Compile a text such as ``/new/$arg_name?from=$remote_addr``; ValueError if it needs the request's body."""
        path, mark, query = text.partition("?")
        return cls(plugin_template(path), plugin_template(query) if mark else None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables in it."""
        return self.path.names + (self.query.names if self.query else ())

    def expand(self, source: VariableSource, *, before: bytes = b"", after: bytes = b"", encode: bool = True) -> bytes:
        """Give the target; ``before`` and ``after`` are what a pattern left standing on both sides.

        With ``encode`` False nothing is encoded, and the caller checks the result.
        """
        path = before + self.path.expand(source)
        if self.query is None:
            return encode_path(path + after) if encode else path + after
        query = self.query.expand(source) + after
        return encode_path(path) + b"?" + encode_query(query) if encode else path + b"?" + query


def encode_path(path: bytes) -> bytes:
    """Percent-encode a decoded path."""
    return quote(path, safe=_SAFE_IN_PATH).encode()


def encode_query(query: bytes) -> bytes:
    """Percent-encode what a query cannot hold; what is encoded already stays so."""
    return quote(query, safe=_SAFE_IN_QUERY).encode()


def with_query(target: bytes, query: bytes | None) -> bytes:
    """Append a client's query to a target that may have one of its own."""
    if not query:
        return target
    return target + (b"&" if b"?" in target else b"?") + query
