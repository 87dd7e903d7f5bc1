from __future__ import annotations

from typing import Any, Literal

import pytest

from headgate.config.change import Kind
from headgate.config.references import Reference, in_use, missing, references


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        ("routes", {"uri": "/", "upstream": {"nodes": {}}}, []),
        ("global_rules", {"id": 1, "plugins": {}}, []),
        ("services", {"upstream_id": "a"}, [Reference("upstreams", "a", ("upstream_id",))]),
        (
            "routes",
            {"plugin_config_id": "p", "service_id": 2, "upstream_id": 1},
            [
                Reference("upstreams", "1", ("upstream_id",)),
                Reference("services", "2", ("service_id",)),
                Reference("plugin_configs", "p", ("plugin_config_id",)),
            ],
        ),
        ("upstreams", {"nodes": {}, "tls": {"client_cert_id": 1}}, [Reference("ssls", "1", ("tls", "client_cert_id"))]),
        (
            "services",
            {"upstream": {"nodes": {}, "tls": {"client_cert_id": 1}}},
            [Reference("ssls", "1", ("upstream", "tls", "client_cert_id"))],
        ),
    ],
)
def test_what_a_document_refers_to(kind: Kind, document: dict[str, Any], found: list[Reference]) -> None:
    assert list(references(kind, document)) == found


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (
            "service_id",
            99999999999999,
            "failed to fetch service info by service id [99999999999999], response code: 404",
        ),
        ("upstream_id", 99999999, "failed to fetch upstream info by upstream id [99999999], response code: 404"),
        (
            "plugin_config_id",
            "not_found",
            "failed to fetch plugin config info by plugin config id [not_found], response code: 404",
        ),
    ],
)
def test_text_for_what_is_missing(field: str, value: object, text: str) -> None:
    (reference,) = references("routes", {field: value})
    assert (missing(reference).text, missing(reference).location) == (text, (field,))


def test_text_for_a_missing_certificate() -> None:
    (reference,) = references("upstreams", {"tls": {"client_cert_id": "c"}})
    assert missing(reference).text == "failed to fetch ssl info by ssl id [c], response code: 404"


@pytest.mark.parametrize(
    ("kind", "by_kind", "text"),
    [
        ("upstreams", "routes", "can not delete this upstream, route [1] is still using it now"),
        ("upstreams", "services", "can not delete this upstream, service [1] is still using it now"),
        ("services", "routes", "can not delete this service directly, route [1] is still using it now"),
    ],
)
def test_text_for_what_is_in_use(kind: Literal["upstreams", "services"], by_kind: Kind, text: str) -> None:
    assert in_use(kind, by_kind, 1).text == text
