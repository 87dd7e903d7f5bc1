from __future__ import annotations

from typing import Any

import pytest

from headgate.admin.references import check_deletable, check_references
from headgate.admin.resources import Resources
from headgate.config.change import Kind
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.store import Item

ITEMS = [
    Item("upstreams", "1", {}, 1, 1),
    Item("upstreams", "unused", {}, 1, 1),
    Item("upstreams", "expired", {}, 1, 1, expires_at=5.0),
    Item("services", "s", {"upstream_id": 1}, 1, 1),
    Item("services", "unused", {}, 1, 1),
    Item("routes", "r", {"service_id": "s"}, 1, 1),
    Item("routes", "over", {"service_id": "unused"}, 1, 1, expires_at=5.0),
    Item("global_rules", "g", {"plugins": {"cors": {}}}, 1, 1),
]
STATE = Resources(ITEMS, clock=lambda: 5.0)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("routes", {"upstream_id": 1, "service_id": "s"}),
        ("routes", {"upstream_id": "1"}),
        ("services", {}),
        ("global_rules", {"id": "g", "plugins": {"cors": {}}}),
        ("global_rules", {"id": "new", "plugins": {"sse": {}}}),
    ],
)
def test_references_to_what_is_there_pass(kind: Kind, document: dict[str, Any]) -> None:
    check_references(kind, document, STATE)


@pytest.mark.parametrize(
    ("kind", "document", "text"),
    [
        ("routes", {"upstream_id": "s"}, "failed to fetch upstream info by upstream id [s], response code: 404"),
        ("services", {"upstream_id": 2}, "failed to fetch upstream info by upstream id [2], response code: 404"),
        (
            "routes",
            {"upstream_id": "expired"},
            "failed to fetch upstream info by upstream id [expired], response code: 404",
        ),
        ("routes", {"service_id": 1}, "failed to fetch service info by service id [1], response code: 404"),
        (
            "routes",
            {"plugin_config_id": 1},
            "failed to fetch plugin config info by plugin config id [1], response code: 404",
        ),
        ("global_rules", {"id": 5, "plugins": {"cors": {}}}, "plugin 'cors' already exists in global rule with id 'g'"),
    ],
)
def test_what_does_not_go_together_with_the_rest_is_refused(kind: Kind, document: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidConfiguration) as refusal:
        check_references(kind, document, STATE)

    assert refusal.value.text == text


@pytest.mark.parametrize(
    ("kind", "resource_id"),
    [("upstreams", "unused"), ("services", "unused"), ("routes", "r"), ("global_rules", "g")],
)
def test_what_nothing_names_can_be_deleted(kind: Kind, resource_id: str) -> None:
    check_deletable(kind, resource_id, STATE)


@pytest.mark.parametrize(
    ("kind", "resource_id", "text"),
    [
        ("upstreams", "1", "can not delete this upstream, service [s] is still using it now"),
        ("services", "s", "can not delete this service directly, route [r] is still using it now"),
    ],
)
def test_what_is_named_cannot_be_deleted(kind: Kind, resource_id: str, text: str) -> None:
    with pytest.raises(InvalidConfiguration) as refusal:
        check_deletable(kind, resource_id, STATE)

    assert refusal.value.text == text
