"""The plugin ``cors``: cross-origin requests (Fetch standard, "CORS protocol"), with APISIX's attributes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from headgate.config.strict_model import Maybe
from headgate.plugins.api import Answer, Exchange, Plugin, PluginConfig
from headgate.plugins.header_text import HeaderValue
from headgate.plugins.origins import Origins
from headgate.wire.headers import Headers
from headgate.wire.request import ResponseHead

ORIGINS_PATTERN = r"^(\*|\*\*|null|\w+://[^,]+(,\w+://[^,]+)*)$"

_ALL_METHODS = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"

OriginPattern = Annotated[str, Field(min_length=1, max_length=4096)]


class CorsConfig(PluginConfig):
    """Attributes of ``cors``."""

    allow_origins: HeaderValue = Field(
        "*",
        pattern=ORIGINS_PATTERN,
        description="Origins, separated by commas; `*` = any, without credentials; `**` = any, the request's own is named.",
    )
    allow_methods: HeaderValue = Field(
        "*", description="Methods, separated by commas; `*` = any; `**` = a list of all."
    )
    allow_headers: HeaderValue = Field(
        "*", description="Request headers, separated by commas; `*` = any; `**` = those that the request asks for."
    )
    expose_headers: Maybe[HeaderValue] = Field(
        None, description="Response headers that scripts may read; none by default."
    )
    max_age: int = Field(5, description="How long a preflight answer may be kept, in seconds; -1 = not said.")
    allow_credential: bool = Field(False, description="Whether requests may carry credentials; no `*` beside it.")
    allow_origins_by_regex: Maybe[list[OriginPattern]] = Field(
        None, min_length=1, description="Patterns (RE2), one of which the origin must match; replaces `allow_origins`."
    )
    allow_origins_by_metadata: Maybe[list[str]] = Field(
        None, description="Keys of plugin metadata in APISIX; not available in headgate."
    )
    timing_allow_origins: Maybe[str] = Field(
        None, pattern=ORIGINS_PATTERN, description="Origins that may see resource timing, written as `allow_origins`."
    )
    timing_allow_origins_by_regex: Maybe[list[OriginPattern]] = Field(
        None, min_length=1, description="Patterns (RE2) for origins that may see resource timing."
    )


class Cors(Plugin):
    """Answers every OPTIONS itself with an empty 200 and sets the headers on any response, error answers included.

    An origin that is not allowed gets no header. ``Vary: Origin`` goes on every response whose headers depend on it.
    """

    name = "cors"
    priority = 4000
    Config: ClassVar[type[CorsConfig]] = CorsConfig

    def __init__(self, config: CorsConfig) -> None:
        super().__init__(config)
        _check(config)
        self._origins = Origins.compile(config.allow_origins, config.allow_origins_by_regex)
        self._timing_origins = Origins.compile(config.timing_allow_origins, config.timing_allow_origins_by_regex)
        self._varies = self._origins.varies or self._timing_origins.varies
        self._reflects_headers = config.allow_headers == "**"
        self._fields = tuple(_fixed_fields(config))

    def on_request(self, exchange: Exchange) -> Answer | None:
        """Answer a preflight, before any authentication."""
        return Answer(200) if exchange.request.method == b"OPTIONS" else None

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Set the headers for the request's origin."""
        origin = exchange.request.headers.get(b"origin")
        if self._varies:
            _vary_by_origin(head.headers)
        allowed = self._origins.allowed(origin)
        if allowed is not None:
            self._allow(allowed, exchange.request.headers, head.headers)
        else:  # what the upstream allows must not open what the list here closes
            head.headers.fields = [field for field in head.headers if not field[0].startswith(b"access-control-")]
        timing = self._timing_origins.allowed(origin)
        if timing is not None:
            head.headers.set(b"Timing-Allow-Origin", timing)

    def _allow(self, origin: bytes, asked: Headers, headers: Headers) -> None:
        headers.set(b"Access-Control-Allow-Origin", origin)
        for name, value in self._fields:
            headers.set(name, value)
        if self._reflects_headers:
            names = asked.combined(b"access-control-request-headers")
            headers.remove(b"access-control-allow-headers")
            if names is not None:
                headers.add(b"Access-Control-Allow-Headers", names)


def _check(config: CorsConfig) -> None:
    """Refuse what browsers refuse or what headgate has not; ValueError with APISIX's text."""
    lists = (config.allow_origins, config.allow_methods, config.allow_headers, config.expose_headers)
    if config.allow_credential and "*" in (*lists, config.timing_allow_origins):
        raise ValueError("you can not set '*' for other option when 'allow_credential' is true")
    if config.allow_origins_by_metadata:
        raise ValueError("allow_origins_by_metadata is not available: headgate has no plugin metadata")


def _fixed_fields(config: CorsConfig) -> list[tuple[bytes, bytes]]:
    """Give the fields that depend on no request."""
    methods = _ALL_METHODS if config.allow_methods == "**" else config.allow_methods
    fields = [(b"Access-Control-Allow-Methods", methods.encode())]
    if config.allow_headers != "**":
        fields.append((b"Access-Control-Allow-Headers", config.allow_headers.encode()))
    if config.max_age != -1:
        fields.append((b"Access-Control-Max-Age", b"%d" % config.max_age))
    if config.expose_headers:
        fields.append((b"Access-Control-Expose-Headers", config.expose_headers.encode()))
    if config.allow_credential:
        fields.append((b"Access-Control-Allow-Credentials", b"true"))
    return fields


def _vary_by_origin(headers: Headers) -> None:
    if headers.tokens(b"vary").isdisjoint((b"origin", b"*")):
        present = headers.combined(b"vary")
        headers.set(b"Vary", b"Origin" if not present else present + b", Origin")
