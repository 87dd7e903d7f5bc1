from __future__ import annotations

from headgate.config.change import Change
from headgate.config.store import Deletion, Item


def test_an_item_has_the_key_that_the_admin_api_shows() -> None:
    assert Item("global_rules", "a-1", {}, 1, 2).key == "/apisix/global_rules/a-1"


def test_an_item_makes_the_change_that_writes_it() -> None:
    item = Item("routes", "1", {"uri": "/a"}, 3, 7, expires_at=12.5)

    assert item.change() == Change("routes", "1", {"uri": "/a"}, created_index=3, modified_index=7)


def test_a_deletion_makes_the_change_that_deletes() -> None:
    assert Deletion("upstreams", "u").change() == Change("upstreams", "u", None)
