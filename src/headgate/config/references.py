"""Which other resources a document names, and APISIX's texts for one that is missing or still in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from headgate.config.change import Kind
from headgate.config.invalid_configuration import InvalidConfiguration

ReferredKind = Literal["upstreams", "services", "plugin_configs", "ssls"]

_WORDS: dict[ReferredKind, str] = {
    "upstreams": "upstream",
    "services": "service",
    "plugin_configs": "plugin config",
    "ssls": "ssl",
}

_FIELDS: dict[str, ReferredKind] = {
    "upstream_id": "upstreams",
    "service_id": "services",
    "plugin_config_id": "plugin_configs",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource that a document names: ``id`` as text, ``location`` the keys where it stands."""

    kind: ReferredKind
    id: str
    location: tuple[str | int, ...]


def references(kind: Kind, document: Mapping[str, Any]) -> Iterator[Reference]:
    """Give the references of a document that is valid in itself, in the order in which APISIX checks them."""
    upstream = document if kind == "upstreams" else document.get("upstream") or {}
    certificate = (upstream.get("tls") or {}).get("client_cert_id")
    if certificate is not None:
        way = () if kind == "upstreams" else ("upstream",)
        yield Reference("ssls", str(certificate), (*way, "tls", "client_cert_id"))
    for field, referred in _FIELDS.items():
        if document.get(field) is not None:
            yield Reference(referred, str(document[field]), (field,))


def missing(reference: Reference) -> InvalidConfiguration:
    """Make the refusal of a document that names what is not there."""
    word = _WORDS[reference.kind]
    text = f"failed to fetch {word} info by {word} id [{reference.id}], response code: 404"
    return InvalidConfiguration(text, location=reference.location)


def in_use(kind: Literal["upstreams", "services"], by_kind: Kind, by_id: int | str) -> InvalidConfiguration:
    """Make the refusal to delete a resource that another, a route or a service, names."""
    what = "this service directly" if kind == "services" else "this upstream"
    user = "service" if by_kind == "services" else "route"
    return InvalidConfiguration(f"can not delete {what}, {user} [{by_id}] is still using it now")
