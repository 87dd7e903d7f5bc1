"""The rules of an upstream that go beyond its schema, in APISIX's order and words."""

from __future__ import annotations

import re
import ssl

from headgate.config.client_certificate import UpstreamTls, load_client_certificate
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.upstream import Upstream
from headgate.config.validation_texts import pattern_mismatch

_NAME = r"^[a-zA-Z0-9-_]+$"
_VARIABLE = (
    r"^((uri|server_name|server_addr|request_uri|remote_port"
    r"|remote_addr|query_string|host|hostname|mqtt_client_id)"
    r"|arg_[0-9a-zA-z_-]+)$"
)
_KEY_PATTERNS = {"vars": _VARIABLE, "header": _NAME, "cookie": _NAME}
"""What ``key`` may be, by ``hash_on``; as it stands in the text of a refusal."""


def check_upstream(upstream: Upstream) -> None:
    """Check nodes, Host, hash key and client certificate. Raises InvalidConfiguration."""
    _check_nodes(upstream)
    if upstream.pass_host == "rewrite" and not upstream.upstream_host:  # noqa: S105 - no password, a mode's name
        raise InvalidConfiguration(
            "`upstream_host` can't be empty when `pass_host` is `rewrite`", location=("upstream_host",)
        )
    if upstream.type == "chash" and upstream.hash_on != "consumer":
        _check_key(upstream)
    if upstream.tls is not None:
        _check_certificate(upstream.tls)


def _check_nodes(upstream: Upstream) -> None:
    try:
        _ = upstream.endpoints
    except ValueError as error:
        # APISIX says this one text without its prefix.
        prefix = "" if str(error).startswith("invalid port ") else "invalid configuration: "
        raise InvalidConfiguration(f"{prefix}{error}", location=("nodes",)) from None


def _check_key(upstream: Upstream) -> None:
    if upstream.key is None:
        raise InvalidConfiguration("missing key", location=("key",))
    pattern = _KEY_PATTERNS.get(upstream.hash_on)
    if pattern is not None and not re.fullmatch(pattern, upstream.key):
        raise InvalidConfiguration(
            f"invalid configuration: {pattern_mismatch(pattern, upstream.key)}", location=("key",)
        )


def _check_certificate(tls: UpstreamTls) -> None:
    if tls.client_cert is None or tls.client_key is None:
        return
    try:
        load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls.client_cert, tls.client_key)
    except ValueError as error:
        raise InvalidConfiguration(f"invalid configuration: {error}", location=("tls",)) from None
