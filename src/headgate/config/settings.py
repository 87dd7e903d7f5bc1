"""The process's settings: what there is, in which unit, with which default.

Invariants: a :class:`Settings` is valid as a whole and never changes; an Admin API that other machines can reach has
keys. Relative paths are relative to the directory that headgate is started in. How file, variables and flags become
settings is said in ``settings_sources``, which workers do not need.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from headgate.config.address import is_loopback, parse_address


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError as error:
        raise PydanticCustomError("address", "{text}", {"text": str(error)}) from None
    return text


def _address_or_off(text: str) -> str:
    try:
        return text if text == "off" else _address(text)
    except PydanticCustomError as error:
        raise PydanticCustomError("address", "{text}", {"text": f'{error.message()}, or "off"'}) from None


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PydanticCustomError("network", 'expected an IP address or CIDR, such as "10.0.0.0/8"') from None
    return text


def _workers(value: object) -> object:
    return (os.cpu_count() or 1) if value == "auto" else value


def _not_empty(value: object) -> object:
    if value == "":
        raise PydanticCustomError("path", "expected a path, got an empty text")
    return value


BindAddress = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Name = Annotated[str, Field(min_length=1)]
# Strict mode takes neither a list for a tuple nor a text for a path, which is all that YAML and JSON have to offer.
Addresses = Annotated[tuple[BindAddress, ...], Field(strict=False)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
FilePath = Annotated[Path, Field(strict=False), BeforeValidator(_not_empty)]


class _Section(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, defer_build=True
    )


MAX_S = 365 * 86400.0
"""Longest time that a setting can ask for: a year, in seconds."""


class AdminKey(_Section):
    """One key to the Admin API."""

    name: Name = Field(description="Who the key belongs to, as it appears in logs; each name once.")
    key: str = Field(
        pattern=r"^[!-~]+$",
        repr=False,
        description="The secret itself, visible ASCII without spaces, sent as X-API-KEY; each key once.",
    )
    role: Literal["admin", "viewer"] = Field(description="admin may write; viewer may only GET.")


class HttpSettings(_Section):
    """Limits and clocks of the downstream side."""

    head_timeout_s: float = Field(default=10.0, gt=0, description="Longest time for a whole request head, in seconds.")
    body_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest gap between two reads of a request body that is wanted, in seconds."
    )
    keepalive_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest idle time of a client connection between two requests, in seconds."
    )
    max_headers: int = Field(default=100, ge=1, description="Most header fields in one request head.")
    max_head_bytes: int = Field(default=32768, ge=1024, description="Largest request head, in bytes.")
    max_uri_bytes: int = Field(default=8192, ge=1, description="Longest request target, in bytes.")
    send_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time that a client may take no bytes while some wait, in seconds."
    )


class UpstreamSettings(_Section):
    """What holds for all upstream connections."""

    resolve_interval_s: float = Field(
        default=30.0, gt=0, description="Time after which a target's name is resolved again, in seconds."
    )
    max_head_bytes: int = Field(default=65536, ge=1024, description="Largest response head, in bytes.")
    ca_file: FilePath | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities that https upstreams need; none = the system's.",
    )


class StreamSettings(_Section):
    """What holds for every event stream; the plugin `stream-guard` sets it otherwise for a route."""

    keepalive_s: float = Field(
        default=15.0,
        ge=0,
        le=MAX_S,
        description="Silence towards the client after which a comment is sent, in seconds; 0 = off.",
    )
    max_event_bytes: int = Field(
        default=1024 * 1024, ge=0, description="Largest event of a `text/event-stream`, in bytes; 0 = no limit."
    )
    retry_s: float = Field(
        default=3.0,
        gt=0,
        le=3600,
        description="Reconnection time told to clients whose stream headgate ends, in seconds; each gets one between it "
        "and its double.",
    )
    progress_s: float = Field(
        default=0.0,
        ge=0,
        le=MAX_S,
        description="How often an open stream gets a `stream_progress` record in the access log, in seconds; 0 = never.",
    )


class TcpSettings(_Section):
    """How peers that have vanished without a word are noticed, on both sides."""

    user_timeout_s: float = Field(
        default=30.0,
        ge=0,
        description="Longest time that sent bytes may stay unacknowledged (TCP_USER_TIMEOUT), in seconds; 0 = the system's.",
    )
    keepalive_s: float = Field(
        default=30.0,
        ge=0,
        le=MAX_S,
        description="Silence after which TCP asks whether the peer is still there, in seconds; 0 = never.",
    )


class DrainSettings(_Section):
    """How streams end when the process stops or is reloaded."""

    delay_s: float = Field(
        default=0.0,
        ge=0,
        le=MAX_S,
        description="How long connections are still accepted after the order to stop, while readiness says no, in seconds.",
    )
    window_s: float = Field(
        default=8.0,
        gt=0,
        le=MAX_S,
        description="Time over which open streams are ended, the last at its end, in seconds.",
    )
    idle_s: float = Field(
        default=5.0,
        ge=0,
        le=MAX_S,
        description="How long a reloaded worker keeps idle client connections, in seconds: a request that is on its way "
        "is still answered.",
    )


class WrittenSettings(_Section):
    """The settings that people write, with their defaults."""

    listen: Addresses = Field(
        default=("0.0.0.0:9080",),
        description='Addresses of the proxy, each "HOST:PORT"; at least one.',
    )
    admin: BindAddress = Field(default="127.0.0.1:9180", description='Address of the Admin API, "HOST:PORT".')
    admin_keys: tuple[AdminKey, ...] = Field(
        default=(), strict=False, description="Keys to the Admin API; none = open to this machine's own callers only."
    )
    metrics: Annotated[str, AfterValidator(_address_or_off)] = Field(
        default="127.0.0.1:9091", description='Address of the Prometheus endpoint, "HOST:PORT", or "off".'
    )
    workers: Annotated[int, BeforeValidator(_workers)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description='Worker processes; "auto" = one for each CPU (default).',
    )
    data_dir: FilePath = Field(default=Path("./.headgate"), description="Directory of the store, made if missing.")
    routes: FilePath | None = Field(
        default=None, description="Routes file (YAML or JSON) to serve in place of the store; none by default."
    )
    access_log: Name = Field(default="stdout", description='Where access records go: "stdout", "off" or a path.')
    mask_query_keys: Names = Field(
        default=(), description="Names of query arguments to mask in logs, besides those that are always masked."
    )
    x_forwarded_host: Literal["full", "legacy"] = Field(
        default="full",
        description="X-Forwarded-Host and -Port to the upstream: full = Host with its port (APISIX 3.18 and later); "
        "legacy = Host without port and the listener's port (APISIX up to 3.17).",
    )
    trusted_addresses: tuple[Network, ...] | None = Field(
        default=None, strict=False, description="Peers whose X-Forwarded-… fields are believed: addresses or CIDR."
    )
    http: HttpSettings = Field(default=HttpSettings(), description="The downstream side.")
    upstream: UpstreamSettings = Field(default=UpstreamSettings(), description="The upstream side.")
    streams: StreamSettings = Field(default=StreamSettings(), description="Event streams.")
    tcp: TcpSettings = Field(default=TcpSettings(), description="Peers that have vanished.")
    drain: DrainSettings = Field(default=DrainSettings(), description="The end of the process, and of old workers.")

    @field_validator("admin_keys", mode="after")
    @classmethod
    def _check_admin(cls, keys: tuple[AdminKey, ...], info: ValidationInfo) -> tuple[AdminKey, ...]:
        admin = info.data.get("admin")
        if admin is not None and not keys and not is_loopback(parse_address(admin).host):
            text = "{admin} can be reached from other machines, and there are no admin_keys: set some, or use 127.0.0.1"
            raise PydanticCustomError("open_admin", text, {"admin": admin, "at": ("admin",)})
        for what in ("name", "key"):
            if len({getattr(key, what) for key in keys}) < len(keys):
                raise PydanticCustomError("twice", "two of the keys have the same {what}", {"what": what})
        return keys

    @field_validator("listen", "admin", "metrics", mode="after")
    @classmethod
    def _check_distinct(cls, value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        mine = [value] if isinstance(value, str) else list(value)
        if not mine:
            raise PydanticCustomError("empty", "must not be empty")
        others = [*info.data.get("listen", ()), info.data.get("admin")]
        for index, address in enumerate(mine):
            if address in (*others, *mine[:index]) and not address.endswith(":0"):
                raise PydanticCustomError("twice", "{address} is used twice", {"address": address})
        return value


class Settings(WrittenSettings):
    """All settings, complete. ``model_dump_json`` and ``model_validate_json`` carry them from process to process."""

    metrics_explicit: bool = Field(default=False, description="Whether somebody chose the metrics address.")
    authorities: str | None = Field(
        default=None, min_length=1, repr=False, description="What upstream.ca_file held when the settings were loaded."
    )

    @field_validator("authorities", mode="after")
    @classmethod
    def _check_authorities(cls, authorities: str | None, info: ValidationInfo) -> str | None:
        upstream = info.data.get("upstream")
        if upstream is not None and (upstream.ca_file is None) is not (authorities is None):
            raise PydanticCustomError("authorities", "upstream.ca_file and authorities go together")
        return authorities
