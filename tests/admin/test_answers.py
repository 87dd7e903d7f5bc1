from __future__ import annotations

import pytest

from headgate.admin.answers import Outcome, encode, error, key_not_found, refuse, respond, shown, written
from headgate.config.store import Item

ITEM = Item("routes", "1", {"uri": "/"}, 3, 7, expires_at=9.0)


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        (None, b""),
        ("done", b"done"),
        ({"a": "grüß"}, '{"a":"grüß"}\n'.encode()),
        ({}, b"{}\n"),
        ([], b"[]\n"),
        ({"n": [1, 1.5, None, True]}, b'{"n":[1,1.5,null,true]}\n'),
    ],
)
def test_bodies(body: object, raw: bytes) -> None:
    assert encode(body) == raw


def test_a_response_has_status_type_and_etag() -> None:
    response = respond(Outcome(201, {"a": 1}, etag=12))

    assert (response.status_code, response.body) == (201, b'{"a":1}\n')
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == '"12"'


def test_an_answer_without_a_resource_has_no_etag() -> None:
    assert "etag" not in respond(error(400, "x")).headers


def test_a_write_shows_no_indexes_and_a_get_does() -> None:
    value = {"key": "/apisix/routes/1", "value": {"uri": "/"}}

    assert written(201, ITEM) == Outcome(201, value, writes=(ITEM,), etag=7)
    assert shown(ITEM) == Outcome(200, {**value, "createdIndex": 3, "modifiedIndex": 7}, etag=7)


def test_errors() -> None:
    assert error(503, "x") == refuse(503, "x").outcome == Outcome(503, {"error_msg": "x"})
    assert key_not_found() == Outcome(404, {"message": "Key not found"})
