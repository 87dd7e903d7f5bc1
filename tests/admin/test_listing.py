from __future__ import annotations

from typing import Any

import pytest

from headgate.admin.answers import Refusal
from headgate.admin.listing import list_items
from headgate.config.change import Kind
from headgate.config.store import Item

DOCUMENTS: list[dict[str, Any]] = [
    {"name": "alpha", "uri": "/a/1", "labels": {"env": "production"}, "service_id": 1},
    {"name": "beta", "uris": ["/b", "/a/2"], "labels": {"env": "test", "team": "x"}, "upstream_id": "u"},
    {"uri": "/c", "service_id": "1", "upstream_id": "u"},
]
ITEMS = [Item("routes", str(number), value, number, number + 10) for number, value in enumerate(DOCUMENTS, 1)]


def _list(query: dict[str, str], items: list[Item] = ITEMS, kind: Kind = "routes") -> tuple[list[str], int]:
    outcome = list_items(kind, reversed(items), query)
    assert outcome.status == 200
    assert isinstance(outcome.body, dict)
    return [item["key"].rpartition("/")[2] for item in outcome.body["list"]], outcome.body["total"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["1", "2", "3"]),
        ({"name": "a$"}, ["1", "2"]),
        ({"name": "^be"}, ["2"]),
        ({"name": ""}, ["1", "2"]),
        ({"label": "env"}, ["1", "2"]),
        ({"label": "production"}, []),
        ({"uri": "/a"}, ["1", "2"]),
        ({"uri": "^/[bc]"}, ["2", "3"]),
        ({"filter": "service_id=1"}, ["1", "3"]),
        ({"filter": "service_id=1&upstream_id=u"}, ["3"]),
        ({"filter": "name=nobody"}, ["1", "2", "3"]),
        ({"filter": "service_id=2&service_id=1"}, ["1", "3"]),
        ({"name": "a", "label": "team"}, ["2"]),
        ({"label": "env", "uri": "/c"}, []),
        ({"unknown": "x"}, ["1", "2", "3"]),
    ],
)
def test_filters(query: dict[str, str], ids: list[str]) -> None:
    assert _list(query) == (ids, len(ids))


def test_filter_fields_are_those_of_routes_only() -> None:
    service = Item("services", "s", {"upstream_id": "u"}, 1, 1)

    assert _list({"filter": "upstream_id=other"}, [service], "services") == (["s"], 1)


def test_the_list_shows_key_value_and_indexes() -> None:
    assert list_items("routes", ITEMS[:1], {}).body == {
        "list": [{"key": "/apisix/routes/1", "value": DOCUMENTS[0], "createdIndex": 1, "modifiedIndex": 11}],
        "total": 1,
    }


MANY = [Item("routes", f"r{number}", {"uri": "/"}, number, number) for number in range(1, 26)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"page": "1", "page_size": "10"}, range(1, 11)),
        ({"page": "3", "page_size": "10"}, range(21, 26)),
        ({"page": "4", "page_size": "10"}, range(0)),
        ({"page": "0", "page_size": "10"}, range(1, 11)),
        ({"page": "-1", "page_size": "10"}, range(1, 11)),
        ({"page": "x", "page_size": "20"}, range(1, 21)),
        ({"page": "1", "page_size": "500"}, range(1, 26)),
        ({"page": "2"}, range(1, 26)),
        ({"page_size": "10"}, range(1, 26)),
        ({"page": "1", "page_size": "many"}, range(1, 26)),
    ],
)
def test_pages_are_in_the_order_of_creation_and_total_counts_all(query: dict[str, str], numbers: range) -> None:
    assert _list(query, MANY) == ([f"r{number}" for number in numbers], 25)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"page": "1", "page_size": "9"}, "page_size must be between 10 and 500"),
        ({"page": "1", "page_size": "501"}, "page_size must be between 10 and 500"),
        ({"page": "1", "page_size": "-10"}, "page_size must be between 10 and 500"),
        (
            {"name": "(a"},
            {"error_msg": "invalid argument name: not a regular expression that RE2 takes (missing ): (a)"},
        ),
        (
            {"uri": "(?=a)"},
            {"error_msg": "invalid argument uri: not a regular expression that RE2 takes (invalid perl operator: (?=)"},
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused(query: dict[str, str], body: object) -> None:
    with pytest.raises(Refusal) as refusal:
        list_items("routes", ITEMS, query)

    assert (refusal.value.outcome.status, refusal.value.outcome.body) == (400, body)
