from __future__ import annotations

from typing import Any

import pytest
from tests.admin.api_under_test import CATALOG, NODES, ROUTE

from headgate.admin.answers import Outcome, Refusal
from headgate.admin.body import MISSING
from headgate.admin.preconditions import Preconditions
from headgate.admin.resources import Resources
from headgate.admin.writes import Writer, WriteRequest
from headgate.config.invalid_configuration import InvalidConfiguration
from headgate.config.store import Deletion, Item

WRITER = Writer(CATALOG)
NOW = 1000.9


def _state(*items: Item, counter: int = 0) -> Resources:
    return Resources(items, counter, clock=lambda: NOW)


def _stored(outcome: Outcome) -> Item:
    (item,) = outcome.writes
    assert isinstance(item, Item)
    return item


def test_put_gives_the_item_to_store_and_leaves_the_state_alone() -> None:
    state = _state(counter=41)

    outcome = WRITER.put(WriteRequest("routes", "1", dict(ROUTE), ttl_s=2.5), state)

    value = {**ROUTE, "id": "1", "create_time": 1000, "update_time": 1000}
    assert _stored(outcome) == Item("routes", "1", value, 42, 42, expires_at=1003.4)
    assert (outcome.status, outcome.body) == (201, {"key": "/apisix/routes/1", "value": value})
    assert (state.counter, state.changes()) == (41, [])


def test_put_on_what_is_there_keeps_its_birth_and_not_its_end() -> None:
    old = Item("routes", "1", {**ROUTE, "id": "1", "create_time": 7, "update_time": 8}, 3, 5, expires_at=NOW + 9)

    outcome = WRITER.put(WriteRequest("routes", None, {**ROUTE, "id": 1}), _state(old))

    value = {**ROUTE, "id": 1, "create_time": 7, "update_time": 1000}
    assert (outcome.status, _stored(outcome)) == (200, Item("routes", "1", value, 3, 6))


def test_the_given_document_is_not_changed() -> None:
    document = dict(ROUTE)

    WRITER.put(WriteRequest("routes", "1", document), _state())
    WRITER.post(WriteRequest("routes", None, document), _state())

    assert document == ROUTE


def test_post_makes_its_id_of_the_write_counter() -> None:
    outcome = WRITER.post(WriteRequest("upstreams", None, dict(NODES)), _state(counter=122))

    item = _stored(outcome)
    assert (outcome.status, item.id, item.value["id"]) == (201, "00000000000000000123", "00000000000000000123")


def test_patch_keeps_the_stored_document_as_it_was() -> None:
    value = {**ROUTE, "id": 1, "create_time": 7, "update_time": 8}
    old = Item("routes", "1", value, 3, 5)

    outcome = WRITER.patch(WriteRequest("routes", "1", {"upstream": {"retries": 2}}), _state(old))

    new = {**value, "id": "1", "update_time": 1000, "upstream": {**NODES, "retries": 2}}
    assert (outcome.status, _stored(outcome)) == (200, Item("routes", "1", new, 3, 6))
    assert old.value["upstream"] == NODES


def test_delete_gives_a_deletion() -> None:
    outcome = WRITER.delete(WriteRequest("routes", "1"), _state(Item("routes", "1", dict(ROUTE), 1, 1)))

    assert outcome == Outcome(200, {"deleted": "1", "key": "/apisix/routes/1"}, writes=(Deletion("routes", "1"),))


@pytest.mark.parametrize("document", [MISSING, None, [], "text", 5, True])
def test_only_an_object_can_be_put(document: object) -> None:
    for write in (WRITER.put, WRITER.post):
        with pytest.raises(Refusal) as refusal:
            write(WriteRequest("routes", "1", document), _state())
        assert refusal.value.outcome.status == 400


@pytest.mark.parametrize(
    "document", [{**ROUTE, "status": 3}, {**ROUTE, "upstream_id": "gone"}, {**ROUTE, "create_time": 1}]
)
def test_what_is_invalid_is_refused_before_a_condition_is_looked_at(document: dict[str, Any]) -> None:
    request = WriteRequest("routes", "1", document, preconditions=Preconditions(if_match='"9"'))

    with pytest.raises(InvalidConfiguration):
        WRITER.put(request, _state())
