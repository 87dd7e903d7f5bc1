from __future__ import annotations

import copy
from typing import Any

import pytest

from headgate.admin.answers import Refusal
from headgate.admin.patch import merge, replace_node

STORED: dict[str, Any] = {
    "id": "1",
    "uri": "/a",
    "methods": ["GET", "PUT"],
    "plugins": {"sse": {"proxy_read_timeout": 5}, "cors": {}},
    "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:8080": 1}},
}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, {}),
        ({"uri": "/b", "desc": "new"}, {"uri": "/b", "desc": "new"}),
        ({"methods": ["POST"]}, {"methods": ["POST"]}),
        ({"methods": []}, {"methods": []}),
        ({"methods": {"a": 1}}, {"methods": {"a": 1}}),
        ({"plugins": {}}, {"plugins": {}}),
        ({"plugins": {"cors": {}}}, {"plugins": STORED["plugins"]}),
        ({"plugins": {"sse": None}}, {"plugins": {"cors": {}}}),
        ({"plugins": {"absent": None}}, {"plugins": STORED["plugins"]}),
        ({"plugins": [1]}, {"plugins": [1]}),
        ({"labels": {"a": "b", "gone": None}}, {"labels": {"a": "b"}}),
        (
            {"upstream": {"nodes": {"127.0.0.1:8080": None, "127.0.0.2:8080": 1}}},
            {"upstream": {"type": "roundrobin", "nodes": {"127.0.0.2:8080": 1}}},
        ),
    ],
)
def test_merge(patch: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(STORED)

    assert merge(STORED, patch) == {**STORED, **expected}
    assert before == STORED


def test_null_deletes_a_key_at_the_top() -> None:
    assert "methods" not in merge(STORED, {"methods": None})


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("uri", "/b", {"uri": "/b"}),
        ("methods", ["POST"], {"methods": ["POST"]}),
        ("status", 0, {"status": 0}),
        ("enable_websocket", True, {"enable_websocket": True}),
        ("plugins", {}, {"plugins": {}}),
        ("plugins/sse", {}, {"plugins": {"sse": {}, "cors": {}}}),
        ("plugins/sse", None, {"plugins": {"cors": {}}}),
        ("plugins/absent", None, {}),
        ("labels/env", "test", {"labels": {"env": "test"}}),
        ("upstream/nodes", {"[::1]:80": 1}, {"upstream": {"type": "roundrobin", "nodes": {"[::1]:80": 1}}}),
        ("a/b/c", 1, {"a": {"b": {"c": 1}}}),
    ],
)
def test_replace_node(path: str, value: object, expected: dict[str, Any]) -> None:
    before = copy.deepcopy(STORED)

    assert replace_node(STORED, path.split("/"), value) == {**STORED, **expected}
    assert before == STORED


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("methods/0", "invalid sub-path: /methods/0"),
        ("uri/x", "invalid sub-path: /uri/x"),
        ("uri/x/y", "invalid sub-path: /uri"),
        ("upstream/type/x/y", "invalid sub-path: /upstream/type"),
    ],
)
def test_a_way_through_what_is_no_object_is_refused(path: str, text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        replace_node(STORED, path.split("/"), 1)

    assert (refusal.value.outcome.status, refusal.value.outcome.body) == (400, {"error_msg": text})
