"""The plugin ``proxy-rewrite``: another path, method, host or other headers for the upstream."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field

from headgate.config.strict_model import Maybe
from headgate.expressions.template import Template
from headgate.expressions.variables import VariableSource
from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.plugins.header_edits import HeaderEdits
from headgate.plugins.regex_uri import RegexUri
from headgate.plugins.uri_template import UriTemplate, with_query
from headgate.plugins.variables import ExchangeVariables

Method = Literal[
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY",
    "MOVE", "PROPFIND", "LOCK", "UNLOCK", "PATCH", "TRACE",
]  # fmt: skip

_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_BAD_HOST = re.compile(rb"[\x00-\x20\x7f-\xff/?#@\\]")


class ProxyRewriteConfig(PluginConfig):
    """Attributes of ``proxy-rewrite``; at least one."""

    uri: Maybe[str] = Field(
        None,
        min_length=1,
        max_length=4096,
        pattern=r"^\/.*",
        description="The upstream's path, with variables; the client's query is appended. Goes before `regex_uri`.",
    )
    method: Maybe[Method] = Field(None, description="The upstream request's method.")
    regex_uri: Maybe[list[str]] = Field(
        None,
        min_length=2,
        description="Pairs of a pattern (RE2) on the path and its replacement; the first match counts.",
    )
    host: Maybe[str] = Field(
        None, pattern=r"^[0-9a-zA-Z-.]+(:\d{1,5})?$", description="The upstream request's Host, with or without port."
    )
    headers: Maybe[dict[str, Any]] = Field(
        None,
        min_length=1,
        description='Headers: {"set": {name: value}, "add": {name: value}, "remove": [name]}, or {name: value} to set; '
        "values may hold variables and the groups of `regex_uri`, an empty value removes.",
    )
    use_real_request_uri_unsafe: bool = Field(
        False, description="Rewrite the target as the client sent it, neither normalised before nor encoded after."
    )


class ProxyRewrite(Plugin):
    """Rewrites the request before it goes upstream. What is not configured stays as the client sent it.

    Without ``use_real_request_uri_unsafe`` any rewritten target is a valid one (see ``UriTemplate``); with it, a target
    that no request line can hold is answered with 400, as is a Host made of variables that is no host.
    """

    name = "proxy-rewrite"
    priority = 1008
    Config: ClassVar[type[ProxyRewriteConfig]] = ProxyRewriteConfig

    def __init__(self, config: ProxyRewriteConfig) -> None:
        super().__init__(config)
        if not config.model_fields_set:
            raise ValueError("expect object to have at least 1 properties")
        self._method = None if config.method is None else config.method.encode()
        self._uri = None if config.uri is None else UriTemplate.compile(config.uri)
        self._regex_uri = RegexUri.compile(config.regex_uri or ())
        self._edits = HeaderEdits.compile(config.headers or {})
        self._host = None if config.host is None else config.host.encode()
        self._raw = config.use_real_request_uri_unsafe

    def on_request(self, exchange: Exchange) -> Answer | None:
        """Rewrite target, method, host and headers, in this order."""
        source, target = self._target(exchange)
        if target is not None and (_BAD_TARGET.search(target) or not target.startswith(b"/")):
            return _refusal("the rewritten request target is not valid")
        host = self._host or _expanded(self._edits.host, source)
        if host and _BAD_HOST.search(host):
            return _refusal("the rewritten Host is not valid")
        request = exchange.upstream_request
        request.target = target or request.target
        request.method = self._method or request.method
        request.host = host or request.host
        self._edits.apply(request.headers, source)
        return None

    def _target(self, exchange: Exchange) -> tuple[ExchangeVariables, bytes | None]:
        """Give the rewritten target, None for no rewriting, and the variables, a matched pattern's groups among them."""
        request, source = exchange.request, ExchangeVariables(exchange)
        if self._uri is not None:
            return source, self._finished(self._uri.expand(source, encode=not self._raw), request.query)
        subject = request.target if self._raw else request.path
        match = self._regex_uri.find(subject)
        if match is None:
            return source, None
        found, replacement = match
        source = ExchangeVariables(exchange, found.groups)
        before, after = subject[: found.start], subject[found.end :]
        target = replacement.expand(source, before=before, after=after, encode=not self._raw)
        return source, self._finished(target, request.query)

    def _finished(self, target: bytes, query: bytes | None) -> bytes:
        return target if self._raw else with_query(target, query)


def _expanded(template: Template | None, source: VariableSource) -> bytes | None:
    return None if template is None else template.expand(source)


def _refusal(text: str) -> Answer:
    return Answer(400, b'{"message":"%s"}' % text.encode(), ((b"Content-Type", b"application/json"),))
